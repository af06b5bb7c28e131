//! The files to log in with, looked at without a server: for a person who asks what is wrong with them.

use std::path::PathBuf;
use std::time::SystemTime;

use russh::keys::{Certificate, HashAlg};

use super::candidate::usable;
use super::identity::{self, KeyProblem, Private};
use super::{load, secret};
use crate::failure::{Failure, FailureKind};
use crate::spec::{AuthSpec, SecretSource};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The key of the config that names it.
    pub key: &'static str,
    /// Path of the file.
    pub path: PathBuf,
    /// What it is, or what is wrong with it.
    pub found: Result<String, Failure>,
    /// It is a certificate: its validity depends on the clock.
    pub is_certificate: bool,
}

/// Identities, certificates, and the files of secrets, in the order in which they are used. Of ssh's default files only
/// those that are there. `now` is the calendar's time.
pub async fn inspect(spec: &AuthSpec, now: SystemTime) -> Vec<Inspected> {
    let spec = spec.clone();
    tokio::task::spawn_blocking(move || files(&spec, now)).await.unwrap_or_default()
}

fn files(spec: &AuthSpec, now: SystemTime) -> Vec<Inspected> {
    let identities = spec.identities.iter().filter_map(|one| {
        let identity = identity::load(one, spec.passphrase.as_ref())?;
        let kind = identity
            .public
            .as_ref()
            .map_or_else(String::new, |key| format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256)));
        let path = one.path.clone();
        let found = match identity.private {
            Private::Ready(_) => Ok(kind),
            Private::Locked(text) => match &spec.passphrase {
                Some(passphrase @ SecretSource::File(_)) => {
                    identity::unlock(&path.display().to_string(), &text, Some(passphrase))
                        .map(|_| format!("{kind}, and passphrase_file opens it"))
                        .map_err(failure)
                }
                Some(SecretSource::Ask(_)) | None => {
                    identity::unlock(&path.display().to_string(), &text, None).map(|_| kind).map_err(failure)
                }
            },
            Private::Unusable(trouble) if trouble.why == identity::ONLY_PUBLIC => {
                Ok(format!("{kind}, a public key: its private half is to be in the agent"))
            }
            Private::Unusable(trouble) => Err(failure(trouble)),
        };
        Some(Inspected { key: "identity_file", path, found, is_certificate: false })
    });
    let certificates = load::certificates(spec).into_iter().map(|file| {
        let found = usable(&file, now).map(describe).map_err(failure);
        Inspected { key: "certificate_file", path: file.path, found, is_certificate: true }
    });
    let secrets = [("password_file", &spec.password), ("passphrase_file", &spec.passphrase)];
    let secrets = secrets.into_iter().filter_map(|(key, secret)| {
        let Some(SecretSource::File(path)) = secret else { return None };
        let found = secret::read(path).map(|_| "readable".to_owned()).map_err(|error| {
            Failure::new(FailureKind::IdentityUnreadable, format!("it cannot be read: {error}"))
                .with_hint("write one line into it, and make it readable by the user that runs tunneld")
        });
        Some(Inspected { key, path: path.clone(), found, is_certificate: false })
    });
    identities.chain(certificates).chain(secrets).collect()
}

fn describe(certificate: &Certificate) -> String {
    let principals = certificate.valid_principals().join(", ");
    format!("a certificate `{}` for `{principals}`, valid now", certificate.key_id())
}

fn failure(trouble: KeyProblem) -> Failure {
    let failure = Failure::new(trouble.kind, trouble.why);
    match trouble.hint {
        Some(hint) => failure.with_told_hint(hint),
        None => failure,
    }
}
