//! Heavy and odd traffic through a port, checked byte by byte.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use crate::net::{connect, pattern};

const BLOCK: usize = 1 << 20;

/// Sends `bytes` through each of `connections` connections to an echo behind `port`, all at once, and compares what
/// comes back. Panics at the first byte that is not what was sent.
pub fn echo_intact(port: u16, connections: usize, bytes: usize) {
    let each: Vec<_> = (0..connections).map(|seed| thread::spawn(move || echo_one(port, seed * 977, bytes))).collect();
    for one in each {
        one.join().expect("every connection carries its bytes");
    }
}

/// One connection of [`echo_intact`]; `seed` makes its bytes its own.
pub fn echo_one(port: u16, seed: usize, bytes: usize) {
    let stream = connect(port).expect("the forward accepts");
    let mut sender = stream.try_clone().expect("a second handle");
    let sending = thread::spawn(move || {
        for from in (0..bytes).step_by(BLOCK) {
            sender.write_all(&pattern(seed + from, BLOCK.min(bytes - from))).expect("the tunnel takes bytes");
        }
        sender.shutdown(Shutdown::Write).expect("half-close");
    });
    expect_pattern(stream, seed, bytes);
    sending.join().expect("all bytes are sent");
}

/// Reads `bytes` of the pattern from `seed` on, and then the end.
pub fn expect_pattern(mut stream: impl Read, seed: usize, bytes: usize) {
    let mut block = vec![0; BLOCK];
    for from in (0..bytes).step_by(BLOCK) {
        let len = BLOCK.min(bytes - from);
        stream.read_exact(&mut block[..len]).expect("the tunnel gives bytes");
        assert!(block[..len] == pattern(seed + from, len)[..], "bytes changed within the MiB at {from}");
    }
    assert_eq!(stream.read(&mut block).expect("a clean end"), 0, "more bytes than were sent");
}

/// Sends `bytes`, half-closes, and gives what is said back: the number that a counting target heard.
pub fn count_after_half_close(port: u16, bytes: usize) -> String {
    let mut stream = connect(port).expect("the forward accepts");
    stream.write_all(&pattern(0, bytes)).expect("the tunnel takes bytes");
    stream.shutdown(Shutdown::Write).expect("half-close");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer after our end");
    answer
}
