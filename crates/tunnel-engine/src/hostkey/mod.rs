//! Whom to believe: the verdict on a server's host key over the known_hosts files, by our own reader.

use std::time::SystemTime;

use russh::keys::{Algorithm, PublicKeyOrCertificate};

use crate::failure::Failure;
use crate::spec::{Destination, HostKeySpec};

/// What the known_hosts files say about one server. Read anew for every session, so that an edit counts at once.
#[derive(Debug, Clone)]
pub struct HostKeys {}

/// In which order to offer host key algorithms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyPreference {
    /// Plain key algorithms: types known for this server first, otherwise in the order given.
    pub plain: Vec<Algorithm>,
    /// The same algorithms as certificates, to be offered before the plain ones; empty when no
    /// `@cert-authority` line is for this server.
    pub certificates: Vec<Algorithm>,
}

impl HostKeys {
    /// Reads the known_hosts files of `spec`, off the runtime's thread. A missing file is fine.
    ///
    /// # Errors
    /// A file that exists and cannot be read: what it would say is not the same as "unknown".
    pub async fn load(spec: &HostKeySpec, destination: &Destination) -> Result<Self, Failure> {
        let _ = (spec, destination);
        todo!()
    }

    /// Orders the algorithms that we would offer, so that a server known by one type of key is asked for that
    /// type. Not for a list that the user wrote down in full (`HostKeyAlgorithms a,b`), as in ssh.
    pub fn prefer(&self, offered: &[Algorithm]) -> HostKeyPreference {
        let _ = offered;
        todo!()
    }

    /// Judges what the server presented, and with `accept-new` or `no` writes an unknown key down.
    pub async fn check(&self, presented: &PublicKeyOrCertificate, now: SystemTime) -> Result<(), Failure> {
        let _ = (presented, now);
        todo!()
    }
}
