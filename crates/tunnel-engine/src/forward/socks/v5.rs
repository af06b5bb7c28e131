//! SOCKS 5: RFC 1928.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::reply::{self, SocksRefusal};
use super::{Parsed, SocksRequest, Version, name};

const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const FIXED: usize = 4;

/// Section 3: version, count, methods.
pub(super) fn methods(input: &[u8]) -> Parsed {
    let [_, count, rest @ ..] = input else { return Parsed::Need };
    let Some(methods) = rest.get(..usize::from(*count)) else { return Parsed::Need };
    if methods.contains(&NO_AUTHENTICATION) {
        Parsed::Methods { length: 2 + methods.len() }
    } else {
        Parsed::Reject(reply::no_acceptable_method())
    }
}

/// Section 4: version, command, reserved, address type, address, port.
pub(super) fn request(input: &[u8]) -> Parsed {
    if input.first().is_some_and(|version| *version != 5) {
        return Parsed::Reject(bytes::Bytes::new());
    }
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED>() else { return Parsed::Need };
    let [_, command, _, address_type] = *fixed;
    if command != CONNECT {
        return rejected(SocksRefusal::CommandNotSupported);
    }
    let (host, length) = match address_type {
        IPV4 => match rest.first_chunk::<4>() {
            Some(address) => (Some(Ipv4Addr::from(*address).to_string()), 4),
            None => return Parsed::Need,
        },
        IPV6 => match rest.first_chunk::<16>() {
            Some(address) => (Some(Ipv6Addr::from(*address).to_string()), 16),
            None => return Parsed::Need,
        },
        NAME => match rest.split_first() {
            Some((length, after)) => match after.get(..usize::from(*length)) {
                Some(bytes) => (name(bytes), 1 + bytes.len()),
                None => return Parsed::Need,
            },
            None => return Parsed::Need,
        },
        _ => return rejected(SocksRefusal::AddressTypeNotSupported),
    };
    let Some(port) = rest.get(length..).and_then(|after| after.first_chunk::<2>()) else { return Parsed::Need };
    match (host, u16::from_be_bytes(*port)) {
        (None, _) | (_, 0) => rejected(SocksRefusal::General),
        (Some(host), port) => {
            let request = SocksRequest { version: Version::Five, host, port };
            Parsed::Request { request, length: FIXED + length + 2 }
        }
    }
}

fn rejected(refusal: SocksRefusal) -> Parsed {
    Parsed::Reject(reply::failure(Version::Five, refusal))
}
