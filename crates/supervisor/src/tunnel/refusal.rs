//! What a refused remote forward means, and when to ask again: pure.

use std::path::Path;
use std::time::Instant;

use tunnel_engine::backoff::{Backoff, REMOTE_PORT, REMOTE_PORT_DENIED, REMOTE_PORT_EARLY, REMOTE_PORT_LATE};
use tunnel_engine::clock;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::ForwardError;
use tunnel_engine::spec::{Bind, Listen};
use tunnel_engine::words;

use super::takeover::POLICY_OF_PATHS;
use crate::config::OnRemotePortBusy;

/// Requests are made on ticks of this part of their wait, early by less than that.
const TICKS_IN_A_WAIT: u32 = 10;

/// Words with which servers say that it is their policy, not a busy port (OpenSSH: "Server has disabled port
/// forwarding.", and of PermitListen "port forwarding refused").
const POLICY_WORDS: &[&str] =
    &["disabled", "denied", UNLISTED_WORDS, "prohibit", "forbidden", "not allowed", "not permitted", "administrative"];

/// Of PermitListen, by OpenSSH.
const UNLISTED_WORDS: &str = "forwarding refused";

/// The ports that only root may listen on, where the server's administrator changed nothing.
const PRIVILEGED: std::ops::Range<u16> = 1..1024;

const PRIVILEGED_DENIED: &str = "use a port above 1023: the lower ones need root on the server; or allow forwards there: \
     AllowTcpForwarding, PermitListen, and the key's options in authorized_keys; then `tunneld restart` the tunnel, as sshd \
     keeps for a session what it had at its login";

/// A refused forward as a failure. OpenSSH says why when its policy forbids it, and nothing when the port is taken; other
/// servers never say why. A port that is taken is by far the most common reason, and our own session of before, which
/// the server has not given up yet, the most common holder. The hint leaves out what the port asked for, or the config, rules out.
pub(super) fn judge(error: &ForwardError, asked: &Listen, on_busy: OnRemotePortBusy) -> Failure {
    if is_policy(error) {
        let denied = Failure::new(FailureKind::RemoteForwardDenied, error.to_string());
        return match asked {
            // OpenSSH says the same words for these.
            Listen::Tcp { port, .. } if PRIVILEGED.contains(port) => denied.with_hint(PRIVILEGED_DENIED),
            Listen::Tcp { .. } | Listen::Device { .. } => denied,
            Listen::Unix(_) => denied.with_hint(POLICY_OF_PATHS),
        };
    }
    Failure::new(FailureKind::RemotePortBusy, error.to_string()).with_told_hint(hint(asked, on_busy))
}

/// Whether the server says that its policy forbids the listener.
pub(crate) fn is_policy(error: &ForwardError) -> bool {
    let Some(reason) = reason(error) else { return false };
    POLICY_WORDS.iter().any(|word| reason.contains(word))
}

/// Whether these are OpenSSH's words for a listener that PermitListen or permitlisten= does not name, where forwards as
/// such are allowed.
pub(crate) fn is_unlisted(error: &ForwardError) -> bool {
    reason(error).is_some_and(|reason| reason.contains(UNLISTED_WORDS))
}

/// The server's words, in lower case.
fn reason(error: &ForwardError) -> Option<String> {
    match error {
        ForwardError::Refused { reason: Some(reason), .. } => Some(reason.to_lowercase()),
        ForwardError::Refused { reason: None, .. } | ForwardError::Timeout { .. } | ForwardError::SessionEnded => None,
    }
}

fn hint(asked: &Listen, on_busy: OnRemotePortBusy) -> String {
    let takes_over = on_busy == OnRemotePortBusy::Takeover;
    let port = match asked {
        Listen::Unix(path) => return hint_of_path(path, takes_over),
        Listen::Tcp { port: 0, .. } => {
            "the server lets us listen on no port at all: look at AllowTcpForwarding and PermitListen there, and at \
             the key's options in authorized_keys"
        }
        Listen::Tcp { port, .. } if PRIVILEGED.contains(port) => {
            "use a port above 1023: the lower ones need root on the server"
        }
        Listen::Tcp { .. } | Listen::Device { .. } if takes_over => {
            "most likely an earlier session of this tunnel still holds it, and takeover could not end it: ClientAliveInterval \
             on the server ends it sooner by itself; else another program listens there, or AllowTcpForwarding or PermitListen forbids it"
        }
        Listen::Tcp { .. } | Listen::Device { .. } => {
            "most likely an earlier session of this tunnel still holds it: on_remote_port_busy = \"takeover\" ends it, \
             ClientAliveInterval on the server ends it sooner by itself; else another program listens there, or AllowTcpForwarding or PermitListen forbids it"
        }
    };
    words::own(port).into_owned()
}

/// sshd leaves the file of its socket behind, however a session ends, and does not listen where a file is.
fn hint_of_path(path: &Path, takes_over: bool) -> String {
    let takeover = if takes_over { "" } else { ", or on_remote_port_busy = \"takeover\" here" };
    words::about(
        "most likely an earlier session left its socket file: remove `{}` on the server, or set \
         `StreamLocalBindUnlink yes` in its sshd_config{}; else another \
         program listens there, its directory does not exist, or AllowStreamLocalForwarding forbids it",
        [&path.display().to_string(), &words::own(takeover)],
    )
}

/// By which schedule to ask again on the same session; `None`: not at all.
pub(super) fn again(failure: &Failure, answered: bool, on_busy: OnRemotePortBusy) -> Option<Backoff> {
    match on_busy {
        // A server that did not answer has refused nothing.
        OnRemotePortBusy::Fail if answered => None,
        OnRemotePortBusy::Fail => Some(REMOTE_PORT),
        OnRemotePortBusy::Retry | OnRemotePortBusy::Takeover if failure.kind() == FailureKind::RemoteForwardDenied => {
            Some(REMOTE_PORT_DENIED)
        }
        OnRemotePortBusy::Retry | OnRemotePortBusy::Takeover => Some(REMOTE_PORT),
    }
}

/// When to ask next for a port that has been busy since then, on the living session. `draw`, in `0.0..1.0`, decides the
/// random share.
pub(super) fn next_request(now: Instant, busy_since: Instant, draw: f64) -> Instant {
    let (schedule, before) = match now.saturating_duration_since(busy_since).checked_sub(REMOTE_PORT_EARLY) {
        None => (REMOTE_PORT, 0),
        Some(late) => (REMOTE_PORT_LATE, REMOTE_PORT_LATE.waits_within(late)),
    };
    clock::tick_before(now + schedule.drawn(before, draw), schedule.wait(before) / TICKS_IN_A_WAIT)
}

/// `listen` with the port that the server chose, if it was to choose.
pub(crate) fn with_port(listen: &Listen, allocated: Option<u16>) -> Listen {
    match (listen, allocated) {
        (Listen::Tcp { bind, port: 0 }, Some(port)) => Listen::Tcp { bind: bind.clone(), port },
        (Listen::Tcp { .. } | Listen::Unix(_) | Listen::Device { .. }, _) => listen.clone(),
    }
}

/// A listen address on the server, as status shows it.
pub(crate) fn shown(listen: &Listen) -> String {
    match listen {
        Listen::Tcp { bind: Bind::Default, port } => format!("localhost:{port}"),
        Listen::Tcp { .. } | Listen::Unix(_) | Listen::Device { .. } => listen.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(reason: Option<&str>) -> ForwardError {
        ForwardError::Refused { listen: "2222".into(), reason: reason.map(str::to_owned) }
    }

    fn judge(error: &ForwardError, asked: &Listen) -> Failure {
        super::judge(error, asked, OnRemotePortBusy::Retry)
    }

    fn on(port: u16) -> Listen {
        Listen::Tcp { bind: Bind::Default, port }
    }

    #[test]
    fn a_refusal_without_a_reason_is_a_busy_port() {
        let failure = judge(&refused(None), &on(2222));
        assert_eq!(failure.kind(), FailureKind::RemotePortBusy);
        assert!(failure.hint().contains("earlier session"), "{}", failure.hint());
    }

    #[test]
    fn the_hint_fits_the_port_that_was_asked_for() {
        let hint = |port| judge(&refused(None), &on(port)).hint().to_owned();
        assert!(hint(0).contains("PermitListen") && !hint(0).contains("earlier session"), "{}", hint(0));
        assert!(hint(80).contains("root") && hint(1023).contains("root"), "{}", hint(80));
        assert!(!hint(1024).contains("root"), "{}", hint(1024));
        let denied = judge(&refused(Some("Server has disabled port forwarding.")), &on(80));
        assert!(denied.hint().contains("root") && denied.hint().contains("PermitListen"), "{}", denied.hint());
    }

    #[test]
    fn takeover_is_not_the_way_out_where_it_is_set() {
        for asked in [on(2222), Listen::Unix("/run/r.sock".into())] {
            let hint = |on_busy| super::judge(&refused(None), &asked, on_busy).hint().to_owned();
            assert!(hint(OnRemotePortBusy::Retry).contains("on_remote_port_busy"));
            let set = hint(OnRemotePortBusy::Takeover);
            assert!(set.contains("earlier session") && !set.contains("on_remote_port_busy"), "{set}");
        }
    }

    #[test]
    fn refused_path_is_most_likely_a_leftover_file() {
        let path = Listen::Unix("/run/r.sock".into());
        let failure = judge(&refused(None), &path);
        assert_eq!(failure.kind(), FailureKind::RemotePortBusy);
        for words in ["`/run/r.sock`", "StreamLocalBindUnlink yes", "takeover", "AllowStreamLocalForwarding"] {
            assert!(failure.hint().contains(words), "{}", failure.hint());
        }
        let denied = judge(&refused(Some("disabled")), &path);
        assert!(denied.hint().contains("AllowStreamLocalForwarding"), "{}", denied.hint());
        for hint in [failure.hint(), denied.hint()] {
            assert!(!hint.contains("another port") && !hint.contains("PermitListen"), "{hint}");
        }
    }

    #[test]
    fn a_refusal_that_names_the_servers_policy_is_one() {
        for reason in ["Server has disabled port forwarding.", "Administratively prohibited"] {
            assert_eq!(judge(&refused(Some(reason)), &on(2222)).kind(), FailureKind::RemoteForwardDenied, "{reason}");
        }
        assert_eq!(judge(&refused(Some("address in use")), &on(2222)).kind(), FailureKind::RemotePortBusy);
    }

    #[test]
    fn busy_port_is_retried_sooner_than_a_forbidden_one() {
        let (busy, denied) = (judge(&refused(None), &on(2222)), judge(&refused(Some("disabled")), &on(2222)));
        assert_eq!(again(&busy, true, OnRemotePortBusy::Retry), Some(REMOTE_PORT));
        assert_eq!(again(&denied, true, OnRemotePortBusy::Retry), Some(REMOTE_PORT_DENIED));
        assert_eq!(again(&busy, true, OnRemotePortBusy::Fail), None);
        assert_eq!(again(&busy, false, OnRemotePortBusy::Fail), Some(REMOTE_PORT));
    }

    #[test]
    fn port_that_stays_busy_is_asked_for_less_often() {
        let since = clock::now();
        let wait = |seconds: u64, draw| {
            let now = since + Duration::from_secs(seconds);
            next_request(now, since, draw).saturating_duration_since(now).as_secs_f64()
        };
        for (busy_for, longest) in
            [(0, 1.0), (299, 1.0), (300, 2.0), (302, 4.0), (306, 8.0), (314, 10.0), (86_400, 10.0)]
        {
            let (least, most) = (wait(busy_for, 0.0), wait(busy_for, 0.99));
            assert!(least > longest * 0.89 && least <= longest, "{busy_for} s: {least}");
            assert!(most > longest * 1.09 && most < longest * 1.2, "{busy_for} s: {most}");
        }
    }

    #[test]
    fn requests_of_all_tunnels_are_made_on_the_same_ticks() {
        let since = clock::now();
        let (near, nearer) = (since + Duration::from_millis(3), since + Duration::from_millis(4));
        let apart = next_request(nearer, since, 0.5).saturating_duration_since(next_request(near, since, 0.5));
        assert!([Duration::ZERO, Duration::from_millis(100)].contains(&apart), "{apart:?}");
    }

    #[test]
    fn only_a_port_that_the_server_chose_is_filled_in() {
        let any = |port| Listen::Tcp { bind: Bind::Any, port };
        assert_eq!(with_port(&any(0), Some(4000)), any(4000));
        assert_eq!(with_port(&any(22), Some(4000)), any(22));
        assert_eq!(shown(&Listen::Tcp { bind: Bind::Default, port: 22 }), "localhost:22");
    }
}
