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
mod inspect;
mod release;
mod remote_shell;
mod report;
mod takeover_backoff;
#[cfg(test)]
mod tests;

use super::core::{Effects, TunnelEffect};
use crate::lifecycle::SessionId;

pub(super) use held_address::HeldAddress;
pub(crate) use inspect::{PortHolder, inspect, remove_socket_file};
pub(super) use release::{Marks, Release, hold_mark, mark};
pub(super) use report::{POLICY_OF_PATHS, ReleaseReport};
pub(super) use takeover_backoff::TakeoverBackoff;

/// What a server's shell must be for a takeover.
pub(super) const NEEDS: &str = "the login needs a POSIX shell on a Linux server that answers at once: no nologin, no ForceCommand, \
                     no command= in authorized_keys; until then the server is asked again and again";

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

    /// Marks each new `main` session, if it has remote listeners.
    pub(super) fn reconcile(&mut self, main: Option<SessionId>, has_listeners: bool, effects: &mut Effects) {
        if main == self.session {
            return;
        }
        *self = Self { session: main, ability: Ability::Unknown };
        if let Some(session) = main.filter(|_| has_listeners) {
            effects.push(TunnelEffect::Mark(session));
        }
    }

    /// A session has its mark, or there is no shell for it, for the reason that is returned.
    pub(super) fn marked(&mut self, session: SessionId, result: Result<(), String>) -> Option<String> {
        if self.session == Some(session) {
            return result.map(|()| self.ability = Ability::Marked).err();
        }
        None
    }

    /// The server has no shell for it. Returns whether that was not known yet.
    pub(super) fn rule_out(&mut self) -> bool {
        std::mem::replace(&mut self.ability, Ability::None) != Ability::None
    }
}

#[cfg(test)]
mod ability_tests {
    use super::*;

    #[test]
    fn each_session_with_listeners_is_marked_once() {
        let (one, two) = (SessionId::from(1), SessionId::from(2));
        let (mut takeover, mut effects) = (Takeover::default(), Effects::default());
        takeover.reconcile(Some(one), true, &mut effects);
        takeover.reconcile(Some(one), true, &mut effects);
        assert_eq!((effects.pop(), effects.pop()), (Some(TunnelEffect::Mark(one)), None));
        takeover.reconcile(Some(two), false, &mut effects);
        assert_eq!(effects.pop(), None);
    }

    #[test]
    fn server_without_a_shell_is_asked_once_a_session() {
        let (one, two) = (SessionId::from(1), SessionId::from(2));
        let (mut takeover, mut effects) = (Takeover::default(), Effects::default());
        assert!(!takeover.may_tidy(), "there is no session");
        takeover.reconcile(Some(one), true, &mut effects);
        assert!(takeover.may_tidy() && takeover.is_possible());
        assert_eq!(takeover.marked(two, Err("late".to_owned())), None);
        let why = takeover.marked(one, Err("no shell".to_owned())).expect("why");
        assert!(why == "no shell" && takeover.rule_out() && !takeover.rule_out());
        assert!(!takeover.may_tidy() && !takeover.is_possible());
        takeover.reconcile(Some(two), true, &mut effects);
        assert!(takeover.is_possible());
    }
}
