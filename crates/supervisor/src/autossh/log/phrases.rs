//! The phrases that people and logcheck grep for: autossh's own, word for word.

use std::time::Duration;

use tunnel_engine::failure::FailureKind;

/// What ssh's exit status would be after all that happens to a connection, a login or a forward (ssh(1), EXIT STATUS).
/// Those of a remote command, and of SIGTERM to an ssh, are about what is not there.
const EXIT_STATUS: u8 = 255;

pub(in crate::autossh) const MONITORING_OFF: &str = "port set to 0, monitoring disabled";
pub(in crate::autossh) const SIGNALLED: &str = "signalled to exit";
pub(in crate::autossh) const RESTART: &str = "signalled to kill and restart ssh";
pub(in crate::autossh) const MAX_START: &str = "max start count reached; exiting";
pub(in crate::autossh) const LIFETIME: &str = "exceeded maximum time to live, shutting down";
pub(in crate::autossh) const PORT_DOWN: &str = "port down, restarting ssh";

/// Ours: autossh takes the tunnel down instead.
pub(in crate::autossh) const NO_LOOP: &str = "the monitor's own forwards are not in place, so no line is sent";

/// What ends a session, or everything, without an ssh that failed. autossh has phrases for it.
pub(in crate::autossh) const OWN_RULES: [FailureKind; 4] =
    [FailureKind::SessionLifetime, FailureKind::GateTime, FailureKind::MaxStart, FailureKind::MaxLifetime];

/// `count` starts so far, this one included.
pub(in crate::autossh) fn starting(count: u64, max: Option<u32>) -> String {
    match max {
        Some(max) => format!("starting ssh (count {count} of {max})"),
        None => format!("starting ssh (count {count})"),
    }
}

/// There is no child: SSH is spoken by this very process, and its pid is what can be signalled.
pub(in crate::autossh) fn child() -> String {
    format!("ssh child pid is {}", std::process::id())
}

/// The first start did not last.
pub(in crate::autossh) fn prematurely() -> String {
    format!("ssh exited prematurely with status {EXIT_STATUS}; autossh exiting")
}

/// A later one ended.
pub(in crate::autossh) fn ended() -> String {
    format!("ssh exited with error status {EXIT_STATUS}; restarting ssh")
}

pub(in crate::autossh) fn grace(wait: Duration) -> String {
    // What is left of a whole second is a second.
    format!("sleeping for grace time {} secs", wait.as_secs_f64().round())
}

pub(in crate::autossh) fn tries(tries: u32) -> String {
    format!("checking for grace period, tries = {tries}")
}

pub(in crate::autossh) fn signal(number: i32) -> String {
    format!("received signal to exit ({number})")
}
