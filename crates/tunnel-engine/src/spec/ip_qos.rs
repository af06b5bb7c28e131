//! How packets are marked for routers: the words and numbers of ssh_config's IPQoS.

use std::fmt;
use std::str::FromStr;

/// The words that ssh knows and the byte that each puts into the header: RFC 2474, 2597, 3246, 5865 and 8622. The last
/// three are the older bits of RFC 1349, which OpenSSH 10.1 passes over.
const WORDS: &[(&str, u8)] = &[
    ("af11", 0x28),
    ("af12", 0x30),
    ("af13", 0x38),
    ("af21", 0x48),
    ("af22", 0x50),
    ("af23", 0x58),
    ("af31", 0x68),
    ("af32", 0x70),
    ("af33", 0x78),
    ("af41", 0x88),
    ("af42", 0x90),
    ("af43", 0x98),
    ("cs0", 0x00),
    ("cs1", 0x20),
    ("cs2", 0x40),
    ("cs3", 0x60),
    ("cs4", 0x80),
    ("cs5", 0xa0),
    ("cs6", 0xc0),
    ("cs7", 0xe0),
    ("ef", 0xb8),
    ("le", 0x04),
    ("va", 0xb0),
    ("lowdelay", 0x10),
    ("throughput", 0x08),
    ("reliability", 0x04),
];

/// The byte of IP_TOS and IPV6_TCLASS, or that the system's own is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IpQos {
    /// `none`.
    #[default]
    Unmarked,
    /// The whole byte, of which the upper six bits are the DSCP.
    Marked(u8),
}

/// Neither a word of ssh's nor a number from 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a traffic class")]
pub struct IpQosError(String);

impl FromStr for IpQos {
    type Err = IpQosError;

    /// One word, in any case, or a number, decimal or as `0x10`.
    fn from_str(text: &str) -> Result<Self, IpQosError> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::Unmarked);
        }
        let word = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, byte)| *byte);
        let number = || match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u8::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        word.or_else(number).map(Self::Marked).ok_or_else(|| IpQosError(text.to_owned()))
    }
}

impl fmt::Display for IpQos {
    /// The first word that stands for it, else the number, as `ssh -G` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmarked => f.write_str("none"),
            Self::Marked(byte) => match WORDS.iter().find(|(_, known)| known == byte) {
                Some((word, _)) => f.write_str(word),
                None => write!(f, "0x{byte:02x}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_those_of_ssh() {
        for (text, want, shown) in [
            ("af21", 0x48, "af21"),
            ("EF", 0xb8, "ef"),
            ("cs1", 0x20, "cs1"),
            ("lowdelay", 0x10, "lowdelay"),
            ("0", 0, "cs0"),
            ("0x10", 0x10, "lowdelay"),
            ("255", 255, "0xff"),
        ] {
            let read: IpQos = text.parse().unwrap();
            assert_eq!((read, read.to_string().as_str()), (IpQos::Marked(want), shown), "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "what is written can be read");
        }
        assert_eq!("None".parse(), Ok(IpQos::Unmarked));
        for bad in ["", "256", "-1", "af14", "ef cs1", "0xfff"] {
            assert_eq!(bad.parse::<IpQos>(), Err(IpQosError(bad.to_owned())));
        }
    }
}
