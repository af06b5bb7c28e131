//! When a host certificate proves the name of a server (OpenSSH PROTOCOL.certkeys).

use std::time::UNIX_EPOCH;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use super::verdict::CertificateTerms;
use crate::spec::{AlgorithmList, wildcard};

/// Judges everything but whether its authority is trusted.
pub(super) fn check(
    certificate: &Certificate,
    principal: &str,
    terms: &CertificateTerms<'_>,
) -> Result<(), CertificateProblem> {
    if certificate.cert_type() != CertType::Host {
        return Err(CertificateProblem::NotForHosts);
    }
    // PROTOCOL.certkeys lets an empty list stand for any name; ssh does not accept that of a host.
    if !certificate.valid_principals().iter().any(|pattern| wildcard(&pattern.to_lowercase(), principal)) {
        return Err(CertificateProblem::OtherName(certificate.valid_principals().join(", ")));
    }
    let now = terms.now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < certificate.valid_after() {
        return Err(CertificateProblem::NotYetValid);
    }
    if now >= certificate.valid_before() {
        return Err(CertificateProblem::Expired);
    }
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(CertificateProblem::CriticalOption(option.clone()));
    }
    let signature = certificate.signature().algorithm();
    if matches!(signature, Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Err(CertificateProblem::WeakSignature);
    }
    if !is_allowed(&signature, terms.signatures) {
        return Err(CertificateProblem::SignatureNotAllowed(signature.as_str().to_owned()));
    }
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate.validate_at(now, [&authority]).map_err(|_| CertificateProblem::BadSignature)
}

/// CASignatureAlgorithms. What OpenSSH adds by `+` is either in its default already or too weak for us.
fn is_allowed(signature: &Algorithm, list: &AlgorithmList) -> bool {
    let named = |names: &[String]| names.iter().any(|name| wildcard(name, signature.as_str()));
    match list {
        AlgorithmList::Replace(names) => named(names),
        AlgorithmList::Remove(names) => !named(names),
        AlgorithmList::Default | AlgorithmList::Append(_) | AlgorithmList::Prepend(_) => true,
    }
}

/// Why a certificate of a trusted authority does not prove the name. The server's plain key is judged instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// A user certificate.
    #[error("it is not a host certificate")]
    NotForHosts,
    /// The list of principals lacks the name.
    #[error("it is for `{0}`, not for this name")]
    OtherName(String),
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// None is defined for hosts, so any is one that we do not understand.
    #[error("it has the unknown critical option `{0}`")]
    CriticalOption(String),
    /// The authority signed with SHA-1 or DSA.
    #[error("its authority signed it with SHA-1")]
    WeakSignature,
    /// CASignatureAlgorithms leaves it out.
    #[error("its authority signed it with {0}, which {key} does not allow", key = crate::words::own("ca_signature_algorithms"))]
    SignatureNotAllowed(String),
    /// The authority did not sign this.
    #[error("its signature is wrong")]
    BadSignature,
}
