//! The person at the terminal, asked as ssh asks. What was answered once is not asked again when a session is replaced.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use tunnel_engine::spec::{PromptKind, Prompter, PrompterHandle};
use zeroize::Zeroizing;

/// The terminal of the process, whatever its standard input is.
const TERMINAL: &str = "/dev/tty";

/// What ssh reads of an answer at most.
const MAX_ANSWER_BYTES: usize = 1024;

/// What a secret that is being typed has changed of the terminal.
static BEFORE_SECRET: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal of this process, set right again when this is dropped in the middle of a password.
#[derive(Debug)]
pub struct Terminal {
    tty: File,
}

impl Terminal {
    /// `None`: there is no terminal.
    pub fn open() -> Option<Self> {
        OpenOptions::new().read(true).write(true).open(TERMINAL).ok().map(|tty| Self { tty })
    }

    /// Asks there as ssh does.
    pub fn asker() -> PrompterHandle {
        PrompterHandle::new(TerminalPrompter::default())
    }
}

impl Drop for Terminal {
    /// A signal may come while nothing is echoed. Otherwise, and in the background, the terminal belongs to other programs:
    /// to change it would be wrong, or stop this process (`SIGTTOU`).
    fn drop(&mut self) {
        let in_foreground = || tcgetpgrp(self.tty.as_fd()).is_ok_and(|group| group == getpgrp());
        if let Some(before) = before_secret().take_if(|_| in_foreground()) {
            let _ = tcsetattr(self.tty.as_fd(), SetArg::TCSADRAIN, &before);
        }
    }
}

fn before_secret() -> MutexGuard<'static, Option<Termios>> {
    BEFORE_SECRET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One question at a time, and the answers so far.
#[derive(Default)]
struct TerminalPrompter {
    answers: Mutex<HashMap<String, Zeroizing<String>>>,
}

impl Prompter for TerminalPrompter {
    fn ask(&self, question: &PromptKind, again: u32) -> Option<Zeroizing<String>> {
        let prompt = prompt(question);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(&prompt).filter(|_| again == 0) {
            return Some(known.clone());
        }
        if again > 0 && matches!(question, PromptKind::Password { .. } | PromptKind::Prompt { .. }) {
            print("Permission denied, please try again.\n");
        }
        let answer = read_line(&prompt, is_seen(question))?;
        if stays_true(question) {
            answers.insert(prompt, answer.clone());
        }
        Some(answer)
    }
}

fn is_seen(question: &PromptKind) -> bool {
    match question {
        PromptKind::Passphrase { .. } | PromptKind::Password { .. } => false,
        PromptKind::Prompt { echo, .. } => *echo,
        PromptKind::HostKey { .. } | PromptKind::UpdateHostKeys { .. } => true,
    }
}

/// Not what is good for one login only: a token's number, a yes to one key.
fn stays_true(question: &PromptKind) -> bool {
    match question {
        PromptKind::Passphrase { .. } | PromptKind::Password { .. } => true,
        PromptKind::Prompt { text, echo, .. } => !echo && text.to_lowercase().contains("password"),
        PromptKind::HostKey { .. } | PromptKind::UpdateHostKeys { .. } => false,
    }
}

/// In the words that programs which type for people wait for.
fn prompt(question: &PromptKind) -> String {
    match question {
        PromptKind::Passphrase { file } => format!("Enter passphrase for key '{file}': "),
        PromptKind::Password { user, host } => format!("{user}@{host}'s password: "),
        PromptKind::Prompt { user, host, text, .. } => format!("({user}@{host}) {text}"),
        PromptKind::HostKey { server, kind, fingerprint } => format!(
            "No known_hosts file has a key for {server}, so it cannot be said whether this is it.\n\
             It shows a key of type {kind}, {fingerprint}.\n\
             Are you sure you want to continue connecting (yes/no/[fingerprint])? "
        ),
        PromptKind::UpdateHostKeys { server, learned, gone } => {
            let learned = learned.iter().map(|key| format!("It proved that it also has {key}.\n"));
            let gone = gone.iter().map(|key| format!("It no longer has {key}.\n"));
            let changes: String = learned.chain(gone).collect();
            format!("{server} has other host keys than known_hosts.\n{changes}Accept updated hostkeys? (yes/no): ")
        }
    }
}

/// Asks for a line that may be seen. `None`: there is no terminal, or its input ended.
pub fn ask_line(prompt: &str) -> Option<String> {
    read_line(prompt, true).map(|line| line.trim().to_owned())
}

fn print(text: &str) {
    if let Ok(mut tty) = OpenOptions::new().write(true).open(TERMINAL) {
        let _ = tty.write_all(text.as_bytes());
    }
}

/// `None`: the terminal is gone, or its input has ended.
fn read_line(prompt: &str, seen: bool) -> Option<Zeroizing<String>> {
    let mut tty = OpenOptions::new().read(true).write(true).open(TERMINAL).ok()?;
    let hidden = if seen { None } else { Some(Hidden::begin(tty.try_clone().ok()?)?) };
    tty.write_all(prompt.as_bytes()).ok()?;
    // A terminal gives a line at a time. No other buffer gets to see it.
    let mut buffer = Zeroizing::new([0; MAX_ANSWER_BYTES]);
    let read = loop {
        match tty.read(buffer.as_mut_slice()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other.ok()?,
        }
    };
    drop(hidden);
    let line = std::str::from_utf8(buffer.get(..read)?).ok().filter(|line| !line.is_empty())?;
    Some(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// While it lives, nothing that is typed is shown. It begins before the question is put: a user who types at once, or a
/// program most often, is not shown either.
struct Hidden {
    tty: File,
}

impl Hidden {
    /// What was typed before is thrown away, as ssh does it.
    fn begin(tty: File) -> Option<Self> {
        let before = tcgetattr(tty.as_fd()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        *before_secret() = Some(before);
        let hidden = Self { tty };
        tcsetattr(hidden.tty.as_fd(), SetArg::TCSAFLUSH, &silent).ok()?;
        Some(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The key that ended the line was not shown either.
        let _ = self.tty.write_all(b"\n");
        if let Some(before) = before_secret().take() {
            let _ = tcsetattr(self.tty.as_fd(), SetArg::TCSAFLUSH, &before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_those_of_ssh_and_secrets_hidden() {
        let passphrase = PromptKind::Passphrase { file: "/k".into() };
        let password = PromptKind::Password { user: "u".into(), host: "h".into() };
        let token = PromptKind::Prompt { user: "u".into(), host: "h".into(), text: "Token: ".into(), echo: true };
        let key =
            PromptKind::HostKey { server: "h".into(), kind: "ssh-ed25519".into(), fingerprint: "SHA256:x".into() };
        assert_eq!(prompt(&passphrase), "Enter passphrase for key '/k': ");
        assert_eq!(prompt(&password), "u@h's password: ");
        assert_eq!(prompt(&token), "(u@h) Token: ");
        assert!(prompt(&key).ends_with("(yes/no/[fingerprint])? "));
        assert_eq!([&passphrase, &password, &token, &key].map(is_seen), [false, false, true, true]);
    }
}
