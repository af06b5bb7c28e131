//! Proving who we are: identities, certificates, agent, keyboard-interactive and password, in ssh's order.
//!
//! ```text
//! identity (files) ─┐
//! agent ────────────┼► candidate (pure: what, in which order) ─► attempt ─► exchange ─► sign
//! prompts, secret ──┘                                              └► report (pure: the one failure)
//! ```

mod accepted;
mod agent;
mod attempt;
mod candidate;
mod credential;
mod encrypted_key;
mod exchange;
mod identity;
mod inspect;
mod load;
mod offers;
mod password;
mod prompts;
mod report;
mod secret;
mod sign;
mod small_scalar;
#[cfg(test)]
mod tests;
mod zeroized;

pub(crate) use accepted::{PUBLIC_KEYS, PUBLIC_KEYS_ON_DEMAND, too_short};
pub use credential::{CertificateInfo, Credential, Credentials, credentials};
pub use inspect::{Inspected, inspect};
pub(crate) use password::LinkTraffic;
pub(crate) use report::with_words;
use russh::client::{Handle, Handler};

use crate::failure::Failure;
use crate::spec::AuthSpec;

/// Logs in as `user` at the server that the user calls `host`, trying what `spec` holds in ssh's order until the server is content. Several methods in turn
/// (sshd_config AuthenticationMethods) are gone through. Gives a short word on how, for status:
/// `publickey ~/.ssh/id_ed25519 SHA256:…`.
///
/// `traffic` is what the session below knows: russh reports a connection that was lost in the middle of
/// authentication as a rejection, and passes over a message that it does not know. Dropping the
/// future leaves the handle in the middle of an exchange: the session can only be closed then.
///
/// # Errors
/// What [`LinkTraffic::ended`] says, when the connection was lost. Otherwise the one thing to mend: a key that the server would
/// take but that has no passphrase (`passphrase_needed`) or whose agent does not sign (`agent_unavailable`), then
/// keys that could not be offered (`identity_permissions`, `identity_unreadable`, `certificate_expired`), and
/// `auth_rejected` when all that there is was shown and turned down. The message lists everything that was tried.
pub(crate) async fn authenticate<H: Handler>(
    handle: &mut Handle<H>,
    spec: &AuthSpec,
    (user, host): (&str, &str),
    traffic: &dyn LinkTraffic,
) -> Result<String, Failure> {
    attempt::Authentication::new(handle, spec, (user, host), traffic).run().await
}
