//! No secret is left in the memory of a daemon that has logged in and rests.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use support::net::free_port;
use support::{Daemon, Sshd, eventually, keys};

const PASSPHRASE: &str = "the passphrase of this test alone";
const PAGE: usize = 4096;

#[test]
fn keys_and_passphrases_are_wiped_after_the_login() {
    let sshd = Sshd::start();
    let key = |name: &str, options: &[&str]| {
        let key = keys::generate(sshd.dir(), name, options);
        sshd.authorize(&keys::public(&key));
        key
    };
    let (plain, rsa, locked) = (key("plain", &[]), key("rsa", &["-t", "rsa", "-b", "2048"]), key("locked", &[]));
    let needles: Vec<_> =
        [&plain, &rsa, &locked].iter().flat_map(|key| secret_parts(key)).chain([PASSPHRASE.into()]).collect();
    let encrypted =
        Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", PASSPHRASE, "-f"]).arg(&locked).output();
    assert!(encrypted.expect("ssh-keygen").status.success());
    let phrase = sshd.dir().join("phrase");
    fs::write(&phrase, format!("{PASSPHRASE}\n")).expect("a file");

    let tunnel = |name: &str, key: &Path, more: &str| {
        format!(
            "[[tunnel]]\nname = '{name}'\nhost = '127.0.0.1'\nport = {}\nuser = '{}'\nidentity_agent = 'none'\n\
             user_known_hosts_file = '{}'\nidentity_file = '{}'\nlocal_forward = '{}:127.0.0.1:9'\n{more}\n",
            sshd.port,
            keys::user(),
            sshd.known_hosts.display(),
            key.display(),
            free_port()
        )
    };
    let passphrase = format!("passphrase_file = '{}'", phrase.display());
    let daemon = Daemon::start(
        &[tunnel("plain", &plain, ""), tunnel("rsa", &rsa, ""), tunnel("locked", &locked, &passphrase)].concat(),
    );
    for name in ["plain", "rsa", "locked"] {
        daemon.wait_ready(name);
    }
    holds_none_of(&daemon, &needles);
}

/// What ssh-keygen wrote: some of the file's text, and the end of what that stands for, which is secret in all types of keys
/// but for the comment and the padding. Of an ed25519 key the seed itself.
fn secret_parts(key: &Path) -> Vec<Vec<u8>> {
    const COMMENT_AND_PADDING: usize = 64;
    let text = fs::read_to_string(key).expect("a key");
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = decoded(&base64);
    let end = bytes.len() - COMMENT_AND_PADDING;
    let mut parts = vec![base64.as_bytes()[base64.len() / 2..][..48].to_vec(), bytes[end - 32..end].to_vec()];
    let both_halves = bytes.windows(4).position(|window| window == [0, 0, 0, 64]);
    parts.extend(both_halves.map(|at| bytes[at + 4..at + 36].to_vec()));
    parts
}

fn decoded(base64: &str) -> Vec<u8> {
    let done = Command::new("sh").args(["-c", "printf %s \"$0\" | base64 -d", base64]).output().expect("base64");
    done.stdout
}

/// Soon: memory that was given back is given to the kernel in moments, and reading it all takes a while.
#[track_caller]
fn holds_none_of(daemon: &Daemon, needles: &[Vec<u8>]) {
    if !nix::unistd::getuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "root alone can read the memory of tunneld");
        eprintln!("NOT RUN: root alone can read the memory of tunneld");
        return;
    }
    // The search finds what is there.
    assert!(found(daemon, &[b"127.0.0.1".to_vec()]).is_some());
    eventually("no secret is in the memory of tunneld", || found(daemon, needles).is_none().then_some(()));
}

/// The first of them that is in writable memory.
fn found(daemon: &Daemon, needles: &[Vec<u8>]) -> Option<usize> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).expect("the daemon runs");
    let mut memory = File::open(format!("/proc/{}/mem", daemon.pid())).expect("root may read it");
    let mut page = vec![0; PAGE];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).expect("an address"));
        if memory.seek(SeekFrom::Start(from)).is_err() {
            continue;
        }
        let mut held: Vec<u8> = Vec::new();
        for _ in 0..(to - from) / PAGE as u64 {
            if memory.read_exact(&mut page).is_err() {
                break;
            }
            if page.iter().all(|byte| *byte == 0) {
                continue;
            }
            held.extend(&page);
        }
        if let Some(which) = needles.iter().position(|needle| holds(&held, needle)) {
            return Some(which);
        }
    }
    None
}

fn holds(memory: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    memory.iter().enumerate().any(|(at, byte)| *byte == first && memory[at..].starts_with(needle))
}
