//! The exchange hash (RFC 4253 section 8, RFC 4419 section 3, RFC 5656 section 4) and the keys made of it (section
//! 7.2).

use aws_lc_rs::digest::{self, Context};
use zeroize::Zeroizing;

use super::KexName;
use crate::transport::wire::put_string;

/// What both sides have said, in the order in which it is hashed.
pub(crate) struct ExchangeHash<'a> {
    /// Identifications, without line ends.
    pub(crate) client_ident: &'a [u8],
    pub(crate) server_ident: &'a [u8],
    /// Payloads of the KEXINITs.
    pub(crate) client_init: &'a [u8],
    pub(crate) server_init: &'a [u8],
    pub(crate) host_key: &'a [u8],
    /// Of a group exchange: the sizes asked for and the group (RFC 4419 section 3), encoded; else empty.
    pub(crate) group: &'a [u8],
    pub(crate) client_public: &'a [u8],
    pub(crate) server_public: &'a [u8],
    /// Encoded as an mpint or a string, as the method says.
    pub(crate) secret: &'a [u8],
}

impl ExchangeHash<'_> {
    pub(crate) fn compute(&self, name: KexName) -> Vec<u8> {
        let mut said = Zeroizing::new(Vec::new());
        for part in [self.client_ident, self.server_ident, self.client_init, self.server_init, self.host_key] {
            put_string(&mut said, part);
        }
        said.extend_from_slice(self.group);
        for part in [self.client_public, self.server_public] {
            put_string(&mut said, part);
        }
        said.extend_from_slice(self.secret);
        digest::digest(name.hash(), &said).as_ref().to_vec()
    }
}

/// Makes keys.
pub(crate) struct KeyDeriver<'a> {
    pub(crate) name: KexName,
    /// Encoded as an mpint or a string, as the method says.
    pub(crate) secret: &'a [u8],
    pub(crate) exchange_hash: &'a [u8],
    pub(crate) session_id: &'a [u8],
}

impl KeyDeriver<'_> {
    /// The first `len` bytes of the key with this letter.
    pub(crate) fn derive(&self, letter: u8, len: usize) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(Vec::with_capacity(len + self.name.hash().output_len()));
        while key.len() < len {
            let mut context = Context::new(self.name.hash());
            context.update(self.secret);
            context.update(self.exchange_hash);
            if key.is_empty() {
                context.update(&[letter]);
                context.update(self.session_id);
            } else {
                context.update(&key);
            }
            key.extend_from_slice(context.finish().as_ref());
        }
        key.truncate(len);
        key
    }
}
