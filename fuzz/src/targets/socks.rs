//! SOCKS 4, 4a and 5 as a peer speaks them.

use tunnel_engine::fuzzing::{SocksOutcome, socks_talk};
use tunnel_engine::spec::Connect;

/// How the bytes arrive makes no difference, what follows a request is left to the connection, and a target that is asked for
/// has a name and a port.
pub fn socks(data: &[u8]) {
    let (cut, data) = data.split_first().map_or((0, data), |(cut, rest)| (usize::from(*cut), rest));
    let whole = socks_talk(&[data]);
    let (first, second) = data.split_at(cut.min(data.len()));
    assert_eq!(socks_talk(&[first, second]), whole, "cut at {cut}");
    assert_eq!(socks_talk(&data.chunks(1).collect::<Vec<_>>()), whole, "a byte at a time");
    assert!(data.ends_with(&whole.left), "bytes of the connection were changed");
    match whole.end {
        SocksOutcome::Request(Connect::Tcp { host, port: 1.. }) => {
            assert!(!host.is_empty() && !host.contains(|c: char| c.is_control() || c.is_whitespace()));
        }
        SocksOutcome::Request(other) => panic!("SOCKS asks for {other:?}"),
        SocksOutcome::Open | SocksOutcome::Rejected => {}
    }
}
