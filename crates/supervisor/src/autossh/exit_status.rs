//! What ssh's exit status would have been: autossh's rules are about that number.

use tunnel_engine::failure::FailureKind;

/// ssh's status for everything that happens to a connection, a login or a forward (ssh(1), EXIT STATUS).
pub(super) const EXIT_STATUS: ExitStatus = ExitStatus(255);

/// What ends a session, or everything, without an ssh that failed. autossh's own phrases tell it.
pub(super) const OWN_RULES: [FailureKind; 4] =
    [FailureKind::SessionLifetime, FailureKind::GateTime, FailureKind::MaxStart, FailureKind::MaxLifetime];

/// The status of an `ssh -N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExitStatus(pub(super) u8);

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ExitStatus {
    /// `None`: ssh would not have exited. Without a remote command nothing is left that ends with 0, 1 or 2: those are
    /// the command's own statuses, and SIGTERM's, which cannot be sent to an ssh that is not there.
    pub(super) fn of(kind: FailureKind) -> Option<Self> {
        (!OWN_RULES.contains(&kind)).then_some(EXIT_STATUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_is_255_for_every_end_of_a_connection() {
        assert_eq!(ExitStatus::of(FailureKind::AuthRejected), Some(EXIT_STATUS));
        assert_eq!(ExitStatus::of(FailureKind::GateTime), None);
    }
}
