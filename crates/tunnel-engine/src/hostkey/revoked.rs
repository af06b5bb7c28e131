//! ssh_config RevokedHostKeys: lists of keys that are never believed, each a text file or a KRL. As in ssh, a list that
//! cannot be read or understood refuses every key: it may hold this one.

use std::io;
use std::path::{Path, PathBuf};

use russh::keys::{Certificate, PublicKeyOrCertificate};

use super::key::HostKey;
use super::krl::{self, CertificateFields, KrlError, RevocationQuery};
use super::store::MAX_FILE_BYTES;
use crate::file;

/// What the lists say against a key.
#[derive(Debug)]
pub(super) enum Objection {
    /// It, its certificate or its authority is in this one.
    Listed(PathBuf),
    /// This one cannot answer.
    Unusable(PathBuf, Unusable),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("it is a damaged key revocation list: {0}")]
    Damaged(#[from] KrlError),
    #[error("its line {0} is no public key")]
    Line(usize),
}

pub(super) struct Presented {
    key: HostKey,
    certificate: Option<Signed>,
}

struct Signed {
    authority: HostKey,
    serial: u64,
    id: String,
}

impl Presented {
    /// A key without a certificate.
    pub(super) fn plain(key: &HostKey) -> Self {
        Self { key: key.clone(), certificate: None }
    }

    /// `key` is that of `presented`. An authority that cannot be encoded is one that no list has.
    pub(super) fn of(key: &HostKey, presented: &PublicKeyOrCertificate) -> Self {
        let certificate = presented.certificate().and_then(|certificate| {
            let authority = HostKey::of(certificate.signature_key())?;
            Some(Signed { authority, serial: certificate.serial(), id: certificate.key_id().to_owned() })
        });
        Self { key: key.clone(), certificate }
    }
}

/// The first objection to `presented`. Reads the files: blocking.
pub(super) fn objection(lists: &[PathBuf], presented: &Presented) -> Option<Objection> {
    lists.iter().find_map(|path| match lists_key(path, presented) {
        Ok(false) => None,
        Ok(true) => Some(Objection::Listed(path.clone())),
        Err(why) => Some(Objection::Unusable(path.clone(), why)),
    })
}

fn lists_key(path: &Path, Presented { key, certificate }: &Presented) -> Result<bool, Unusable> {
    // A pipe or `/dev/null` is no empty list: it would let every revoked key pass.
    let content = file::read(path, MAX_FILE_BYTES)?;
    if krl::is_krl(&content) {
        let certificate = certificate.as_ref().map(|Signed { authority, serial, id }| CertificateFields {
            authority: authority.blob(),
            serial: *serial,
            id,
        });
        return Ok(krl::revokes(&content, &RevocationQuery { key: key.blob(), certificate })?);
    }
    let authority = certificate.as_ref().map(|certificate| &certificate.authority);
    Ok(keys(&content)?.iter().any(|listed| listed == key || Some(listed) == authority))
}

/// One public key a line, as in a `.pub` file; of a certificate, the key that it is for.
fn keys(content: &[u8]) -> Result<Vec<HostKey>, Unusable> {
    let text = String::from_utf8_lossy(content);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(number, line)| {
        let mut fields = line.split([' ', '\t']).filter(|field| !field.is_empty());
        let key = fields.next().zip(fields.next()).and_then(|(kind, base64)| HostKey::parse(kind, base64));
        key.map(without_certificate).ok_or(Unusable::Line(number))
    });
    keys.collect()
}

fn without_certificate(key: HostKey) -> HostKey {
    let certificate = Certificate::from_bytes(key.blob()).ok();
    certificate.and_then(|certificate| HostKey::of(certificate.public_key())).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh";

    #[test]
    fn bad_line_spoils_a_text_list() {
        let count = |text: &str| keys(text.as_bytes()).map(|keys| keys.len()).map_err(|why| why.to_string());
        assert_eq!(count(""), Ok(0));
        assert_eq!(count("\n # a comment\n\t\r\n"), Ok(0));
        assert_eq!(count(&format!("{KEY}\r\n\n  {KEY} me@here\n")), Ok(2));
        assert_eq!(count(&format!("# mine\n{KEY}\nh {KEY}\n")), Err("its line 3 is no public key".to_owned()));
        assert_eq!(count("ssh-ed25519"), Err("its line 1 is no public key".to_owned()));
    }
}
