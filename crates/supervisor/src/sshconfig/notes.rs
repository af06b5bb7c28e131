//! What is set and has no effect, where a tunnel works without it: a note at its line, never silence. And what ssh itself
//! says while it reads the same lines.

use std::fmt;

use super::interactive::LogLevel;
use super::keyword::{Dropped, Meaning};
use super::line::ConfigLine;
use super::options::{OptionValue, Options};
use super::resolved::Resolved;
use crate::spec::printable;

/// How ssh names a line of its command line.
const COMMAND_LINE: &str = "command-line line 0";

/// Something that is set and has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `FILE:LINE:COLUMN`.
    span: String,
    /// What is set, and why it has no effect.
    text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&format!("{}: {}", self.span, self.text)))
    }
}

/// A line of ssh's on its standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshLine {
    /// From which level on it is said.
    pub level: LogLevel,
    /// In ssh's words.
    pub text: String,
}

impl SshLine {
    fn new(level: LogLevel, text: &str) -> Self {
        Self { level, text: printable(text) }
    }
}

/// What is remarked on the way through the files.
#[derive(Debug, Clone, Default)]
pub(super) struct NoteCollector {
    pub(super) notes: Vec<Note>,
    pub(super) said_by_ssh: Vec<SshLine>,
}

impl NoteCollector {
    /// A keyword that ssh has dropped. ssh speaks of it in each pass, also in blocks that do not apply; a note is for a
    /// host that it is set for.
    pub(super) fn dropped(&mut self, line: &ConfigLine, dropped: Dropped, active: bool) {
        self.note(&line_of_ssh(line), line, dropped);
        if active {
            self.note_dropped(line);
        }
    }

    /// The same after `-o`.
    pub(super) fn dropped_option(&mut self, line: &ConfigLine, dropped: Dropped) {
        self.note(COMMAND_LINE, line, dropped);
        self.note_dropped(line);
    }

    fn note(&mut self, span: &str, line: &ConfigLine, dropped: Dropped) {
        let (level, word) = match dropped {
            Dropped::Silent => return,
            Dropped::Deprecated => (LogLevel::Debug1, "Deprecated"),
            Dropped::Unsupported => (LogLevel::Error, "Unsupported"),
        };
        self.said_by_ssh.push(SshLine::new(level, &format!("{span}: {word} option \"{}\"", line.keyword.text)));
    }

    fn note_dropped(&mut self, line: &ConfigLine) {
        let text = format!("`{}` has no effect: OpenSSH has dropped it too", line.keyword_as_written());
        self.add(line.span(&line.keyword).to_text(), text);
    }

    /// An unknown keyword that `IgnoreUnknown` names.
    pub(super) fn ignored(&mut self, line: &ConfigLine, active: bool) {
        self.ignored_at(&line_of_ssh(line), line, active);
    }

    /// The same after `-o`.
    pub(super) fn ignored_option(&mut self, line: &ConfigLine) {
        self.ignored_at(COMMAND_LINE, line, true);
    }

    fn ignored_at(&mut self, span: &str, line: &ConfigLine, active: bool) {
        let text = format!("{span}: Ignored unknown option \"{}\"", line.keyword.text);
        self.said_by_ssh.push(SshLine::new(LogLevel::Debug1, &text));
        if active {
            let text =
                format!("`{}` has no effect: it is unknown, and `IgnoreUnknown` names it", line.keyword_as_written());
            self.add(line.span(&line.keyword).to_text(), text);
        }
    }

    /// Of the values that won.
    pub(super) fn of_options(&mut self, options: &Options) {
        for setting in options.iter() {
            if let Some(text) = note_of(setting) {
                self.add(setting.span.to_text(), text);
            }
        }
        self.control(options);
    }

    /// `ControlMaster`, `ControlPath` and `ControlPersist` are one thing.
    fn control(&mut self, options: &Options) {
        let used =
            |setting: &&OptionValue| !matches!(setting.first().to_ascii_lowercase().as_str(), "none" | "no" | "false");
        let names = ["ControlMaster", "ControlPath", "ControlPersist"];
        let set: Vec<&OptionValue> = names.into_iter().filter_map(|name| options.get(name).filter(used)).collect();
        let Some(first) = set.first() else { return };
        let words: Vec<String> = set.iter().map(|s| format!("{} {}", s.keyword.name, s.first())).collect();
        let verb = if set.len() == 1 { "has" } else { "have" };
        let why = "the session is this process's own: no master connection is used or made";
        self.add(first.span.to_text(), format!("{} {verb} no effect: {why}", words.join(", ")));
    }

    /// What was remarked for the host on the way.
    pub(super) fn of_jump_host(&mut self, jump: &Resolved) {
        jump.notes.iter().for_each(|note| self.add(note.span.clone(), note.text.clone()));
        self.said_by_ssh.extend(jump.said_by_ssh.iter().cloned());
    }

    /// Two passes, and two hosts of one route, have one note.
    fn add(&mut self, span: String, text: String) {
        let note = Note { span, text };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

fn note_of(setting: &OptionValue) -> Option<String> {
    let (name, value) = (setting.keyword.name, setting.text());
    let lower = value.to_ascii_lowercase();
    match setting.keyword.meaning {
        Meaning::Noted { defaults, why } if !defaults.contains(&lower.as_str()) => {
            Some(format!("`{name} {value}` has no effect: {why}"))
        }
        Meaning::Combined if name == "RemoteCommand" && lower != "none" => {
            Some(format!("RemoteCommand `{value}` is not run: only the forwards are kept, as with -N"))
        }
        Meaning::Noted { .. } | Meaning::Combined | Meaning::Followed | Meaning::Harmless | Meaning::Refused { .. } => {
            None
        }
    }
}

/// How ssh names a line of a file.
fn line_of_ssh(line: &ConfigLine) -> String {
    format!("{} line {}", line.source.path.display(), line.span(&line.keyword).position().line)
}
