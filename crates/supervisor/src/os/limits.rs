//! Limits of the process.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tunnel_engine::spec::{Bind, Forward, Listen, Route, SessionSpec, Side};

use crate::config::Desired;

/// Connections to the HTTP listener at once. A machine has a scraper or two, a health check, and a few browsers.
pub(crate) const HTTP_CONNECTIONS: usize = 64;

/// Lets us have as many open files as the system allows: each forwarded connection needs one. The soft limit is
/// low for the sake of programs that use select(2); we do not.
pub fn raise_open_files() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// What `RLIMIT_NOFILE` is now.
pub fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// Whether an error says that there is no descriptor left, in this process or on this machine.
pub fn is_out_of_open_files(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE].iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// What a config may have open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Listeners and sessions.
    lasting: u64,
    /// As many connections as `max_connections` of all forwards allow.
    connections: u64,
}

impl OpenFiles {
    /// The process itself: its log, its sockets, files that are read, clients of the control socket.
    const OWN: u64 = 64;

    /// Of the tunnels that are enabled.
    pub fn of(desired: &Desired) -> Self {
        let mut files = Self { lasting: Self::OWN, connections: 0 };
        if desired.global.metrics.is_some() {
            files.lasting += HTTP_CONNECTIONS as u64;
        }
        for tunnel in desired.tunnels.iter().filter(|tunnel| tunnel.enabled) {
            // One more while a session is replaced.
            files.lasting += (u64::from(tunnel.sessions) + 1) * link(&tunnel.session);
            for forward in &tunnel.forwards {
                files.lasting += listeners(forward);
                files.connections += u64::from(forward.max_connections.unwrap_or(tunnel.max_connections));
            }
        }
        files
    }

    /// What to say about a limit that is lower than that; `None` where all fits.
    pub fn beyond(self, limit: u64) -> Option<OpenFilesWarning> {
        const ADVICE: &str = "raise LimitNOFILE= of the unit, or `ulimit -Hn`";
        let Self { lasting, connections } = self;
        if lasting > limit {
            return Some(OpenFilesWarning::Certain(format!(
                "the listeners and sessions of this config need {lasting} open files, and {limit} are allowed: {ADVICE}"
            )));
        }
        let room = limit - lasting;
        (connections > room).then(|| {
            OpenFilesWarning::Possible(format!("{limit} open files leave room for {room} connections at once, and max_connections of all forwards together allow {connections}: {ADVICE}"))
        })
    }
}

/// Why the limit of open files may be too low, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenFilesWarning {
    /// Some tunnels cannot come up, or some listeners cannot be bound.
    Certain(String),
    /// More connections are allowed than fit.
    Possible(String),
}

impl OpenFilesWarning {
    /// To the log.
    pub fn log(&self) {
        match self {
            Self::Certain(text) => tracing::warn!("{text}"),
            Self::Possible(text) => tracing::info!("{text}"),
        }
    }
}

/// Descriptors of one session's link: of a command, three pipes.
fn link(session: &SessionSpec) -> u64 {
    match &session.dial.via {
        Route::Direct => 1,
        Route::Jump(jump) => link(jump),
        Route::Command(_) => 3,
    }
}

/// Sockets that a forward listens on here, one an address family.
fn listeners(forward: &Forward) -> u64 {
    match (forward.kind.side(), &forward.listen) {
        (Side::Server, _) => 0,
        (Side::Here, Listen::Tcp { bind: Bind::Default | Bind::Any, .. }) => 2,
        (Side::Here, Listen::Tcp { bind: Bind::Address(_), .. } | Listen::Unix(_) | Listen::Device { .. }) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = raise_open_files().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    }

    #[test]
    fn config_is_measured_against_the_limit_in_one_line() {
        let text = r#"
            [[tunnel]]
            name = "t"
            host = "h"
            user = "u"
            sessions = 2
            local_forward = ["1:a:1", "127.0.0.1:2:a:1", { listen = "/run/s", connect = "a:1", max_connections = 4 }]
            remote_forward = ["3:a:1"]
            max_connections = 100
            [[tunnel]]
            name = "off"
            host = "h"
            user = "u"
            enabled = false
            dynamic_forward = ["4"]
        "#;
        let desired = crate::config::load_text(std::path::Path::new("/t.toml"), text, &Default::default()).unwrap();
        let files = OpenFiles::of(&desired);
        assert_eq!(files, OpenFiles { lasting: OpenFiles::OWN + 3 + 4, connections: 304 });
        assert_eq!(files.beyond(1024), None);
        let Some(OpenFilesWarning::Certain(text)) = files.beyond(70) else { panic!() };
        assert!(text.contains("need 71 open files, and 70 are allowed"), "{text}");
        let Some(OpenFilesWarning::Possible(text)) = files.beyond(171) else { panic!() };
        assert!(text.contains("room for 100 connections at once"), "{text}");
    }
}
