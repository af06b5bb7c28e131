//! What to offer, in ssh's order: certificates, agent keys that are also identity files, other agent keys,
//! the remaining files. Pure.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::accepted::Accepted;
use super::identity::{Identity, KeyProblem, Private};
use crate::failure::FailureKind;

/// sshd ends the session at the sixth rejection unless its MaxAuthTries says otherwise. Keys of the agent that the user
/// did not name are offered up to here, so that those of a full agent do not use up the tries of every login.
pub(super) const MAX_OFFERED_KEYS: usize = 6;
/// Of those that the user named, all are offered, as by ssh, which takes this many files (SSH_MAX_IDENTITY_FILES).
pub(super) const MAX_NAMED_KEYS: usize = 100;

/// One key or certificate to offer, and who signs for it.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) proof: OfferedKey,
    pub(super) signs: PrivateHalf,
    /// The file, or the agent and the key's comment in it.
    pub(super) source: String,
    /// An RSA key that was refused with SHA-2, and whose owner wishes for SHA-1 too.
    pub(super) sha1: bool,
    /// The first to go when there are too many: the user did not name it.
    unnamed: bool,
}

#[derive(Clone)]
pub(super) enum OfferedKey {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

#[derive(Clone)]
pub(super) enum PrivateHalf {
    File(Private),
    Agent(Box<AgentIdentity>),
}

/// A key that cannot be offered, or could not be used when the server wanted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) source: String,
    pub(super) trouble: KeyProblem,
    /// The server said that it would take this key.
    pub(super) wanted: bool,
}

/// A certificate file, as read.
pub(super) struct CertificateFile {
    pub(super) path: PathBuf,
    /// Named by CertificateFile, not found beside a key.
    pub(super) explicit: bool,
    pub(super) read: Result<Certificate, KeyProblem>,
}

/// Everything there is to choose from.
pub(super) struct AuthMaterial<'a> {
    pub(super) identities: &'a [Identity],
    pub(super) certificates: &'a [CertificateFile],
    pub(super) agent: &'a [AgentIdentity],
    pub(super) identities_only: bool,
    pub(super) accepted: &'a Accepted,
}

#[derive(Default)]
pub(super) struct OfferPlan {
    pub(super) candidates: Vec<Candidate>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) cut: usize,
}

pub(super) fn plan(holdings: &AuthMaterial<'_>, now: SystemTime) -> OfferPlan {
    let mut plan = OfferPlan::default();
    for file in holdings.certificates {
        let source = file.path.display().to_string();
        let certificate = match usable(file, now) {
            Ok(certificate) => certificate,
            Err(trouble) => {
                plan.skip(source, trouble);
                continue;
            }
        };
        if let Some(trouble) = holdings.accepted.refusal(certificate.public_key(), true) {
            plan.skip(source, trouble);
            continue;
        }
        match holdings.signer_of(certificate) {
            Ok(signs) => {
                let proof = OfferedKey::Certificate(Box::new(certificate.clone()));
                plan.offer(Candidate { proof, signs, source, sha1: false, unnamed: false });
            }
            // What is wrong with the key beside it is said of the key.
            Err(_) if !file.explicit => {}
            Err(trouble) => plan.skip(source, trouble),
        }
    }
    let (named, others): (Vec<_>, Vec<_>) =
        holdings.agent.iter().partition(|identity| holdings.names(identity.public_key().key_data()));
    for (identity, unnamed) in named.iter().map(|one| (one, false)).chain(others.iter().map(|one| (one, true))) {
        if unnamed && holdings.identities_only {
            continue;
        }
        let certified = matches!(identity, AgentIdentity::Certificate { .. });
        if let Some(trouble) = holdings.accepted.refusal(identity.public_key().key_data(), certified) {
            plan.skip(format!("agent key `{}`", identity.comment()), trouble);
            continue;
        }
        match agent_proof(identity, now) {
            Ok(proof) => plan.offer(Candidate {
                proof,
                signs: PrivateHalf::Agent(Box::new((*identity).clone())),
                source: format!("agent key `{}`", identity.comment()),
                sha1: false,
                unnamed,
            }),
            Err(trouble) => plan.skip(format!("agent certificate `{}`", identity.comment()), trouble),
        }
    }
    for identity in holdings.identities {
        let source = identity.path.display().to_string();
        let refusal = |public: &PublicKey| holdings.accepted.refusal(public.key_data(), false);
        match (&identity.public, &identity.private) {
            (Some(public), _) if holdings.agent_holds(public.key_data()) => {}
            (_, Private::Unusable(trouble)) => plan.skip(source, trouble.clone()),
            (Some(public), private) => match refusal(public) {
                Some(trouble) => plan.skip(source, trouble),
                None => plan.offer(Candidate {
                    proof: OfferedKey::Key(public.clone()),
                    signs: PrivateHalf::File(private.clone()),
                    source,
                    sha1: false,
                    unnamed: false,
                }),
            },
            (None, Private::Ready(_) | Private::Locked(_)) => {}
        }
    }
    plan.cut();
    plan
}

impl OfferPlan {
    fn offer(&mut self, candidate: Candidate) {
        let same = |other: &Candidate| match (&other.proof, &candidate.proof) {
            (OfferedKey::Key(a), OfferedKey::Key(b)) => a.key_data() == b.key_data(),
            (OfferedKey::Certificate(a), OfferedKey::Certificate(b)) => a.signature() == b.signature(),
            (OfferedKey::Key(_), OfferedKey::Certificate(_)) | (OfferedKey::Certificate(_), OfferedKey::Key(_)) => {
                false
            }
        };
        if !self.candidates.iter().any(same) {
            self.candidates.push(candidate);
        }
    }

    fn skip(&mut self, source: String, trouble: KeyProblem) {
        self.skipped.push(Skipped { source, trouble, wanted: false });
    }

    /// The agent's other keys go first: ssh would offer them all, and never get to the file that the user named.
    fn cut(&mut self) {
        let named = self.candidates.iter().filter(|candidate| !candidate.unnamed).count();
        let (mut of_named, mut of_unnamed) = (MAX_NAMED_KEYS, MAX_OFFERED_KEYS.saturating_sub(named));
        let all = self.candidates.len();
        self.candidates.retain(|candidate| {
            let left = if candidate.unnamed { &mut of_unnamed } else { &mut of_named };
            let kept = *left > 0;
            *left = left.saturating_sub(1);
            kept
        });
        self.cut = all - self.candidates.len();
    }
}

impl AuthMaterial<'_> {
    fn names(&self, key: &KeyData) -> bool {
        self.identities.iter().any(|identity| identity.public.as_ref().is_some_and(|public| public.key_data() == key))
    }

    fn agent_holds(&self, key: &KeyData) -> bool {
        self.agent.iter().any(|identity| match identity {
            AgentIdentity::PublicKey { key: held, .. } => held.key_data() == key,
            AgentIdentity::Certificate { .. } => false,
        })
    }

    /// The private half of a certificate: a file, else the agent.
    fn signer_of(&self, certificate: &Certificate) -> Result<PrivateHalf, KeyProblem> {
        let key = certificate.public_key();
        let file = self.identities.iter().find(|identity| {
            !matches!(identity.private, Private::Unusable(_))
                && identity.public.as_ref().is_some_and(|public| public.key_data() == key)
        });
        if let Some(identity) = file {
            return Ok(PrivateHalf::File(identity.private.clone()));
        }
        let held = self.agent.iter().find(|identity| identity.public_key().key_data() == key);
        held.map(|identity| PrivateHalf::Agent(Box::new(identity.clone()))).ok_or_else(|| {
            let why = format!("no identity file and no agent key has its private half {}", fingerprint(key));
            KeyProblem::new(FailureKind::IdentityUnreadable, why)
        })
    }
}

impl Candidate {
    /// `ssh-ed25519 SHA256:… (source)`.
    pub(super) fn describe(&self) -> String {
        let certificate = if matches!(self.proof, OfferedKey::Certificate(_)) { " certificate" } else { "" };
        let (key, sha1) = (self.key(), if self.sha1 { ", with SHA-1" } else { "" });
        format!("{}{certificate} {} ({}{sha1})", key.algorithm(), fingerprint(key), self.source)
    }

    /// `publickey source SHA256:…`, for status.
    pub(super) fn how(&self) -> String {
        format!("publickey {} {}", self.source, fingerprint(self.key()))
    }

    pub(super) fn key(&self) -> &KeyData {
        match &self.proof {
            OfferedKey::Key(key) => key.key_data(),
            OfferedKey::Certificate(certificate) => certificate.public_key(),
        }
    }
}

fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn agent_proof(identity: &AgentIdentity, now: SystemTime) -> Result<OfferedKey, KeyProblem> {
    match identity {
        AgentIdentity::PublicKey { key, .. } => Ok(OfferedKey::Key(key.clone())),
        AgentIdentity::Certificate { certificate, .. } => {
            valid_at(certificate, now)?;
            Ok(OfferedKey::Certificate(Box::new(certificate.clone())))
        }
    }
}

pub(super) fn usable(file: &CertificateFile, now: SystemTime) -> Result<&Certificate, KeyProblem> {
    let certificate = file.read.as_ref().map_err(Clone::clone)?;
    if certificate.cert_type() != CertType::User {
        return Err(KeyProblem::new(FailureKind::IdentityUnreadable, "it is a host certificate, not a user's")
            .with_hint("sign the key again as a user's, with `ssh-keygen -s CA -n USER` and without `-h`"));
    }
    valid_at(certificate, now)?;
    Ok(certificate)
}

/// A certificate outside its validity is not shown: the server would only count it as a rejection.
fn valid_at(certificate: &Certificate, now: SystemTime) -> Result<(), KeyProblem> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let expired = |why: String| KeyProblem::new(FailureKind::CertificateExpired, why);
    if now >= certificate.valid_before() {
        return Err(expired(format!("the certificate expired {} ago", span(now - certificate.valid_before()))));
    }
    if now < certificate.valid_after() {
        let why = format!("the certificate becomes valid in {}", span(certificate.valid_after() - now));
        return Err(expired(why).with_hint("check this machine's clock, or have the certificate signed again"));
    }
    Ok(())
}

fn span(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => format!("{} h", seconds / HOUR),
        _ => format!("{} days", seconds / DAY),
    }
}
