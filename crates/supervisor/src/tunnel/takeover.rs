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
mod release;
mod remote_shell;
mod report;
mod takeover_backoff;
#[cfg(test)]
mod tests;

use super::core::{Core, Effect};
use crate::config::OnRemotePortBusy;
use crate::lifecycle::SessionId;

pub(super) use held_address::HeldAddress;
pub(super) use identity::mark;
pub(crate) use inspect::{PortHolder, inspect, remove_socket_file};
pub(super) use release::{Marks, Release, hold_mark};
pub(super) use report::{POLICY_OF_PATHS, ReleaseReport};
pub(super) use takeover_backoff::TakeoverBackoff;

/// What a server's shell must be for a takeover.
const NEEDS: &str = "the login needs a POSIX shell on a Linux server: no nologin, no ForceCommand, no command= in \
                     authorized_keys; until then the server is asked again each second";

/// The takeover's part of a tunnel.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// The session that was marked last.
    session: Option<SessionId>,
    ability: Ability,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ability {
    #[default]
    Unknown,
    /// A shell holds the mark.
    Marked,
    /// There is no shell to talk to.
    None,
}

impl Takeover {
    /// False when the server is known to have no shell for it.
    pub(super) fn is_possible(&self) -> bool {
        self.ability != Ability::None
    }

    /// Whether the files of the sockets that a session listened on may be removed, which sshd leaves. Not without
    /// takeover, nor where the login is known to have no shell. A session that ends right after its start is not marked
    /// yet: it is tried.
    pub(super) fn may_tidy(&self) -> bool {
        match self.ability {
            Ability::Marked => true,
            Ability::Unknown => self.session.is_some(),
            Ability::None => false,
        }
    }
}

impl Core {
    /// Marks each new session of a tunnel that may have to take its ports over.
    pub(super) fn reconcile_mark(&mut self) {
        if self.spec.on_remote_port_busy != OnRemotePortBusy::Takeover {
            return;
        }
        let session = self.sessions.main.as_ref().map(|live| live.id);
        if session == self.takeover.session {
            return;
        }
        self.takeover = Takeover { session, ability: Ability::Unknown };
        if let Some(session) = session.filter(|_| !self.remotes.is_empty()) {
            self.effect(Effect::Mark(session));
        }
    }

    pub(super) fn marked(&mut self, session: SessionId, result: Result<(), String>) {
        if self.takeover.session != Some(session) {
            return;
        }
        match result {
            Ok(()) => self.takeover.ability = Ability::Marked,
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
