//! `completions`: the script for a shell. It asks `tunneld complete`, so that names are those of the running daemon, and a
//! new option needs no new script.

mod names;
mod words;

use std::ffi::OsString;

use super::help;
use super::problem::{Problem, print, printable};
use crate::exit;
use words::Candidates;

/// A shell with programmable completion.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Told to the script in place of candidates: here a path is typed, which the shell knows best.
const PATHS: &str = ":path:";

pub(super) fn script(shell: Shell) -> Result<u8, Problem> {
    let script = match shell {
        Shell::Bash => include_str!("completions/bash.sh"),
        Shell::Zsh => include_str!("completions/zsh.sh"),
        Shell::Fish => include_str!("completions/fish.sh"),
    };
    print(script).map(|()| exit::OK)
}

/// What the last of the words could become: a line each, and after a tab what it means. Says nothing where it fails: the
/// user is typing.
pub(super) fn complete(words: &[OsString]) -> Result<u8, Problem> {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let text = match words::candidates(&help::command(), &words, names::of_tunnels) {
        Candidates::Paths => format!("{PATHS}\n"),
        Candidates::Words(words) => words
            .iter()
            .map(|(word, meaning)| match meaning.is_empty() {
                true => format!("{word}\n"),
                false => format!("{word}\t{meaning}\n"),
            })
            .collect(),
    };
    print(&printable(&text)).map(|()| exit::OK)
}
