//! Why a session ended, or never began: one kind that policy reads, one message and one hint that people read.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::shortage;
use crate::words;

/// The one reason for the end of a session (or of the attempt to have one).
#[derive(Debug, Clone)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    hint: Option<String>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    unreached: Option<Unreached>,
}

impl Failure {
    /// `message` says who did what: lower case, no full stop, names in backticks. It never holds a secret.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let reworded = match words::own(kind.hint()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(hint) => Some(hint),
        };
        Self { kind, message: message.into(), hint: reworded, source: None, unreached: None }
    }

    /// A hint better than the kind's own: what to do next.
    #[must_use]
    pub fn with_hint(self, hint: &'static str) -> Self {
        self.with_told_hint(words::own(hint))
    }

    /// The same with the names of this case: made by [`words::about`], or kept from another failure.
    #[must_use]
    pub fn with_told_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error below, for the log's chain.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// As [`Failure::with_source`]. An error that is a shortage of this machine's makes the failure a `resource_shortage`,
    /// whatever was asked for: it says nothing about a server, nor about a file.
    #[must_use]
    pub fn caused_by(mut self, error: io::Error) -> Self {
        if let Some(hint) = shortage::hint(&error) {
            self.kind = FailureKind::ResourceShortage;
            self.hint = Some(hint);
            self.unreached = None;
        }
        self.with_source(error)
    }

    /// The same failure told at another level: `jump host \`b\`: …`.
    #[must_use]
    pub fn in_context(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The same story under another kind: a jump host that is down is `jump_failed` for the tunnel behind it.
    #[must_use]
    pub fn with_kind(mut self, kind: FailureKind) -> Self {
        let hint = self.hint().to_owned();
        self.hint = Some(hint);
        self.kind = kind;
        self
    }

    /// No server was found at the first address of the route: see [`Unreached::Directly`].
    #[must_use]
    pub const fn not_reached(mut self) -> Self {
        self.unreached = Some(Unreached::Directly);
        self
    }

    /// A jump host found no server at the next address of the route: see [`Unreached::BehindJump`].
    #[must_use]
    pub const fn not_reached_from_jump_host(mut self) -> Self {
        self.unreached = Some(Unreached::BehindJump);
        self
    }

    /// Where the route ended without a server; `None` where a server was reached. Kept when the failure is told at
    /// another level.
    pub const fn unreached(&self) -> Option<Unreached> {
        self.unreached
    }

    /// What policy, metrics and scripts read.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Which side did what, lower case, no full stop.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next, lower case, no full stop.
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.kind.hint())
    }
}

/// Where a start found no server at an address: refused, no route, no answer, no such name. It says nothing about
/// logins, and whether the server is back can be asked without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unreached {
    /// At the first address of the route, asked by TCP.
    Directly,
    /// At an address behind a jump host whose own session is fine.
    BehindJump,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Two failures are the same when people read the same; the source is for the log.
impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.message == other.message && self.hint() == other.hint()
    }
}

impl Eq for Failure {}

macro_rules! failure_kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal, $class:ident, $hint:literal;)+) => {
        /// What kind of failure: the word in status, metrics and logs, and whether trying again by itself can help.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FailureKind { $($(#[doc = $doc])+ $variant,)+ }

        impl FailureKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word used outside: `keepalive_timeout`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// True when only a person (or a changed file) can help: the tunnel becomes `blocked`.
            pub const fn is_permanent(self) -> bool {
                match self { $(Self::$variant => failure_kinds!(@class $class),)+ }
            }

            /// What to do next, where the failure itself knows nothing better.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)+ }
            }
        }
    };
    (@class permanent) => { true };
    (@class transient) => { false };
}

failure_kinds! {
    /// The name could not be resolved.
    Dns, "dns", transient, "check the name, and the resolver of this machine";
    /// Nothing listens on the server's port.
    ConnectRefused, "connect_refused", transient, "check that sshd runs there, the port, and the firewall";
    /// No answer in time, from dial to authenticated.
    ConnectTimeout, "connect_timeout", transient, "check the route and the firewall, or raise connect_timeout";
    /// No route to the server.
    Unreachable, "unreachable", transient, "check this machine's network and the route to the server";
    /// The server refused before its banner: too many logins at once (MaxStartups).
    ServerBusy, "server_busy", transient, "the server limits logins at once; raise MaxStartups in its sshd_config if this persists";
    /// The server refuses this source address for a while (PerSourcePenalties, OpenSSH 9.8 and later).
    Penalized, "penalized", transient, "the server punishes this address for failed logins: find the failing client behind it, or exempt it with PerSourcePenaltyExemptList";
    /// The connection broke.
    ConnectionLost, "connection_lost", transient, "nothing to do if it comes back; otherwise look at the network between";
    /// The server stopped answering.
    KeepaliveTimeout, "keepalive_timeout", transient, "nothing to do if it comes back; otherwise look at the network between";
    /// The server ended the session.
    ClosedByServer, "closed_by_server", transient, "look into the server's log for the reason";
    /// The peer said something that is not SSH, or not allowed.
    Protocol, "protocol", transient, "check that host and port are those of an SSH server";
    /// The server could not listen on the port: most often the old session still holds it.
    RemotePortBusy, "remote_port_busy", transient, "wait for the old session to end, set ClientAliveInterval on the server, or choose another port";
    /// A local listen address is taken.
    ListenInUse, "listen_in_use", transient, "stop the program that holds the address, or choose another port";
    /// A jump host could not be passed.
    JumpFailed, "jump_failed", transient, "check the jump host by itself: `ssh` to it, then from it to the server";
    /// The proxy command ended or could not be run.
    ProxyCommandFailed, "proxy_command_failed", transient, "run the proxy_command by hand and look at what it says";
    /// The session was up but carried no data.
    ProbeFailed, "probe_failed", transient, "look at the forward's message in `tunneld status`";
    /// The session reached `session_lifetime`.
    SessionLifetime, "session_lifetime", transient, "nothing to do: the session is replaced as configured";
    /// The known_hosts command ended badly or could not be run.
    KnownHostsCommandFailed, "known_hosts_command_failed", transient, "run the known_hosts_command by hand and look at what it says";
    /// The agent did not answer, and nothing else could prove who we are.
    AgentUnavailable, "agent_unavailable", transient, "start the agent, or set identity_agent or identity_file";
    /// This process or this machine had no file descriptor or no memory left for the login.
    ResourceShortage, "resource_shortage", transient, "raise LimitNOFILE= of the unit, or `ulimit -Hn`; free memory";
    /// No known_hosts file knows the server's key.
    HostKeyUnknown, "host_key_unknown", permanent, "compare the fingerprint with the server's owner, then run `tunneld trust HOST`";
    /// The server's key is not the one that known_hosts has.
    HostKeyChanged, "host_key_changed", permanent, "if the change is announced, remove the old line with `ssh-keygen -R`; otherwise another machine may be in between";
    /// The server's key is marked `@revoked`, or in a list of `revoked_host_keys`.
    HostKeyRevoked, "host_key_revoked", permanent, "do not connect; ask the server's owner for its new key";
    /// The server took none of our proofs.
    AuthRejected, "auth_rejected", permanent, "add the public key to the user's authorized_keys on the server, or check the user name; an account that is expired, locked or not allowed there (AllowUsers, DenyUsers) is refused as a wrong key is: the server's auth log says which";
    /// The server wants a new password before it lets the user in.
    PasswordChangeRequired, "password_change_required", permanent, "log in once with ssh and set a new password, then write it into password_file";
    /// A private key cannot be read.
    IdentityUnreadable, "identity_unreadable", permanent, "check that the file exists, is a private key, and is readable by the user that runs tunneld";
    /// A private key is readable by others.
    IdentityPermissions, "identity_permissions", permanent, "run `chmod 600` on the key file";
    /// A private key is encrypted and there is no passphrase for it, or a wrong one.
    PassphraseNeeded, "passphrase_needed", permanent, "set passphrase_file, or load the key into an agent";
    /// Nothing in common in key exchange, host key, cipher or MAC.
    NoCommonAlgorithm, "no_common_algorithm", permanent, "enable one of the server's algorithms with kex_algorithms, host_key_algorithms, ciphers or macs";
    /// The server's policy forbids the remote forward.
    RemoteForwardDenied, "remote_forward_denied", permanent, "allow it on the server: AllowTcpForwarding, PermitListen, the key's options in authorized_keys, and the age of the login's password (`chage -l`); then `tunneld restart` the tunnel, as sshd keeps for a session what it had at its login";
    /// The kernel forbids the local listen address.
    ListenDenied, "listen_denied", permanent, "use a port above 1023, or grant CAP_NET_BIND_SERVICE; check that the address is this machine's";
    /// The first start did not stay up for `gate_time`.
    GateTime, "gate_time", permanent, "look at the failure before it; then `tunneld reset-failed` and `tunneld start`, or set gate_time = 0";
    /// `max_start` starts were made.
    MaxStart, "max_start", permanent, "look at the failure before it; then `tunneld reset-failed` and `tunneld start`";
    /// The tunnel reached `max_lifetime`.
    MaxLifetime, "max_lifetime", permanent, "nothing to do: the tunnel ended as configured; `tunneld start` begins anew";
    /// Our certificate is outside its validity.
    CertificateExpired, "certificate_expired", permanent, "have the certificate signed again";
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(words.len(), FailureKind::ALL.len());
    }

    #[test]
    fn hints_and_words_keep_the_form() {
        for kind in FailureKind::ALL {
            assert!(kind.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{kind}");
            assert!(!kind.hint().ends_with('.'), "{kind}");
            assert!(kind.hint().starts_with(|c: char| c.is_lowercase()), "{kind}");
        }
    }

    #[test]
    fn shortage_of_this_machine_is_no_fault_of_what_was_asked_for() {
        let failure = |errno: i32| {
            let failure = Failure::new(FailureKind::HostKeyUnknown, "cannot read `f`").not_reached();
            failure.caused_by(io::Error::from_raw_os_error(errno))
        };
        let full = failure(nix::libc::EMFILE);
        assert_eq!(
            (full.kind(), full.unreached(), full.message()),
            (FailureKind::ResourceShortage, None, "cannot read `f`")
        );
        assert!(full.hint().contains("LimitNOFILE="), "{}", full.hint());
        let other = failure(nix::libc::EACCES);
        assert_eq!((other.kind(), other.hint()), (FailureKind::HostKeyUnknown, FailureKind::HostKeyUnknown.hint()));
    }

    #[test]
    fn a_failure_keeps_its_own_hint_when_its_kind_changes() {
        let below = Failure::new(FailureKind::HostKeyChanged, "host key of `b` changed");
        let above = below.clone().with_kind(FailureKind::JumpFailed);
        assert_eq!(above.hint(), below.hint());
        assert_eq!(above.kind(), FailureKind::JumpFailed);
    }
}
