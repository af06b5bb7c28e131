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

use std::time::Instant;

use super::core::{Effects, TunnelEffect};
use crate::lifecycle::SessionId;

pub(super) use held_address::HeldAddress;
pub(crate) use inspect::{PortHolder, inspect, remove_socket_file};
pub(super) use release::{Marks, Release, hold_mark, mark};
pub(super) use remote_shell::ShellError;
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
    /// When it is marked anew, if its shell could not answer.
    mark_backoff: TakeoverBackoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ability {
    #[default]
    Unknown,
    /// A shell holds the mark.
    Marked,
    /// The shell could not answer: it is asked again.
    Unanswered,
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
            Ability::Unanswered | Ability::None => false,
        }
    }

    /// When the session is marked anew.
    pub(super) fn due(&self) -> Option<Instant> {
        self.session.and(self.mark_backoff.not_before())
    }

    /// An operator may have mended the server's shell.
    pub(super) fn retry_now(&mut self) {
        if matches!(self.ability, Ability::Unanswered | Ability::None) {
            *self = Self::default();
        }
    }

    /// Marks each new `main` session, if it has remote listeners, and one whose shell could not answer when it is `due`.
    pub(super) fn reconcile(
        &mut self,
        main: Option<SessionId>,
        has_listeners: bool,
        now: Instant,
        effects: &mut Effects,
    ) {
        if main != self.session {
            *self = Self { session: main, ..Self::default() };
        } else if self.due().is_some_and(|at| at <= now) {
            self.mark_backoff.begin();
        } else {
            return;
        }
        if let Some(session) = main.filter(|_| has_listeners) {
            effects.push(TunnelEffect::Mark(session));
        }
    }

    /// A session has its mark, or not, for the reason that is returned where it is not known yet.
    pub(super) fn marked(
        &mut self,
        session: SessionId,
        result: Result<(), ShellError>,
        now: Instant,
    ) -> Option<ShellError> {
        if self.session != Some(session) {
            return None;
        }
        let ability = match result {
            Ok(()) => Ability::Marked,
            Err(ShellError::Passing(_)) => Ability::Unanswered,
            Err(ShellError::Unusable(_)) => Ability::None,
        };
        if ability == Ability::Unanswered {
            self.mark_backoff.failed(now);
        }
        let before = std::mem::replace(&mut self.ability, ability);
        result.err().filter(|_| before != ability)
    }

    /// The server has no shell for it. Returns whether that was not known yet.
    pub(super) fn rule_out(&mut self) -> bool {
        std::mem::replace(&mut self.ability, Ability::None) != Ability::None
    }
}

#[cfg(test)]
mod ability_tests {
    use tunnel_engine::backoff::TAKEOVER_LOOK;
    use tunnel_engine::clock;

    use super::*;

    #[test]
    fn each_session_with_listeners_is_marked_once() {
        let (one, two, now) = (SessionId::from(1), SessionId::from(2), clock::now());
        let (mut takeover, mut effects) = (Takeover::default(), Effects::default());
        takeover.reconcile(Some(one), true, now, &mut effects);
        takeover.reconcile(Some(one), true, now, &mut effects);
        assert_eq!((effects.pop(), effects.pop()), (Some(TunnelEffect::Mark(one)), None));
        takeover.reconcile(Some(two), false, now, &mut effects);
        assert_eq!(effects.pop(), None);
    }

    #[test]
    fn server_without_a_shell_is_asked_once_a_session() {
        let (one, two, now) = (SessionId::from(1), SessionId::from(2), clock::now());
        let (mut takeover, mut effects) = (Takeover::default(), Effects::default());
        assert!(!takeover.may_tidy(), "there is no session");
        takeover.reconcile(Some(one), true, now, &mut effects);
        assert!(takeover.may_tidy() && takeover.is_possible());
        let unusable = || Err(ShellError::Unusable("no shell".to_owned()));
        assert_eq!(takeover.marked(two, unusable(), now), None);
        assert_eq!(takeover.marked(one, unusable(), now), unusable().err());
        assert!(!takeover.rule_out(), "known");
        assert!(!takeover.may_tidy() && !takeover.is_possible());
        takeover.reconcile(Some(two), true, now, &mut effects);
        assert!(takeover.is_possible());
    }

    #[test]
    fn silent_shell_is_asked_again_for_the_mark() {
        let (one, now) = (SessionId::from(1), clock::now());
        let (mut takeover, mut effects) = (Takeover::default(), Effects::default());
        let slow = || Err(ShellError::Passing("slow".to_owned()));
        takeover.reconcile(Some(one), true, now, &mut effects);
        assert_eq!(effects.pop(), Some(TunnelEffect::Mark(one)));
        assert_eq!(takeover.marked(one, slow(), now), slow().err());
        takeover.reconcile(Some(one), true, now, &mut effects);
        assert!(takeover.is_possible() && effects.pop().is_none());
        let later = now + TAKEOVER_LOOK.first;
        assert!(takeover.due().is_some_and(|at| at <= later));
        takeover.reconcile(Some(one), true, later, &mut effects);
        takeover.reconcile(Some(one), true, later, &mut effects);
        assert_eq!((effects.pop(), effects.pop()), (Some(TunnelEffect::Mark(one)), None));
        assert_eq!(takeover.marked(one, slow(), later), None, "told before");
        takeover.retry_now();
        takeover.reconcile(Some(one), true, later, &mut effects);
        assert_eq!(effects.pop(), Some(TunnelEffect::Mark(one)));
        assert_eq!(takeover.marked(one, Ok(()), later), None);
        assert_eq!(takeover.due(), None);
    }
}
