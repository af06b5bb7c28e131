//! What a daemon holds in its memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use crate::Daemon;

const PAGE: usize = 4096;

/// Whether this user can read a daemon's memory, which is kept from all but root. In CI that is not left to chance.
pub fn may_be_read() -> bool {
    let root = nix::unistd::getuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "root alone can read the memory of tunneld");
        eprintln!("NOT RUN: root alone can read the memory of tunneld");
    }
    root
}

/// For the daemon's environment: its allocator (mimalloc) keeps memory that was given back, which it else gives to the kernel
/// in moments, with all that is in it.
pub const KEPT: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");

/// How often each of them is in writable memory, that which was given back included.
pub fn copies(daemon: &Daemon, needles: &[Vec<u8>]) -> Vec<usize> {
    const CONTROL: &[u8] = b"127.0.0.1";
    let (mut copies, mut control) = (vec![0; needles.len()], 0);
    for held in mappings(daemon) {
        let may_begin: Vec<bool> =
            (0..=u8::MAX).map(|byte| byte == CONTROL[0] || needles.iter().any(|needle| needle[0] == byte)).collect();
        for at in (0..held.len()).filter(|at| may_begin[usize::from(held[*at])]) {
            control += usize::from(held[at..].starts_with(CONTROL));
            for (copies, needle) in copies.iter_mut().zip(needles) {
                *copies += usize::from(held[at..].starts_with(needle));
            }
        }
    }
    assert!(control > 0, "the search does not find what is there");
    copies
}

/// Of each writable mapping, the pages that are there, one after the other.
fn mappings(daemon: &Daemon) -> impl Iterator<Item = Vec<u8>> {
    let of_proc = |name: &str| format!("/proc/{}/{name}", daemon.pid());
    let maps = fs::read_to_string(of_proc("maps")).expect("the daemon runs");
    let [pages, memory] = ["pagemap", "mem"].map(|name| File::open(of_proc(name)).expect("root may read it"));
    let writable = |line: &&str| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"));
    let ranges: Vec<_> = maps.lines().filter(writable).map(range).collect();
    ranges.into_iter().map(move |(from, to)| resident(&pages, &memory, from, to).unwrap_or_default())
}

fn range(line: &str) -> (u64, u64) {
    let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
    let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).expect("an address"));
    (from, to)
}

/// A mapping of the allocator is far larger than what is in use of it: the kernel says which pages are (proc(5), `pagemap`).
fn resident(pages: &File, memory: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    const ENTRY: usize = 8;
    const PRESENT_OR_SWAPPED: u64 = 0b11 << 62;
    let count = (to - from) as usize / PAGE;
    let mut entries = vec![0; count * ENTRY];
    pages.read_exact_at(&mut entries, from / PAGE as u64 * ENTRY as u64)?;
    let mut held = Vec::new();
    for (number, entry) in entries.chunks_exact(ENTRY).enumerate() {
        let entry = u64::from_ne_bytes(entry.try_into().expect("eight bytes"));
        if entry & PRESENT_OR_SWAPPED != 0 {
            let start = held.len();
            held.resize(start + PAGE, 0);
            // It may go meanwhile.
            if memory.read_exact_at(&mut held[start..], from + (number * PAGE) as u64).is_err() {
                held.truncate(start);
            }
        }
    }
    Ok(held)
}
