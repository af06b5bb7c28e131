//! A start that the machine asked for.

use super::HostSequence;
use super::login::PendingLogin;
use crate::lifecycle::SessionId;

/// A start under way.
#[derive(Debug)]
pub(in crate::tunnel) enum LoginAttempt {
    /// It waits for local listeners, without which exit_on_forward_failure makes no session.
    Waiting(SessionId, HostSequence),
    LoggingIn(PendingLogin),
}

impl LoginAttempt {
    pub(in crate::tunnel) fn awaits(&self, session: SessionId) -> bool {
        matches!(self, Self::LoggingIn(login) if login.session == session)
    }
}
