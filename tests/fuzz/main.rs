//! The fuzz targets over the kept corpus, without a fuzzer: each input as it is, and a bounded number of changes to it from a
//! fixed seed. `make fuzz` looks further.

#![allow(unreachable_pub, reason = "the targets are a library of their own in fuzz/")]

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::{ALL, Target};

/// Changed inputs of one target: with all of them, the tests of one take a second or two.
const CHANGED: usize = 2_000;

/// The longest input that is kept, in bytes.
const MAX_INPUT: usize = 32 * 1024;

#[test]
fn autossh_argv_holds_over_the_corpus() {
    holds("autossh_argv");
}

#[test]
fn channel_messages_hold_over_the_corpus() {
    holds("channel_messages");
}

#[test]
fn config_holds_over_the_corpus() {
    holds("config");
}

#[test]
fn control_frames_hold_over_the_corpus() {
    holds("control_frames");
}

#[test]
fn forward_spec_holds_over_the_corpus() {
    holds("forward_spec");
}

#[test]
fn known_hosts_holds_over_the_corpus() {
    holds("known_hosts");
}

#[test]
fn monitor_message_holds_over_the_corpus() {
    holds("monitor_message");
}

#[test]
fn server_greeting_holds_over_the_corpus() {
    holds("server_greeting");
}

#[test]
fn server_offer_holds_over_the_corpus() {
    holds("server_offer");
}

#[test]
fn socks_holds_over_the_corpus() {
    holds("socks");
}

#[test]
fn ssh_config_holds_over_the_corpus() {
    holds("ssh_config");
}

#[test]
fn transport_decoders_hold_over_the_corpus() {
    holds("transport_decoders");
}

#[test]
fn transport_packets_hold_over_the_corpus() {
    holds("transport_packets");
}

#[test]
fn transport_session_holds_over_the_corpus() {
    holds("transport_session");
}

#[test]
fn every_folder_of_the_corpus_has_a_target_and_every_target_a_program() {
    let root = root();
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    let mut folders: Vec<String> = listed(&root.join("corpus")).iter().map(|path| name_of(path)).collect();
    folders.sort();
    assert_eq!(folders, names);
    for name in names {
        let program = root.join(format!("fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert!(text.contains(&format!("targets::{name}(")), "{} runs something else", program.display());
    }
}

fn holds(name: &str) {
    let target = ALL.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
    let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
    let inputs: Vec<(PathBuf, Vec<u8>)> = listed(&root().join("corpus").join(name))
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, bytes)
        })
        .collect();
    assert!(!inputs.is_empty(), "the corpus of {name} is empty");
    for (path, bytes) in &inputs {
        assert!(bytes.len() <= MAX_INPUT, "{} is too long to be kept", path.display());
        run(target, bytes, &path.display().to_string());
    }
    let mut die = fastrand::Rng::with_seed(7);
    for round in 0..CHANGED {
        let (path, bytes) = &inputs[die.usize(..inputs.len())];
        let other = &inputs[die.usize(..inputs.len())].1;
        let changed = change(bytes, other, &mut die);
        run(target, &changed, &format!("change {round}, of {}: {}", path.display(), changed.escape_ascii()));
    }
}

fn run(target: Target, input: &[u8], what: &str) {
    assert!(catch_unwind(|| target(input)).is_ok(), "{what}");
}

/// A few changes of the kinds that a fuzzer makes.
fn change(bytes: &[u8], other: &[u8], die: &mut fastrand::Rng) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..die.usize(1..4) {
        let at = die.usize(..=changed.len());
        let length = die.usize(..=(changed.len() - at).min(16));
        let part: Vec<u8> = match die.u8(..5) {
            0 => Vec::new(),
            1 => vec![die.u8(..)],
            2 => changed[at..at + length].repeat(die.usize(2..40)),
            3 => {
                let from = die.usize(..=other.len());
                other[from..].iter().take(die.usize(1..64)).copied().collect()
            }
            _ => die
                .choice([&b"\0"[..], b"\n", b"\xff\xff\xff\xff", b"%", b"\"", b"\x1b", b"=", b"*"])
                .unwrap_or(&b""[..])
                .to_vec(),
        };
        changed.splice(at..at + length, part);
    }
    changed
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
