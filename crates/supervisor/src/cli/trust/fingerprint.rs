//! The fingerprint of a key as a user has it: alone, or in a line that a program has printed around it. Pure.

use std::str::FromStr;

use tunnel_engine::hostkey::HostKey;

const SHA256: &str = "SHA256:";
/// The base64 of 32 bytes, without the padding that ssh leaves out.
const DIGITS: usize = 43;

/// `SHA256:` and the digits after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn is_of(&self, key: &HostKey) -> bool {
        key.fingerprint() == self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FingerprintError {
    #[error(
        "it is an MD5 fingerprint, which tells no keys apart any more: `ssh-keygen -l -E sha256 -f KEY` shows the right one"
    )]
    Md5,
    #[error("it holds several fingerprints: give the one of the server's key")]
    Several,
    #[error("a fingerprint is `SHA256:` and 43 letters and digits, or the line of `ssh-keygen -lf KEY` that has it")]
    Other,
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut found = text.split_whitespace().filter_map(|word| word.strip_prefix(SHA256));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(FingerprintError::Several),
            (Some(word), None) => {
                // Some programs write the padding, and ssh's question ends with a full stop.
                let digits = word.trim_end_matches('.').trim_end_matches('=');
                let base64 = digits.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/');
                match base64 && digits.len() == DIGITS {
                    true => Ok(Self(format!("{SHA256}{digits}"))),
                    false => Err(FingerprintError::Other),
                }
            }
            (None, _) => {
                Err(if text.split_whitespace().any(is_md5) { FingerprintError::Md5 } else { FingerprintError::Other })
            }
        }
    }
}

/// Sixteen pairs of hexadecimal digits, with or without its name.
fn is_md5(word: &str) -> bool {
    let pairs: Vec<&str> = word.strip_prefix("MD5:").unwrap_or(word).split(':').collect();
    pairs.len() == 16 && pairs.iter().all(|pair| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "siD5gf4TryKv5/d5XWY5L5G/y4pJM235F0y9ppFeRIE";
    const MD5: &str = "28:5b:7b:a4:9e:57:6f:1c:36:0a:0a:c0:65:3f:8b:15";

    #[test]
    fn fingerprint_is_found_where_programs_print_it() {
        for text in [
            format!("SHA256:{DIGITS}"),
            format!(" SHA256:{DIGITS}= \n"),
            format!("256 SHA256:{DIGITS} root@db (ED25519)"),
            format!("ED25519 key fingerprint is SHA256:{DIGITS}."),
        ] {
            assert_eq!(text.parse(), Ok(Fingerprint(format!("SHA256:{DIGITS}"))), "{text}");
        }
    }

    #[test]
    fn other_fingerprints_are_refused_with_their_fault() {
        for (text, why) in [
            (format!("MD5:{MD5}"), FingerprintError::Md5),
            (format!("256 {MD5} root@db (ED25519)"), FingerprintError::Md5),
            (format!("SHA256:{DIGITS} SHA256:{DIGITS}"), FingerprintError::Several),
            (DIGITS.to_owned(), FingerprintError::Other),
            ("SHA256:x".to_owned(), FingerprintError::Other),
            (format!("SHA256:{DIGITS}A"), FingerprintError::Other),
            (String::new(), FingerprintError::Other),
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(why), "{text}");
        }
    }
}
