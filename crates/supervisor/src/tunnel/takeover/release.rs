//! The server's side of a takeover: which sessions of this tunnel live, and the shell that ends one that does not.

use std::sync::{Arc, Mutex, PoisonError};

use sha1::{Digest as _, Sha1};
use tokio::sync::watch;
use tunnel_engine::failure::Failure;
use tunnel_engine::session::{Channel, Path, Session};
use tunnel_engine::spec::Listen;

use super::held_address::{self, HeldAddress};
use super::remote_shell::{self, ShellError};
use super::report::ReleaseReport;
use crate::config::TunnelSpec;
use crate::lifecycle::SessionId;

/// Hex digits of a mark: more than enough for the tunnels of one account.
const DIGITS: usize = 24;

/// The marks that the sessions of a tunnel have on its server.
pub(in crate::tunnel) struct Marks {
    /// Of this tunnel, on whatever session.
    mark: String,
    sessions: MarkedSessions,
    /// The shell that holds the mark of the newest. Dropping it ends the shell.
    shell: Option<(SessionId, Channel)>,
}

/// Shared with the takeovers that wait for their turn: those that live by then count.
type MarkedSessions = Arc<Mutex<Vec<MarkedSession>>>;

/// A session that was given a number, and how to know whether it lives.
struct MarkedSession {
    number: String,
    ended: watch::Receiver<Option<Failure>>,
    path: watch::Receiver<Path>,
}

impl MarkedSession {
    fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// One whose path is in doubt does not count: another was opened in its place, which needs the port now.
    fn lives(&self) -> bool {
        !self.has_ended() && *self.path.borrow() == Path::Clear
    }
}

/// One attempt to have a port or path released.
pub(in crate::tunnel) struct Release {
    session: Session,
    held: HeldAddress,
    /// No session is ended: only a file that no program has bound is removed.
    only_file: bool,
    mark: String,
    sessions: MarkedSessions,
}

impl Marks {
    pub(in crate::tunnel) fn new(mark: String) -> Self {
        Self { mark, sessions: MarkedSessions::default(), shell: None }
    }

    /// Gives `session` a number. Returns what the shell is to be told that holds it there.
    pub(in crate::tunnel) fn add(&mut self, session: &Session) -> String {
        // Not the tunnel's own source of chance: a mark must be another one after a restart.
        let number = format!("{:016x}", fastrand::u64(..));
        let (ended, path) = (session.ended(), session.path());
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|known| !known.has_ended());
        sessions.push(MarkedSession { number: number.clone(), ended, path });
        drop(sessions);
        self.shell = None;
        format!("{}:{number}", self.mark)
    }

    /// The shell that holds the mark of this session.
    pub(in crate::tunnel) fn hold(&mut self, session: SessionId, shell: Channel) {
        self.shell = Some((session, shell));
    }

    pub(in crate::tunnel) fn release_shell(&mut self, session: SessionId) {
        self.shell.take_if(|(holder, _)| *holder == session);
    }

    pub(in crate::tunnel) fn release(&self, session: &Session, held: HeldAddress) -> Release {
        let (mark, sessions) = (self.mark.clone(), self.sessions.clone());
        Release { session: session.clone(), held, only_file: false, mark, sessions }
    }

    /// What removes the files of the sockets that `session` listened on, which sshd leaves.
    pub(in crate::tunnel) fn tidy(&self, session: &Session, listens: &[Listen]) -> Vec<Release> {
        let paths = listens.iter().filter(|listen| matches!(listen, Listen::Unix(_))).filter_map(HeldAddress::of);
        paths.map(|held| Release { only_file: true, ..self.release(session, held) }).collect()
    }
}

/// Holds `mark` on the server until the channel is dropped.
///
/// # Errors
/// Why the login's shell does not.
pub(in crate::tunnel) async fn hold_mark(session: &Session, mark: &str) -> Result<Channel, ShellError> {
    remote_shell::tell(session, mark, remote_shell::MARK).await.map(|(_, shell)| shell)
}

impl Release {
    /// Asks the server's shell to end the holder of the port or path, if it is ours, and to remove a socket file that
    /// no program has bound.
    pub(in crate::tunnel) async fn run(self) -> ReleaseReport {
        let held = match (&self.held, self.only_file) {
            (HeldAddress::Path(path), true) => format!("file:{}", held_address::octal(path)),
            (held @ (HeldAddress::Port(_) | HeldAddress::Path(_)), _) => held.to_string(),
        };
        let mut arguments = format!("{held} {}", self.mark);
        for known in self.sessions.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|known| known.lives()) {
            arguments.extend([" ", &known.number]);
        }
        match remote_shell::tell(&self.session, &arguments, remote_shell::RELEASE).await {
            Ok((line, _)) => ReleaseReport::read(&line),
            Err(ShellError::Passing(why)) => ReleaseReport::Unanswered(why),
            Err(ShellError::Unusable(why)) => ReleaseReport::Unsupported(why),
        }
    }
}

/// What stays the same of a tunnel over restarts of the program and of the machine: `tunneld:` and a digest of machine, user,
/// tunnel and server, for the server's other users may read it.
pub(in crate::tunnel) fn mark(spec: &TunnelSpec) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = nix::unistd::gethostname().unwrap_or_default();
    digest(&[
        machine.trim(),
        &host.to_string_lossy(),
        &nix::unistd::getuid().to_string(),
        &spec.name,
        &spec.session.destination.to_string(),
    ])
}

fn digest(parts: &[&str]) -> String {
    let hash = Sha1::digest(parts.join("\n"));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("tunneld:{}", &hex[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::test_support::tunnel_spec;

    #[test]
    fn mark_is_stable_and_unique_per_tunnel_and_server() {
        let spec = tunnel_spec("t", &[]);
        assert_eq!(mark(&spec), mark(&spec));
        assert_ne!(mark(&spec), mark(&tunnel_spec("u", &[])));
        let mut elsewhere = spec.clone();
        elsewhere.session.destination.host = "elsewhere".to_owned();
        assert_ne!(mark(&spec), mark(&elsewhere));
        assert!(mark(&spec).chars().all(|c| c.is_ascii_alphanumeric() || c == ':'), "safe in any shell");
    }
}
