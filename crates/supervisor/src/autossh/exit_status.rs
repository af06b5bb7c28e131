//! What ssh's exit status would have been: autossh's rules are about that number.

use tunnel_engine::failure::FailureKind;

/// ssh's status for everything that happens to a connection, a login or a forward (ssh(1), EXIT STATUS).
pub(super) const EXIT_STATUS: ExitStatus = ExitStatus(255);

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
    /// the command's own statuses, and SIGTERM's, which nobody can send to an ssh that is not there.
    pub(super) const fn of(kind: FailureKind) -> Option<Self> {
        match kind {
            FailureKind::SessionLifetime | FailureKind::GateTime | FailureKind::MaxStart | FailureKind::MaxLifetime => {
                None
            }
            FailureKind::Dns
            | FailureKind::ConnectRefused
            | FailureKind::ConnectTimeout
            | FailureKind::Unreachable
            | FailureKind::ServerBusy
            | FailureKind::Penalized
            | FailureKind::ConnectionLost
            | FailureKind::KeepaliveTimeout
            | FailureKind::ClosedByServer
            | FailureKind::Protocol
            | FailureKind::RemotePortBusy
            | FailureKind::ListenInUse
            | FailureKind::JumpFailed
            | FailureKind::ProxyCommandFailed
            | FailureKind::KnownHostsCommandFailed
            | FailureKind::ProbeFailed
            | FailureKind::AgentUnavailable
            | FailureKind::HostKeyUnknown
            | FailureKind::HostKeyChanged
            | FailureKind::HostKeyRevoked
            | FailureKind::AuthRejected
            | FailureKind::IdentityUnreadable
            | FailureKind::IdentityPermissions
            | FailureKind::PassphraseNeeded
            | FailureKind::NoCommonAlgorithm
            | FailureKind::RemoteForwardDenied
            | FailureKind::ListenDenied
            | FailureKind::CertificateExpired => Some(EXIT_STATUS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_connection_is_255_and_our_own_rules_are_none() {
        let without: Vec<_> = FailureKind::ALL.iter().filter(|kind| ExitStatus::of(**kind).is_none()).collect();
        assert_eq!(without.len(), 4, "{without:?}");
        assert_eq!(ExitStatus::of(FailureKind::AuthRejected), Some(EXIT_STATUS));
    }
}
