//! autossh's log: its phrases, because people grep for them, where it puts them. Syslog unless AUTOSSH_LOGFILE names a
//! file; with AUTOSSH_DEBUG and no file, standard error too.

pub(super) mod phase_log;
pub(super) mod phrases;
pub(super) mod ssh_words;
mod syslog;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tunnel_engine::clock;
use tunnel_engine::words::is_unseen;

use super::environment::LogOptions;
use crate::os::logging::write_on_own_line;
use crate::spec::shortened;
use syslog::Syslog;

/// Longest line, in bytes: longer ones repeat a word of any length, and syslog would cut them.
pub(super) const MAX_LINE: usize = 2000;

/// How much a line matters, as syslog counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// autossh gives up.
    Error = 3,
    /// What an operator wants to see.
    Info = 6,
    Debug = 7,
}

/// Writes lines. Shared by all parts that log.
#[derive(Debug)]
pub struct Log {
    name: String,
    level: u8,
    outputs: Mutex<Outputs>,
    /// Lines without `[pid]`: before the process is what it will be.
    early: bool,
}

#[derive(Debug, Default)]
struct Outputs {
    syslog: Option<Syslog>,
    file: Option<File>,
    terminal: bool,
    /// Of the file, and of the terminal.
    losses: [Losses; 2],
}

/// What an output did not take.
#[derive(Debug, Default)]
struct Losses {
    /// Lines.
    lost: u64,
    /// The rest of the last line.
    cut: bool,
}

/// The file could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open log file \"{}\": {}", path.display(), reason(source))]
pub struct LogFileError {
    path: PathBuf,
    source: io::Error,
}

impl Log {
    /// As the environment has it. `name` is what the program is called. A relative path is resolved here.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn open(name: &str, options: &LogOptions) -> Result<Self, LogFileError> {
        let file = options.file.as_deref().map(open).transpose()?;
        let (syslog, terminal) = (file.is_none().then(Syslog::default), options.debug && file.is_none());
        let outputs = Outputs { syslog, file, terminal, losses: Default::default() };
        Ok(Self { name: name.to_owned(), level: options.level, outputs: Mutex::new(outputs), early: false })
    }

    /// For errors before it is known where the log goes: the terminal, and syslog, as autossh does.
    pub fn early(name: &str) -> Self {
        let outputs =
            Outputs { syslog: Some(Syslog::default()), file: None, terminal: true, losses: Default::default() };
        Self { name: name.to_owned(), level: Level::Info as u8, outputs: Mutex::new(outputs), early: true }
    }

    /// To this file.
    #[cfg(test)]
    pub(super) fn to_file(name: &str, path: &Path, level: u8) -> Self {
        Self::open(name, &LogOptions { level, debug: false, file: Some(path.to_owned()) }).unwrap()
    }

    /// [`Level::Info`], but not on the terminal, which has it in other words.
    pub fn info_off_terminal(&self, text: &str) {
        self.write(Level::Info, text, false);
    }

    /// One line. A destination that takes no lines loses them: the log never blocks.
    pub fn emit(&self, level: Level, text: &str) {
        self.write(level, text, true);
    }

    fn write(&self, level: Level, text: &str, terminal: bool) {
        if level as u8 > self.level {
            return;
        }
        let text = one_line(text);
        let text = shortened(&text, MAX_LINE);
        let (now, pid) = (clock::wall(), std::process::id());
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let Outputs { syslog, file, terminal: on_terminal, losses: [by_file, by_terminal] } = &mut *outputs;
        if let Some(syslog) = syslog {
            let tag = if self.early { self.name.clone() } else { format!("{}[{pid}]", self.name) };
            syslog.send(level as u8, &local(now, "%b %e %H:%M:%S"), &tag, &text);
        }
        if let Some(file) = file {
            let head = format!("{} {}[{pid}]: ", local(now, "%Y/%m/%d %H:%M:%S"), self.name);
            write_line(file, &head, &text, by_file);
        }
        if *on_terminal && terminal {
            let head = if self.early { format!("{}: ", self.name) } else { format!("{}[{pid}]: ", self.name) };
            write_line(&mut io::stderr(), &head, &text, by_terminal);
        }
    }

    /// [`Level::Error`].
    pub fn error(&self, text: &str) {
        self.emit(Level::Error, text);
    }

    /// [`Level::Info`].
    pub fn info(&self, text: &str) {
        self.emit(Level::Info, text);
    }

    /// [`Level::Debug`].
    pub fn debug(&self, text: &str) {
        self.emit(Level::Debug, text);
    }
}

impl Log {
    /// Whether lines go to the terminal: then nothing is printed there twice.
    pub fn is_on_terminal(&self) -> bool {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner).terminal
    }
}

/// Writes a line where it does not have to wait for room: a full pipe takes none (pipe(7)), nor does a terminal that is
/// stopped. With the next one that is taken, it is said how many were not.
fn write_line(output: &mut (impl Write + AsFd), head: &str, text: &str, losses: &mut Losses) {
    let mut asked = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
    let takes = poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
    if !takes {
        losses.lost += 1;
        return;
    }
    let before = match std::mem::take(&mut losses.lost) {
        0 => String::new(),
        lost => format!("{head}{lost} lines were lost: the log was not read\n"),
    };
    let _ = write_on_own_line(output, format!("{before}{head}{text}\n").as_bytes(), &mut losses.cut);
}

/// The text of a server or another peer must neither begin a line of its own nor drive a terminal.
pub(super) fn one_line(text: &str) -> String {
    text.replace(|c: char| is_unseen(c) && c != '\t', " ")
}

/// The text of an error, as strerror(3) has it.
pub(super) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

fn open(path: &Path) -> Result<File, LogFileError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|source| LogFileError { path: path.to_owned(), source })
}

/// Local time, as autossh writes it; UTC where the system does not know its zone.
fn local(now: SystemTime, format: &str) -> String {
    let zoned = jiff::Timestamp::try_from(now).map(|now| now.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map(|now| now.strftime(format).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_file_gets_date_name_pid_and_the_lines_of_its_level() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::to_file("autossh", &path, 6);
        log.debug("too much");
        log.info("starting ssh (count 1)");
        log.error("two\nlines\u{1b}[2J");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let pid = std::process::id();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with(&format!(" autossh[{pid}]: starting ssh (count 1)")), "{text}");
        assert!(lines[1].ends_with(": two lines [2J"), "{text}");
        let (date, _) = lines[0].split_once(" autossh").unwrap();
        let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(shape, "9999/99/99 99:99:99");
    }

    #[test]
    fn pipe_that_is_not_read_blocks_no_caller() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut file = File::from(OwnedFd::from(writer));
        let (mut losses, mut taken) = (Losses::default(), 0);
        while losses.lost < 3 {
            write_line(&mut file, "autossh: ", &"x".repeat(MAX_LINE), &mut losses);
            taken += u64::from(losses.lost == 0);
        }
        let mut text = vec![0; 64 * 1024];
        let read = reader.read(&mut text).unwrap();
        text.truncate(read);
        write_line(&mut file, "autossh: ", "again", &mut losses);
        drop(file);
        reader.read_to_end(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("\nautossh: 3 lines were lost: the log was not read\nautossh: again\n"), "{text}");
        assert_eq!((losses.lost, text.lines().count() as u64), (0, taken + 2));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let options = LogOptions { level: 6, debug: false, file: Some("/nonexistent/log".into()) };
        let error = Log::open("autossh", &options).unwrap_err();
        assert!(error.to_string().starts_with("cannot open log file \"/nonexistent/log\": "), "{error}");
    }
}
