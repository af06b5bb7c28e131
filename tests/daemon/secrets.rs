//! No secret is left in the memory of a daemon that has logged in and rests.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::memory;
use support::net::free_port;
use support::{Daemon, Sshd, eventually, keys};

const PASSPHRASE: &str = "the passphrase of this test alone";

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
    let config = [tunnel("plain", &plain, ""), tunnel("rsa", &rsa, ""), tunnel("locked", &locked, &passphrase)];
    let daemon = Daemon::with_environment(&config.concat(), &[memory::KEPT]);
    for name in ["plain", "rsa", "locked"] {
        daemon.wait_ready(name);
    }
    if memory::may_be_read() {
        eventually("no secret is in the memory of tunneld", || {
            memory::copies(&daemon, &needles).iter().all(|copies| *copies == 0).then_some(())
        });
    }
}

/// What ssh-keygen wrote: the last full line of the file's text, and the end of what that stands for, which is secret in all types
/// of keys but for the comment and the padding. Of an ed25519 key the seed itself.
fn secret_parts(key: &Path) -> Vec<Vec<u8>> {
    const COMMENT_AND_PADDING: usize = 64;
    let text = fs::read_to_string(key).expect("a key");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = decoded(&lines.concat());
    let end = bytes.len() - COMMENT_AND_PADDING;
    let mut parts = vec![lines[lines.len() - 2].as_bytes().to_vec(), bytes[end - 32..end].to_vec()];
    let both_halves = bytes.windows(4).position(|window| window == [0, 0, 0, 64]);
    parts.extend(both_halves.map(|at| bytes[at + 4..at + 36].to_vec()));
    parts
}

fn decoded(base64: &str) -> Vec<u8> {
    let done = Command::new("sh").args(["-c", "printf %s \"$0\" | base64 -d", base64]).output().expect("base64");
    done.stdout
}
