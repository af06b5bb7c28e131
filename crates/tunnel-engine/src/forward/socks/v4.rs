//! SOCKS 4 and 4a.

use std::net::Ipv4Addr;

use super::reply::{self, SocksRefusal};
use super::{MAX_NAME, Parsed, SocksRequest, Version, name};

/// Longest user id that is read over. ssh takes as much.
pub(super) const MAX_USER_ID: usize = 1024;

const CONNECT: u8 = 1;
const FIXED: usize = 8;

pub(super) fn request(input: &[u8]) -> Parsed {
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED>() else { return Parsed::Need };
    let [_, command, port_high, port_low, a, b, c, d] = *fixed;
    let port = u16::from_be_bytes([port_high, port_low]);
    if command != CONNECT || port == 0 {
        return rejected();
    }
    let user_id = match terminated(rest, MAX_USER_ID) {
        Terminated::At(length) => length,
        Terminated::NotYet => return Parsed::Need,
        Terminated::TooLong => return rejected(),
    };
    let after_user = FIXED + user_id + 1;
    // 4a: an address that cannot be, 0.0.0.x, says that a name follows.
    if [a, b, c] != [0; 3] || d == 0 {
        return accepted(Ipv4Addr::new(a, b, c, d).to_string(), port, after_user);
    }
    let rest = &rest[user_id + 1..];
    match terminated(rest, MAX_NAME) {
        Terminated::At(length) => match name(&rest[..length]) {
            Some(host) => accepted(host, port, after_user + length + 1),
            None => rejected(),
        },
        Terminated::NotYet => Parsed::Need,
        Terminated::TooLong => rejected(),
    }
}

enum Terminated {
    At(usize),
    NotYet,
    TooLong,
}

fn terminated(bytes: &[u8], max: usize) -> Terminated {
    match bytes.iter().take(max + 1).position(|byte| *byte == 0) {
        Some(length) => Terminated::At(length),
        None if bytes.len() > max => Terminated::TooLong,
        None => Terminated::NotYet,
    }
}

fn accepted(host: String, port: u16, length: usize) -> Parsed {
    Parsed::Request { request: SocksRequest { version: Version::Four, host, port }, length }
}

fn rejected() -> Parsed {
    Parsed::Reject(reply::failure(Version::Four, SocksRefusal::General))
}
