//! The messages of ssh itself, which are not in autossh's log: on standard error, or in `-E`'s file, as `-q`, `-v` and
//! LogLevel have it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use super::log::phrases::OWN_RULES;
use super::log::{reason, ssh_words};
use super::settings;
use crate::os::logging::{self, Flush, PlainAudience};
use crate::sshconfig::{LogLevel, SshLine};

/// Opens `-E`'s file. A relative one is the caller's: call it before anything else changes.
pub(super) fn open(path: &str) -> Result<File, String> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|error| format!("cannot open log file \"{path}\": {}", reason(&error)))
}

/// Writes events from now on, to the file or to standard error.
pub(super) fn begin(level: LogLevel, file: Option<File>) -> Result<Flush, String> {
    logging::init_plain(audience(level), file).map_err(|error| error.to_string())
}

/// Writes what ssh writes while it reads its files.
pub(super) fn write_as_ssh(messages: &[SshLine], level: LogLevel, file: Option<&File>) {
    for line in messages.iter().filter(|line| line.level <= level) {
        let prefix = if line.level >= LogLevel::Debug1 { "debug1: " } else { "" };
        let line = format!("{prefix}{}\n", line.text);
        // As with ssh, a line that cannot be written is lost.
        let _ = match file {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// ssh's levels are finer at the quiet end: the last of them shows failures only.
fn audience(level: LogLevel) -> PlainAudience {
    let (word, only_failures) = match level {
        LogLevel::Quiet => ("off", false),
        LogLevel::Fatal | LogLevel::Error => ("warn", true),
        LogLevel::Info => ("warn", false),
        LogLevel::Verbose => ("info", false),
        LogLevel::Debug1 => ("debug", false),
        LogLevel::Debug2 | LogLevel::Debug3 => ("trace", false),
    };
    let program = settings::NAME;
    PlainAudience { hint: ssh_words::hint, program, level: word, only_failures, silent: &OWN_RULES }
}
