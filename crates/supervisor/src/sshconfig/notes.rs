//! What is set and has no effect, where a tunnel works without it: a note at its line, never silence. And what ssh itself
//! says while it reads the same lines.

use std::fmt;

use super::keyword::{Dropped, Meaning, Shape};
use super::line::Line;
use super::manners::LogLevel;
use super::options::{Options, Setting};
use super::resolved::Resolved;
use crate::config::printable;

/// How ssh names a line of its command line.
const COMMAND_LINE: &str = "command-line line 0";

/// Something that is set and has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `FILE:LINE:COLUMN`.
    place: String,
    /// What is set, and why it has no effect.
    text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&format!("{}: {}", self.place, self.text)))
    }
}

/// A line of ssh's on its standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// From which level on it is said.
    pub level: LogLevel,
    /// In ssh's words.
    pub text: String,
}

impl Said {
    fn new(level: LogLevel, text: &str) -> Self {
        Self { level, text: printable(text) }
    }
}

/// What is remarked on the way through the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Remarks {
    pub(super) notes: Vec<Note>,
    pub(super) said_by_ssh: Vec<Said>,
}

impl Remarks {
    /// A keyword that ssh has dropped. ssh speaks of it in each pass, also in blocks that do not apply; a note is for a
    /// host that it is set for.
    pub(super) fn dropped(&mut self, line: &Line, dropped: Dropped, active: bool) {
        self.say(&line_of_ssh(line), line, dropped);
        if active {
            self.note_dropped(line);
        }
    }

    /// The same after `-o`.
    pub(super) fn dropped_option(&mut self, line: &Line, dropped: Dropped) {
        self.say(COMMAND_LINE, line, dropped);
        self.note_dropped(line);
    }

    fn say(&mut self, place: &str, line: &Line, dropped: Dropped) {
        let (level, word) = match dropped {
            Dropped::Silent => return,
            Dropped::Deprecated => (LogLevel::Debug1, "Deprecated"),
            Dropped::Unsupported => (LogLevel::Error, "Unsupported"),
        };
        self.said_by_ssh.push(Said::new(level, &format!("{place}: {word} option \"{}\"", line.keyword.text)));
    }

    fn note_dropped(&mut self, line: &Line) {
        let text = format!("`{}` has no effect: OpenSSH has dropped it too", written(line));
        self.add(line.place(&line.keyword).to_text(), text);
    }

    /// An unknown keyword that `IgnoreUnknown` names.
    pub(super) fn ignored(&mut self, line: &Line, active: bool) {
        let text = format!("{}: Ignored unknown option \"{}\"", line_of_ssh(line), line.keyword.text);
        self.said_by_ssh.push(Said::new(LogLevel::Debug1, &text));
        if active {
            let text = format!("`{}` has no effect: it is unknown, and `IgnoreUnknown` names it", written(line));
            self.add(line.place(&line.keyword).to_text(), text);
        }
    }

    /// Of the values that won.
    pub(super) fn of_options(&mut self, options: &Options) {
        for setting in options.iter() {
            if let Some(text) = told(setting) {
                self.add(setting.place.to_text(), text);
            }
        }
        self.control(options);
    }

    /// `ControlMaster`, `ControlPath` and `ControlPersist` are one thing.
    fn control(&mut self, options: &Options) {
        let used =
            |setting: &&Setting| !matches!(setting.first().to_ascii_lowercase().as_str(), "none" | "no" | "false");
        let names = ["ControlMaster", "ControlPath", "ControlPersist"];
        let set: Vec<&Setting> = names.into_iter().filter_map(|name| options.get(name).filter(used)).collect();
        let Some(first) = set.first() else { return };
        let words: Vec<String> = set.iter().map(|s| format!("{} {}", s.keyword.name, s.first())).collect();
        let verb = if set.len() == 1 { "has" } else { "have" };
        let why = "the session is this process's own: no master connection is used or made";
        self.add(first.place.to_text(), format!("{} {verb} no effect: {why}", words.join(", ")));
    }

    /// What was remarked for the host on the way.
    pub(super) fn of_jump_host(&mut self, jump: &Resolved) {
        jump.notes.iter().for_each(|note| self.add(note.place.clone(), note.text.clone()));
        self.said_by_ssh.extend(jump.said_by_ssh.iter().cloned());
    }

    /// Two passes, and two hosts of one route, have one note.
    fn add(&mut self, place: String, text: String) {
        let note = Note { place, text };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

fn told(setting: &Setting) -> Option<String> {
    let name = setting.keyword.name;
    let command = matches!(setting.keyword.shape, Shape::Command);
    let value = if command { setting.rest.clone() } else { setting.words.join(" ") };
    let lower = value.to_ascii_lowercase();
    match setting.keyword.meaning {
        Meaning::Told { defaults, why } if !defaults.contains(&lower.as_str()) => {
            Some(format!("`{name} {value}` has no effect: {why}"))
        }
        Meaning::Weighed if name == "RemoteCommand" && lower != "none" => {
            Some(format!("RemoteCommand `{value}` is not run: only the forwards are kept, as with -N"))
        }
        Meaning::Told { .. } | Meaning::Weighed | Meaning::Followed | Meaning::Harmless | Meaning::Refused { .. } => {
            None
        }
    }
}

/// How ssh names a line of a file.
fn line_of_ssh(line: &Line) -> String {
    format!("{} line {}", line.source.path.display(), line.place(&line.keyword).position().line)
}

/// The keyword as it stands in the file.
fn written(line: &Line) -> &str {
    line.source.text.get(line.keyword.span.clone()).unwrap_or(&line.keyword.text)
}
