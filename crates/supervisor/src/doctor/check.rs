//! One check, and all of them: what `tunneld doctor --json` prints.

use serde::Serialize;

// The names of the checks: public interface.
pub(super) const ACCOUNT: &str = "account";
pub(super) const IDENTITY: &str = "identity";
pub(super) const CERTIFICATE: &str = "certificate";
pub(super) const SECRET: &str = "secret";
pub(super) const KNOWN_HOSTS: &str = "known_hosts";
pub(super) const TURN: &str = "turn";
pub(super) const RESOLVE: &str = "resolve";
pub(super) const CONNECT: &str = "connect";
pub(super) const JUMP: &str = "jump";
pub(super) const PROXY_COMMAND: &str = "proxy_command";
pub(super) const BANNER: &str = "banner";
pub(super) const KEY_EXCHANGE: &str = "key_exchange";
pub(super) const HOST_KEY: &str = "host_key";
pub(super) const AUTH: &str = "auth";
pub(super) const CLOCK: &str = "clock";
pub(super) const LISTEN: &str = "listen";
pub(super) const TARGET: &str = "target";
pub(super) const TAKEOVER: &str = "takeover";

/// All tunnels that were examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// In the order in which they were examined.
    pub tunnels: Vec<Examined>,
}

/// One tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Name of the tunnel.
    pub name: String,
    /// `user@host:port`.
    #[serde(skip)]
    pub server: String,
    /// In the order in which a start goes through them.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Identifier of the check.
    pub check: &'static str,
    /// Of what: a file, an address, a server, a key, a forward.
    pub subject: String,
    /// Result of the check.
    pub verdict: CheckResult,
    /// Who did what; of a skipped check, why.
    pub message: String,
    /// What to do about it; null where there is nothing to do.
    pub action: Option<String>,
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckResult {
    /// Nothing to do.
    Pass,
    /// The tunnel, or a part of it, does not work.
    Fail,
    /// Not checked, or of no consequence.
    Skip,
}

impl CheckResult {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }
}

impl Check {
    pub(super) fn pass(check: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Self { check, subject, verdict: CheckResult::Pass, message, action: None }
    }

    pub(super) fn skip(check: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { verdict: CheckResult::Skip, ..Self::pass(check, subject, message) }
    }

    pub(super) fn fail(
        check: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self { verdict: CheckResult::Fail, action: Some(action.into()), ..Self::pass(check, subject, message) }
    }

    /// A failure of something that turned out not to be needed is none.
    pub(super) fn unless_needed(self, needed: bool) -> Self {
        if needed || self.verdict != CheckResult::Fail { self } else { Self { verdict: CheckResult::Skip, ..self } }
    }
}

impl DoctorReport {
    /// Whether anything failed.
    pub fn has_failed(&self) -> bool {
        self.count(CheckResult::Fail) > 0
    }

    /// Checks with this verdict.
    pub fn count(&self, verdict: CheckResult) -> usize {
        self.tunnels.iter().flat_map(|tunnel| &tunnel.checks).filter(|check| check.verdict == verdict).count()
    }
}
