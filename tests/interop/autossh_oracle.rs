//! The real autossh 1.4g (Debian's, with /usr/bin/ssh below it) and ours, side by side: the same words, the same
//! environment, the same sshd. What they do and what they log must be the same.
//!
//! What may differ is what docs/autossh.md, "What differs", says; of it, these show in a log:
//!
//! - lines about the child process and the alarm clock ([`ONLY_THEIRS`]): there are none here;
//! - lines with the reason of an end, and that ssh is connected ([`ONLY_OURS`]): autossh knows neither; and that a lifetime
//!   cuts a poll, which autossh has in syslog only;
//! - the number behind `ssh child pid is`: the child's, and our own.

mod echo;
mod lives;
mod refusals;

use std::collections::BTreeMap;

use support::autossh::{Autossh, Running, words};

/// Beginnings of DEBUG lines.
const ONLY_THEIRS: [&str; 6] =
    ["check on child ", "clear alarm timer ", "set alarm for ", "received SIGALRM ", "expired child, ", "child of "];

/// Beginnings of INFO lines.
const ONLY_OURS: [&str; 4] = ["ssh is connected", "ssh: ", "poll time is greater", "first poll time is greater"];

/// What was seen of one of them.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    code: Option<i32>,
    story: Vec<String>,
    /// There is a pidfile after the end.
    pidfile_left: bool,
}

/// Plays the same piece with both, which gives the exit code, and fails where what was seen differs. Gives the story.
/// Everything is logged unless the environment says otherwise.
#[track_caller]
fn same(environment: &[(&str, &str)], play: impl Fn(&Autossh) -> Option<i32>) -> Vec<String> {
    same_but(&[], environment, play)
}

/// The same, without lines that begin so.
#[track_caller]
fn same_but(accepted: &[&str], environment: &[(&str, &str)], play: impl Fn(&Autossh) -> Option<i32>) -> Vec<String> {
    let [theirs, ours] = [Autossh::original(), Autossh::new()].map(|autossh| {
        let autossh = autossh.with("AUTOSSH_LOGLEVEL", "7").with_all(environment);
        let code = play(&autossh);
        let mut story = story(&autossh.log());
        story.retain(|line| !accepted.iter().any(|start| line.starts_with(start)));
        Seen { code, story, pidfile_left: autossh.dir().join("pid").exists() }
    });
    assert_eq!(ours, theirs, "ours on the left, the real one on the right");
    theirs.story
}

/// The texts of a log file, each with the right head, without what only one of the two has.
#[track_caller]
fn story(log: &str) -> Vec<String> {
    told(log.lines().filter_map(|line| {
        // What the monitor heard may have lines of its own there.
        let (head, text) = line.split_once("]: ")?;
        let shape: String = head.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(shape.trim_end_matches('9'), "9999/99/99 99:99:99 autossh[", "{line}");
        Some(text)
    }))
}

/// What both tell.
fn told<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let of_one = |text: &str| ONLY_THEIRS.iter().chain(&ONLY_OURS).any(|start| text.starts_with(start));
    texts
        .filter(|text| !of_one(text))
        .map(|text| match text.strip_prefix("ssh child pid is ") {
            Some(pid) => {
                assert!(pid.parse::<u32>().is_ok(), "{text}");
                "ssh child pid is N".to_owned()
            }
            // Followed by the line, which has a random number.
            None if text.starts_with("not what I sent: \"") => "not what I sent".to_owned(),
            None => text.to_owned(),
        })
        .collect()
}

/// Runs to its end.
#[track_caller]
fn to_its_end(autossh: &Autossh, line: &str) -> Option<i32> {
    autossh.start(&words(line)).wait().code()
}

/// Starts it in the foreground, and sees that its pidfile says so.
#[track_caller]
fn start(autossh: &Autossh, line: &str) -> Running {
    let running = autossh.start(&words(line));
    assert_eq!(autossh.pid(), running.pid());
    running
}

/// How often each line was told.
fn counts(story: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in story {
        *counts.entry(line.as_str()).or_default() += 1;
    }
    counts
}
