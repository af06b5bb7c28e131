//! `on_remote_port_busy = "takeover"`: an earlier session of this tunnel, whose client is gone, still holds our port or
//! socket on the server; it is ended there, by the same user, without root. The file of a unix socket, which sshd leaves
//! behind at every end of a session, is removed when no program has it bound.
//!
//! ```text
//!   each session ─► a shell that waits, with the tunnel's mark in its arguments; its parent is our sshd process
//!   port refused, or not ours by the loop ─► release.sh, on the new session:
//!        a listener there of this user? ─ no ─► free, or another user's
//!        a program's? ─ yes ─► named, and left alone
//!        sessions with our mark that do not live, else the only other session there is ─► ended
//!        several ─► none
//!        no listener, and a socket file ─► removed; a file of another kind, a symbolic link, another user's ─► left alone
//! ```
//! The mark says machine, user, tunnel and server, so that it is the same after a restart or a power cut of this machine.

mod held_address;
mod identity;
mod inspect;
mod remote_shell;
mod report;
mod takeover_backoff;
#[cfg(test)]
mod tests;

use tokio::sync::watch;
use tunnel_engine::failure::Failure;
use tunnel_engine::session::{Channel, Path, Session};
use tunnel_engine::spec::Listen;

pub(super) use held_address::HeldAddress;
pub(crate) use inspect::{PortHolder, inspect, remove_socket_file};
pub(super) use report::{POLICY_OF_PATHS, ReleaseReport};
pub(super) use takeover_backoff::TakeoverBackoff;

use super::actor::{Actor, TunnelEvent};
use crate::config::{OnRemotePortBusy, TunnelSpec};

/// What a server's shell must be for a takeover.
const NEEDS: &str = "the login needs a POSIX shell on a Linux server: no nologin, no ForceCommand, no command= in \
                     authorized_keys; until then the server is asked again each second";

/// The takeover's part of a tunnel.
pub(super) struct Takeover {
    /// Of this tunnel, on whatever session.
    mark: String,
    /// Its sessions.
    sessions: Vec<MarkedSession>,
    /// The session that was marked last.
    serial: Option<u64>,
    ability: Ability,
}

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

enum Ability {
    Unknown,
    /// The shell that holds the mark. Dropping it ends the shell.
    Marked {
        _shell: Channel,
    },
    /// There is no shell to talk to.
    None,
}

/// What the marking came to.
pub(super) struct Marked {
    serial: u64,
    result: Result<Channel, String>,
}

/// One attempt to have a port or path released.
pub(super) struct Release {
    session: Session,
    held: HeldAddress,
    /// No session is ended: only a file that no program has bound is removed.
    only_file: bool,
    mark: String,
    living: Vec<String>,
}

impl Takeover {
    pub(super) fn new(spec: &TunnelSpec) -> Self {
        Self { mark: identity::mark(spec), sessions: Vec::new(), serial: None, ability: Ability::Unknown }
    }

    /// False when the server is known to have no shell for it.
    pub(super) const fn is_possible(&self) -> bool {
        !matches!(self.ability, Ability::None)
    }

    pub(super) fn release(&self, session: &Session, held: HeldAddress) -> Release {
        let living = self.sessions.iter().filter(|known| known.lives());
        Release {
            session: session.clone(),
            held,
            only_file: false,
            mark: self.mark.clone(),
            living: living.map(|known| known.number.clone()).collect(),
        }
    }
}

impl Takeover {
    /// What removes the files of the sockets that `session` listened on, which sshd leaves. None without takeover, and
    /// where the login is known to have no shell. A session that ends right after its start is not marked yet: it is tried.
    pub(super) fn tidy(&self, session: &Session, listens: &[Listen]) -> Vec<Release> {
        let may_have_a_shell = match self.ability {
            Ability::Marked { .. } => true,
            Ability::Unknown => self.serial.is_some(),
            Ability::None => false,
        };
        if !may_have_a_shell {
            return Vec::new();
        }
        let paths = listens.iter().filter(|listen| matches!(listen, Listen::Unix(_))).filter_map(HeldAddress::of);
        paths.map(|held| Release { only_file: true, ..self.release(session, held) }).collect()
    }
}

impl Release {
    /// Asks the server's shell to end the holder of the port or path, if it is ours, and to remove a socket file that
    /// no program has bound.
    pub(super) async fn run(self) -> ReleaseReport {
        let held = match (&self.held, self.only_file) {
            (HeldAddress::Path(path), true) => format!("file:{}", held_address::octal(path)),
            (held @ (HeldAddress::Port(_) | HeldAddress::Path(_)), _) => held.to_string(),
        };
        let arguments = format!("{held} {} {}", self.mark, self.living.join(" "));
        match remote_shell::tell(&self.session, &arguments, remote_shell::RELEASE).await {
            Ok((line, _)) => ReleaseReport::read(&line),
            Err(why) => ReleaseReport::Unsupported(why),
        }
    }
}

impl Actor {
    /// Marks each new session of a tunnel that may have to take its ports over. To be called after each event.
    pub(super) fn reconcile_mark(&mut self) {
        if self.spec.on_remote_port_busy != OnRemotePortBusy::Takeover {
            return;
        }
        let serial = self.live.as_ref().map(|live| live.serial);
        if serial == self.takeover.serial {
            return;
        }
        self.takeover.serial = serial;
        self.takeover.ability = Ability::Unknown;
        let Some(live) = self.live.as_ref().filter(|_| !self.remotes.is_empty()) else { return };
        // Not the tunnel's own source of chance: a mark must be another one after a restart.
        let number = format!("{:016x}", fastrand::u64(..));
        self.takeover.sessions.retain(|known| !known.has_ended());
        let (ended, path) = (live.session.ended(), live.session.path());
        self.takeover.sessions.push(MarkedSession { number: number.clone(), ended, path });
        let (serial, session, mark) = (live.serial, live.session.clone(), self.takeover.mark.clone());
        self.jobs.spawn(async move {
            let marked = remote_shell::tell(&session, &format!("{mark}:{number}"), remote_shell::MARK).await;
            TunnelEvent::Marked(Marked { serial, result: marked.map(|(_, shell)| shell) })
        });
    }

    pub(super) fn marked(&mut self, Marked { serial, result }: Marked) {
        if self.takeover.serial != Some(serial) {
            return;
        }
        match result {
            Ok(shell) => self.takeover.ability = Ability::Marked { _shell: shell },
            Err(why) => self.takeover_is_impossible(&why),
        }
    }

    pub(super) fn takeover_is_impossible(&mut self, why: &str) {
        if self.takeover.is_possible() {
            self.takeover.ability = Ability::None;
            let (tunnel, server) = (self.spec.name.as_str(), &self.spec.session.destination);
            tracing::warn!(tunnel, %server, hint = NEEDS, "{tunnel}: no takeover on this server: {why}");
        }
    }
}
