//! What ssh itself would say, beside autossh's log: on standard error, or in `-E`'s file, as much as `-q`, `-v` and
//! LogLevel ask for.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use super::log::phrases::OWN_RULES;
use super::log::reason;
use super::settings;
use crate::os::logging::{self, Flush, PlainAudience};
use crate::sshconfig::{LogLevel, SshLine};

/// Opens `-E`'s file. A relative one is the caller's: call it before anything else changes.
pub(super) fn open(path: &str) -> Result<File, String> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|error| format!("cannot open log file \"{path}\": {}", reason(&error)))
}

/// From here on events are told, to the file or to standard error.
pub(super) fn begin(level: LogLevel, file: Option<File>) -> Result<Flush, String> {
    logging::init_plain(ssh_log(level), file).map_err(|error| error.to_string())
}

/// What ssh says while it reads its files, in its own words.
pub(super) fn write_as_ssh(said: &[SshLine], level: LogLevel, file: Option<&File>) {
    for line in said.iter().filter(|line| line.level <= level) {
        let prefix = if line.level >= LogLevel::Debug1 { "debug1: " } else { "" };
        let line = format!("{prefix}{}\n", line.text);
        // As with ssh, a line that cannot be written is lost.
        let _ = match file {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// ssh's levels are finer at the quiet end: there, a failure is what is told last.
fn ssh_log(level: LogLevel) -> PlainAudience {
    let (word, only_failures) = match level {
        LogLevel::Quiet => ("off", false),
        LogLevel::Fatal | LogLevel::Error => ("warn", true),
        LogLevel::Info => ("warn", false),
        LogLevel::Verbose => ("info", false),
        LogLevel::Debug1 => ("debug", false),
        LogLevel::Debug2 | LogLevel::Debug3 => ("trace", false),
    };
    PlainAudience { program: settings::NAME, level: word, only_failures, silent: &OWN_RULES }
}
