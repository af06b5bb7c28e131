//! Gathers everything there is to log in with: key files, certificate files, the agent.

use std::io::{self, ErrorKind};
use std::path::Path;

use russh::keys::{Certificate, ssh_key};
use zeroize::Zeroizing;

use super::agent::{Agent, AgentProblem};
use super::candidate::CertificateFile;
use super::identity::{self, Identity, KeyProblem};
use super::zeroized::wiping;
use crate::failure::FailureKind;
use crate::file;
use crate::shortage;
use crate::spec::{AgentSpec, AuthSpec};
use crate::transport::SessionProof;

/// Key and certificate files of `spec`, read off the thread that carries all tunnels.
pub(super) async fn files(spec: &AuthSpec) -> (Vec<Identity>, Vec<CertificateFile>) {
    let spec = spec.clone();
    tokio::task::spawn_blocking(move || {
        let load = |one| identity::load(one, spec.passphrase.as_ref());
        wiping(|| (spec.identities.iter().filter_map(load).collect(), certificates(&spec)))
    })
    .await
    // Only a runtime that shuts down drops it: then the result is not read.
    .unwrap_or_default()
}

/// The agent of `spec`: `Ok(None)` when there is none to ask.
pub(super) async fn agent(spec: &AuthSpec, session: Option<&SessionProof>) -> Result<Option<Agent>, AgentProblem> {
    match &spec.agent {
        AgentSpec::None => Ok(None),
        AgentSpec::Socket(socket) => Agent::open(socket, session).await.map(Some),
    }
}

/// One with many principals has some kilobytes.
const MAX_CERTIFICATE_BYTES: u64 = 1 << 20;

/// What is no certificate may be a private key: see [`in_place_of_public_keys`].
fn read_certificate(path: &Path) -> io::Result<Result<Certificate, ssh_key::Error>> {
    let content = Zeroizing::new(file::read(path, MAX_CERTIFICATE_BYTES)?);
    Ok(Certificate::from_openssh(std::str::from_utf8(&content).unwrap_or_default()))
}

fn unusable(error: impl std::fmt::Display) -> KeyProblem {
    KeyProblem::new(FailureKind::IdentityUnreadable, format!("it cannot be read as a certificate: {error}"))
}

/// CertificateFile, then `<identity>-cert.pub` where there is one that is not named: found, not asked for, so it may be
/// missing. Last, an identity, or its `.pub`, that holds a certificate and no plain key, which ssh shows as that
/// identity's public half.
pub(super) fn certificates(spec: &AuthSpec) -> Vec<CertificateFile> {
    let named = spec.certificates.iter().map(|path| (path.clone(), true));
    let beside = spec.identities.iter().map(|one| identity::with_suffix(&one.path, "-cert.pub"));
    // What is wrong with a certificate is told once.
    let beside = beside.filter(|path| !spec.certificates.contains(path)).map(|path| (path, false));
    named
        .chain(beside)
        .filter_map(|(path, explicit)| {
            let read = match read_certificate(&path) {
                Ok(read) => read.map_err(unusable),
                Err(error) if error.kind() == ErrorKind::NotFound && !explicit => return None,
                Err(error) => Err(unusable(&error).caused_by(&error)),
            };
            Some(CertificateFile { path, explicit, read })
        })
        .chain(in_place_of_public_keys(spec))
        .collect()
}

fn in_place_of_public_keys(spec: &AuthSpec) -> impl Iterator<Item = CertificateFile> {
    let files = spec.identities.iter().flat_map(|one| {
        let beside = identity::with_suffix(&one.path, ".pub");
        [(one.path.clone(), one.explicit), (beside, false)]
    });
    files.filter_map(|(path, explicit)| {
        let read = match read_certificate(&path) {
            Ok(read) => Ok(read.ok()?),
            Err(error) if shortage::hint(&error).is_some() => Err(unusable(&error).caused_by(&error)),
            Err(_) => return None,
        };
        Some(CertificateFile { path, explicit, read })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Destination, IdentitySpec, SessionSpec};

    #[test]
    fn certificate_beside_its_key_is_read_once_where_it_is_named_too() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("id");
        let beside = identity::with_suffix(&key, "-cert.pub");
        std::fs::write(&beside, "no certificate").unwrap();
        let identities = vec![IdentitySpec { path: key, explicit: true }];
        let server = Destination { user: "me".to_owned(), host: "server".to_owned(), port: 22 };
        let found = AuthSpec { identities, ..SessionSpec::to(server).auth };
        let named = AuthSpec { certificates: vec![beside.clone()], ..found.clone() };
        for (spec, explicit) in [(found, false), (named, true)] {
            let read: Vec<_> = certificates(&spec).into_iter().map(|file| (file.path, file.explicit)).collect();
            assert_eq!(read, [(beside.clone(), explicit)]);
        }
    }
}
