//! SSH_MSG_KEXINIT and what the two of them agree on (RFC 4253 section 7.1), with OpenSSH's strict key exchange and
//! RFC 8308's extension negotiation as names in the first list.

use super::cipher::CipherName;
use super::compression::ZLIB_DELAYED;
use super::kex::KexName;
use super::mac::MacName;
use super::message::MSG_KEXINIT;
use super::wire::{MessageReader, put_string, put_u32};
use super::{TransportError, message::COOKIE_BYTES};

const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
const EXT_INFO_CLIENT: &str = "ext-info-c";
const NO_COMPRESSION: &str = "none";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    KeyExchange,
    HostKey,
    Cipher,
    Mac,
    Compression,
}

impl ListKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KeyExchange => "key exchange method",
            Self::HostKey => "host key algorithm",
            Self::Cipher => "cipher",
            Self::Mac => "mac",
            Self::Compression => "compression",
        }
    }
}

/// What we offer, each list in our order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalOffer {
    pub(crate) kex: Vec<KexName>,
    pub(crate) host_keys: Vec<String>,
    pub(crate) ciphers: Vec<CipherName>,
    pub(crate) macs: Vec<MacName>,
    /// Rather compressed than not.
    pub(crate) compression: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) kex: KexName,
    pub(crate) host_key: String,
    /// To the server.
    pub(crate) sending: Protection,
    /// From the server.
    pub(crate) receiving: Protection,
    /// Both take strict key exchange.
    pub(crate) strict: bool,
    /// The next packet of the exchange is a guess that turned out wrong.
    pub(crate) skip_guess: bool,
}

/// What becomes of the packets of one direction: a cipher and, where it needs one, a MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protection {
    pub(crate) cipher: CipherName,
    pub(crate) mac: Option<MacName>,
    /// From the login on.
    pub(crate) is_compressed: bool,
}

/// A KEXINIT of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KexInit<'a> {
    kex: Vec<&'a str>,
    host_keys: Vec<&'a str>,
    ciphers: [Vec<&'a str>; 2],
    macs: [Vec<&'a str>; 2],
    compressions: [Vec<&'a str>; 2],
    first_kex_packet_follows: bool,
}

impl<'a> KexInit<'a> {
    /// `payload` begins with the message number.
    pub(crate) fn decode(payload: &'a [u8]) -> Result<Self, TransportError> {
        let mut reader = MessageReader::new("KEXINIT", payload);
        if reader.u8()? != MSG_KEXINIT {
            return Err(TransportError::Malformed("KEXINIT"));
        }
        reader.bytes(COOKIE_BYTES)?;
        let kex = reader.name_list()?;
        let host_keys = reader.name_list()?;
        let ciphers = [reader.name_list()?, reader.name_list()?];
        let macs = [reader.name_list()?, reader.name_list()?];
        let compressions = [reader.name_list()?, reader.name_list()?];
        // Languages.
        let _ = (reader.string()?, reader.string()?);
        let first_kex_packet_follows = reader.boolean()?;
        // For a future version; whatever follows is hashed with the rest and means nothing.
        let _ = reader.u32()?;
        Ok(Self { kex, host_keys, ciphers, macs, compressions, first_kex_packet_follows })
    }

    /// Key exchange methods, host key algorithms, and the ciphers and MACs from client to server.
    pub(crate) fn names(&self) -> [&[&'a str]; 4] {
        [&self.kex, &self.host_keys, &self.ciphers[0], &self.macs[0]]
    }
}

impl LocalOffer {
    /// Our KEXINIT. The names of extensions are sent with the first one only (RFC 8308 section 2.1).
    pub(crate) fn encode(&self, cookie: [u8; COOKIE_BYTES], is_first: bool) -> Vec<u8> {
        let flags: &[&str] = if is_first { &[EXT_INFO_CLIENT, STRICT_CLIENT] } else { &[] };
        let kex: Vec<&str> = self.kex.iter().map(|name| name.name()).chain(flags.iter().copied()).collect();
        let ciphers: Vec<&str> = self.ciphers.iter().map(|name| name.name()).collect();
        let macs: Vec<&str> = self.macs.iter().map(|name| name.name()).collect();
        let mut out = vec![MSG_KEXINIT];
        out.extend_from_slice(&cookie);
        put_string(&mut out, kex.join(",").as_bytes());
        put_string(&mut out, self.host_keys.join(",").as_bytes());
        for names in [&ciphers, &ciphers, &macs, &macs] {
            put_string(&mut out, names.join(",").as_bytes());
        }
        let compression = self.compressions().join(",");
        for list in [&compression, &compression, "", ""] {
            put_string(&mut out, list.as_bytes());
        }
        // No guess of ours follows.
        out.push(0);
        put_u32(&mut out, 0);
        out
    }

    /// The first of our names that the server has, of each kind. `is_first`: of the connection.
    pub(crate) fn agree(&self, theirs: &KexInit<'_>, is_first: bool) -> Result<Agreement, TransportError> {
        let [ciphers_out, ciphers_in] = &theirs.ciphers;
        let [macs_out, macs_in] = &theirs.macs;
        let [compressions_out, compressions_in] = &theirs.compressions;
        let kex = choose(ListKind::KeyExchange, &self.kex, |name| name.name(), &theirs.kex)?;
        let host_key = choose(ListKind::HostKey, &self.host_keys, |name| name.as_str(), &theirs.host_keys)?;
        let guessed_right = self.kex.first().map(|name| name.name()) == theirs.kex.first().copied()
            && self.host_keys.first().map(String::as_str) == theirs.host_keys.first().copied();
        Ok(Agreement {
            kex: *kex,
            host_key: host_key.clone(),
            sending: self.protection(ciphers_out, macs_out, compressions_out)?,
            receiving: self.protection(ciphers_in, macs_in, compressions_in)?,
            strict: is_first && theirs.kex.contains(&STRICT_SERVER),
            skip_guess: theirs.first_kex_packet_follows && !guessed_right,
        })
    }

    /// Methods of compression. What begins before the login is no one's need: it would be open to those who cannot log
    /// in.
    const fn compressions(&self) -> &'static [&'static str] {
        if self.compression { &[ZLIB_DELAYED, NO_COMPRESSION] } else { &[NO_COMPRESSION] }
    }

    fn protection(&self, ciphers: &[&str], macs: &[&str], compressions: &[&str]) -> Result<Protection, TransportError> {
        let cipher = *choose(ListKind::Cipher, &self.ciphers, |name| name.name(), ciphers)?;
        let mac = match cipher.is_aead() {
            true => None,
            false => Some(*choose(ListKind::Mac, &self.macs, |name| name.name(), macs)?),
        };
        let compression = *choose(ListKind::Compression, self.compressions(), |name| name, compressions)?;
        Ok(Protection { cipher, mac, is_compressed: compression == ZLIB_DELAYED })
    }
}

fn choose<'a, T>(
    kind: ListKind,
    ours: &'a [T],
    name: impl Fn(&'a T) -> &'a str,
    theirs: &[&str],
) -> Result<&'a T, TransportError> {
    ours.iter().find(|one| theirs.contains(&name(one))).ok_or_else(|| TransportError::NoCommonAlgorithm {
        kind,
        ours: ours.iter().map(|one| name(one).to_owned()).collect(),
        theirs: theirs.iter().map(|name| (*name).to_owned()).collect(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn offer() -> LocalOffer {
        LocalOffer {
            kex: KexName::ALL.to_vec(),
            host_keys: vec!["ssh-ed25519".to_owned(), "rsa-sha2-512".to_owned()],
            ciphers: CipherName::ALL.to_vec(),
            macs: MacName::ALL.to_vec(),
            compression: false,
        }
    }

    fn kexinit(lists: [&str; 8], follows: bool) -> Vec<u8> {
        let mut out = [&[MSG_KEXINIT][..], &[7; COOKIE_BYTES]].concat();
        for list in lists.iter().chain(&["", ""]) {
            put_string(&mut out, list.as_bytes());
        }
        out.push(u8::from(follows));
        out.extend([0; 4]);
        out
    }

    const KEX: &str = "x,curve25519-sha256,kex-strict-s-v00@openssh.com";
    const CTR: &str = "aes256-ctr,aes128-ctr";

    fn agree(lists: [&str; 8], follows: bool) -> Result<Agreement, TransportError> {
        offer().agree(&KexInit::decode(&kexinit(lists, follows))?, true)
    }

    #[test]
    fn our_order_decides_and_directions_may_differ() {
        let gcm = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com";
        let agreed = agree([KEX, "rsa-sha2-512", gcm, CTR, "none", "hmac-sha2-256", "none", "none"], false).unwrap();
        assert_eq!(agreed.kex, KexName::Curve25519);
        assert_eq!(agreed.host_key, "rsa-sha2-512");
        assert_eq!(agreed.sending, Protection { cipher: CipherName::Aes128Gcm, mac: None, is_compressed: false });
        let ctr = Protection { cipher: CipherName::Aes128Ctr, mac: Some(MacName::Sha256), is_compressed: false };
        assert_eq!(agreed.receiving, ctr);
        assert!(agreed.strict && !agreed.skip_guess);
    }

    #[test]
    fn compression_is_agreed_on_for_each_direction() {
        let zlib = "none,zlib@openssh.com";
        let lists = [KEX, "ssh-ed25519", CTR, CTR, "hmac-sha2-256", "hmac-sha2-256", zlib, "none"];
        let theirs = kexinit(lists, false);
        let theirs = KexInit::decode(&theirs).unwrap();
        for (wanted, sent) in [(true, true), (false, false)] {
            let agreed = LocalOffer { compression: wanted, ..offer() }.agree(&theirs, true).unwrap();
            assert_eq!((agreed.sending.is_compressed, agreed.receiving.is_compressed), (sent, false));
        }
    }

    #[test]
    fn cipher_without_a_common_mac_is_refused() {
        let refused = agree([KEX, "ssh-ed25519", CTR, CTR, "hmac-md5", "hmac-md5", "none", "none"], false);
        let Err(TransportError::NoCommonAlgorithm { kind, ours, theirs }) = refused else { panic!("{refused:?}") };
        assert_eq!((kind, theirs), (ListKind::Mac, vec!["hmac-md5".to_owned()]));
        assert!(ours.contains(&"hmac-sha2-256".to_owned()));
        let refused = agree([KEX, "ssh-ed25519", CTR, CTR, "none", "none", "zlib", "none"], false);
        assert!(matches!(refused, Err(TransportError::NoCommonAlgorithm { .. })));
    }

    #[test]
    fn wrong_guess_is_skipped_and_a_right_one_is_not() {
        let ours = "mlkem768x25519-sha256";
        let lists = |kex| [kex, "ssh-ed25519", CTR, CTR, "hmac-sha2-256", "hmac-sha2-256", "none", "none"];
        assert!(agree(lists("x,curve25519-sha256"), true).unwrap().skip_guess);
        assert!(!agree(lists("x,curve25519-sha256"), false).unwrap().skip_guess);
        assert!(!agree(lists(ours), true).unwrap().skip_guess);
    }

    #[test]
    fn truncated_kexinit_is_malformed() {
        let whole = kexinit([KEX, "ssh-ed25519", CTR, CTR, "a", "b", "none", "none"], false);
        assert!(KexInit::decode(&whole).is_ok());
        assert!((0..whole.len()).all(|end| KexInit::decode(&whole[..end]).is_err()));
    }

    #[test]
    fn extensions_are_named_in_the_first_exchange_only() {
        let names = |is_first| {
            let ours = offer().encode([1; COOKIE_BYTES], is_first);
            KexInit::decode(&ours).unwrap().kex.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
        };
        assert!(names(true).contains(&STRICT_CLIENT.to_owned()) && names(true).contains(&EXT_INFO_CLIENT.to_owned()));
        assert_eq!(names(false).len(), KexName::ALL.len());
    }
}
