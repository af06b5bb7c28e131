//! What a server says and shows first, for `fuzz/`.

use russh::keys::HashAlg;

use super::banner::{self, Banner, BannerRead};
use super::transport_setup;
use crate::hostkey::HostKey;
use crate::transport::MessageReader;

/// What is made of a server's first words.
#[derive(Debug, Default)]
pub struct Greeting {
    /// Its software, of an identification.
    pub software: String,
    /// What follows the identification.
    pub rest: Vec<u8>,
    /// What a failure says of it when nothing more comes.
    pub quoted: String,
}

/// A server has said this, and nothing more comes.
pub fn greeting(said: &[u8]) -> Greeting {
    let quoted = banner::unfinished("server:22", said).map(|failure| failure.to_string()).unwrap_or_default();
    match banner::parse(said) {
        BannerRead::Identification { start, software } => {
            let bytes = said.get(start..).unwrap_or_default().to_vec();
            let banner = Banner { software, bytes, ident_sent: false };
            Greeting { rest: banner.split().1.to_vec(), software: banner.software, quoted }
        }
        BannerRead::More | BannerRead::OldSsh | BannerRead::NotSsh | BannerRead::Refused(_) => {
            Greeting { quoted, ..Greeting::default() }
        }
    }
}

/// How the key of this blob is shown; `None`: it is none of the type that was agreed on, which the transport refuses.
pub fn shown_host_key(algorithm: &str, blob: &[u8]) -> Option<String> {
    MessageReader::new("host key", blob).name().is_ok_and(|kind| kind == algorithm).then_some(())?;
    let presented = transport_setup::presented(algorithm, blob)?;
    let key = presented.public_key();
    let read = HostKey::of(key.key_data()).map(|key| format!("{} {}", key.kind(), key.fingerprint()));
    Some(format!("{} {} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256), read.unwrap_or_default()))
}
