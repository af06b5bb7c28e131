//! What would be shown to a server, without a server: for those who write down what it has to let in.

use russh::keys::{Certificate, PublicKey};

use super::accepted::Accepted;
use super::candidate::{AuthMaterial, Candidate, OfferedKey, Skipped, plan};
use super::load;
use crate::clock;
use crate::spec::AuthSpec;

/// OpenSSH's extension of a certificate that may open forwards.
const PORT_FORWARDING: &str = "permit-port-forwarding";

/// A key, or a certificate of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The file, or the agent and the key's comment in it.
    pub source: String,
    /// `identity_file` or IdentityFile names it: it is neither one of ssh's default files nor just in the agent.
    pub named: bool,
    /// `ssh-ed25519 AAAA…`, without a comment.
    pub key: String,
    /// Of a certificate.
    pub certified: Option<CertificateInfo>,
}

/// The fields of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The key that signed it, as in [`Credential::key`].
    pub authority: String,
    /// The logins that it is for; empty: any.
    pub principals: Vec<String>,
    /// It may open forwards.
    pub forwards: bool,
}

/// What a login has to show, in ssh's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// Keys and certificates to offer, in order.
    pub shown: Vec<Credential>,
    /// Those that cannot be offered, each with the reason.
    pub skipped: Vec<String>,
}

/// Reads the files and asks the agent as a login does.
pub async fn credentials(spec: &AuthSpec) -> Credentials {
    let (identities, certificates) = load::files(spec).await;
    let agent = load::agent(spec, None).await;
    let held = agent.as_ref().ok().and_then(Option::as_ref).map(|agent| agent.identities.as_slice());
    let holdings = AuthMaterial {
        identities: &identities,
        certificates: &certificates,
        agent: held.unwrap_or_default(),
        identities_only: spec.identities_only,
        accepted: &Accepted::of(spec).unwrap_or_default(),
    };
    let plan = plan(&holdings, clock::wall());
    let explicit = |path: &std::path::Path| spec.identities.iter().any(|one| one.explicit && one.path == path);
    let named: Vec<_> =
        identities.iter().filter(|one| explicit(&one.path)).filter_map(|one| one.public.clone()).collect();
    let is_named = |candidate: &Candidate| named.iter().any(|key| key.key_data() == candidate.key());
    let shown = plan.candidates.iter().filter_map(|candidate| describe(candidate, is_named(candidate))).collect();
    let skipped = plan.skipped.iter().map(|Skipped { source, trouble, .. }| format!("{source}: {}", trouble.why));
    Credentials { shown, skipped: skipped.chain(agent.err().map(|trouble| trouble.why)).collect() }
}

/// `None`: its key cannot be written down.
fn describe(candidate: &Candidate, named: bool) -> Option<Credential> {
    let (key, certified) = match &candidate.proof {
        OfferedKey::Key(key) => (key.clone(), None),
        OfferedKey::Certificate(certificate) => (PublicKey::from(certificate.public_key().clone()), Some(certificate)),
    };
    let certified = match certified {
        Some(certificate) => Some(of_certificate(certificate)?),
        None => None,
    };
    Some(Credential { source: candidate.source.clone(), named, key: line(&key)?, certified })
}

fn of_certificate(certificate: &Certificate) -> Option<CertificateInfo> {
    Some(CertificateInfo {
        authority: line(&PublicKey::from(certificate.signature_key().clone()))?,
        principals: certificate.valid_principals().to_vec(),
        forwards: certificate.extensions().iter().any(|(name, _)| name == PORT_FORWARDING),
    })
}

/// Type and base64.
fn line(key: &PublicKey) -> Option<String> {
    let mut key = key.clone();
    key.set_comment("");
    Some(key.to_openssh().ok()?.trim_end().to_owned())
}
