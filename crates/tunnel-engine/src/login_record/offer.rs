//! What the two sides of a key exchange would take (SSH_MSG_KEXINIT, RFC 4253 section 7.1), and what that has in
//! common. Pure.

use crate::transport::KexInit;

/// In the first lists of names of a KEXINIT, not algorithms but flags: RFC 8308, and OpenSSH's strict key exchange.
const FLAGS: [&str; 4] = ["ext-info-c", "ext-info-s", "kex-strict-c-v00@openssh.com", "kex-strict-s-v00@openssh.com"];
/// Ciphers that need no MAC beside them.
const WITHOUT_MAC: [&str; 3] = ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];
/// Of one name from the server, in characters.
const MAX_NAME: usize = 64;
/// Names in one list of the server's.
const MAX_NAMES: usize = 64;

/// Names of algorithms, the preferred ones first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlgorithmOffer {
    /// Key exchange methods.
    pub kex: Vec<String>,
    /// Host key algorithms.
    pub host_keys: Vec<String>,
    /// Ciphers, from client to server.
    pub ciphers: Vec<String>,
    /// MACs, from client to server.
    pub macs: Vec<String>,
}

/// What both sides have of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common<'a> {
    /// `key exchange method`.
    pub kind: &'static str,
    /// The key of the config file.
    pub key: &'static str,
    /// The names that we offer.
    pub ours: &'a [String],
    /// The server's.
    pub theirs: &'a [String],
    /// Those of ours that the server has too; the first is what is used.
    pub both: Vec<&'a str>,
    /// No session without one in common: false of MACs beside a cipher that has its own.
    pub needed: bool,
}

impl AlgorithmOffer {
    /// Without the flags among the key exchange methods.
    pub(crate) fn without_flags(mut self) -> Self {
        self.kex.retain(|name| !FLAGS.contains(&name.as_str()));
        self
    }

    /// The server's offer in the bytes that it sent: after its identification, the first packet. `None` while it is not
    /// whole, and where it is none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (length, packet) = after_identification(bytes)?.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let padding = usize::from(*packet.first()?);
        let payload = packet.get(1..length.checked_sub(padding)?)?;
        let [kex, host_keys, ciphers, macs] = KexInit::decode(payload).ok()?.names().map(printable);
        Some(Self { kex, host_keys, ciphers, macs }.without_flags())
    }

    /// What this offer, ours, has in common with the server's.
    pub fn in_common<'a>(&'a self, theirs: &'a Self) -> [Common<'a>; 4] {
        let common = |kind, key, ours: &'a [String], theirs: &'a [String]| Common {
            kind,
            key,
            ours,
            theirs,
            both: ours.iter().filter(|name| theirs.contains(name)).map(String::as_str).collect(),
            needed: true,
        };
        let cipher = common("cipher", "ciphers", &self.ciphers, &theirs.ciphers);
        let with_mac = cipher.both.first().is_none_or(|name| !WITHOUT_MAC.contains(name));
        let mac = Common { needed: with_mac, ..common("MAC", "macs", &self.macs, &theirs.macs) };
        [
            common("key exchange method", "kex_algorithms", &self.kex, &theirs.kex),
            common("host key algorithm", "host_key_algorithms", &self.host_keys, &theirs.host_keys),
            cipher,
            mac,
        ]
    }
}

/// What follows the line that begins with `SSH-`.
fn after_identification(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at(end + 1);
        if line.starts_with(b"SSH-") {
            return Some(after);
        }
        rest = after;
    }
}

/// Names of the server's, fit for a terminal.
fn printable(names: &[&str]) -> Vec<String> {
    let clean = |name: &&str| name.chars().filter(char::is_ascii_graphic).take(MAX_NAME).collect::<String>();
    names.iter().map(clean).filter(|name| !name.is_empty()).take(MAX_NAMES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lists: &[&str]) -> Vec<u8> {
        let mut payload = vec![20];
        payload.extend([7; 16]);
        // Compressions and languages.
        for list in lists.iter().chain(&["none", "none", "", ""]) {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        payload.extend([0; 5]);
        let mut bytes = b"hello\r\nSSH-2.0-x\r\n".to_vec();
        bytes.extend(u32::try_from(payload.len() + 1 + 4).unwrap().to_be_bytes());
        bytes.push(4);
        bytes.extend(&payload);
        bytes.extend([0; 4]);
        bytes
    }

    fn names(list: &str) -> Vec<String> {
        list.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn the_servers_lists_are_read_from_its_first_packet() {
        let bytes = sent(&["k1,kex-strict-s-v00@openssh.com,k2", "h\x1b[1m", "c1,c2", "c9", "m1", "m9"]);
        let offer = AlgorithmOffer::read(&bytes).unwrap();
        assert_eq!(offer.kex, ["k1", "k2"]);
        assert_eq!(offer.host_keys, ["h[1m"], "nothing that drives a terminal");
        assert_eq!((offer.ciphers, offer.macs), (names("c1,c2"), names("m1")));
        for cut in 0..bytes.len() - 8 {
            assert!(AlgorithmOffer::read(&bytes[..cut]).is_none(), "{cut}");
        }
        assert!(AlgorithmOffer::read(b"SSH-2.0-x\r\n\0\0\0\x02\xff\x14").is_none(), "padding longer than the packet");
    }

    #[test]
    fn aead_cipher_needs_no_common_mac() {
        let ours = AlgorithmOffer {
            ciphers: names("aes128-gcm@openssh.com,aes128-ctr"),
            macs: names("m1"),
            ..AlgorithmOffer::default()
        };
        let theirs =
            |cipher: &str| AlgorithmOffer { ciphers: names(cipher), macs: names("m2"), ..AlgorithmOffer::default() };
        let needed = |theirs: &AlgorithmOffer| ours.in_common(theirs)[3].needed;
        assert!(!needed(&theirs("aes128-ctr,aes128-gcm@openssh.com")), "ours come first");
        assert!(needed(&theirs("aes128-ctr")));
        assert_eq!(ours.in_common(&theirs("aes128-ctr"))[2].both, ["aes128-ctr"]);
    }
}
