//! Why a verb could not answer, and the exit code of it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tunnel_engine::failure::Failure;
use tunnel_engine::words::is_unseen;

use crate::config::ConfigErrors;
use crate::control::{BindError, ClientError};
use crate::exit;
use crate::import::ImportError;
use crate::os::PidfileError;
use crate::os::logging::LogError;
use crate::protocol::ErrorCode;
use crate::spec::shortened;

/// Why a verb fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// No config is named, and there is none at the default paths.
    #[error("there is no config: {}\n\n{FIRST_STEPS}", missing(.own, .default))]
    NoConfig { own: PathBuf, default: PathBuf },
    /// The command line does not say enough.
    #[error("{0}")]
    Usage(String),
    /// A server did not let us do what was asked for, or is not to be believed.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The answer is no, and this is why.
    #[error("{0}")]
    No(String),
    /// Each error ends its lines itself.
    #[error("{0}")]
    Config(ConfigErrors),
    /// The environment of a container, a line each.
    #[error("{0}")]
    Environment(String),
    /// The same, found by the daemon.
    #[error("{0}")]
    ConfigAtDaemon(String),
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No process listens on the socket; the hint says why this one was asked.
    #[error("{error}")]
    NoDaemon { error: ClientError, hint: String },
    /// The daemon answered, and said no.
    #[error("{message}")]
    Refused { code: ErrorCode, message: String },
    /// The daemon answered something else than was asked for.
    #[error("the daemon gave an answer that does not fit the question")]
    Misunderstood,
    #[error(transparent)]
    Pidfile(#[from] PidfileError),
    #[error(transparent)]
    Socket(#[from] BindError),
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system did not give what every process needs.
    #[error("cannot start: {0}")]
    Start(io::Error),
    #[error("cannot write the answer: {0}")]
    Output(io::Error),
}

/// The way to a first tunnel.
const FIRST_STEPS: &str = "A first tunnel takes three commands:
  tunneld init --local 3307:127.0.0.1:3306 user@host   writes the config; without arguments it asks
  tunneld trust host                                   shows the server's key, and writes it into known_hosts
  tunneld                                              keeps the tunnel up; `tunneld status` shows it
`tunneld demo` shows a tunnel on this machine alone; `--config FILE` names another config.";

fn missing(own: &Path, default: &Path) -> String {
    match own == default {
        true => format!("`{}` does not exist", own.display()),
        false => format!("neither `{}` nor `{}` exists", own.display(), default.display()),
    }
}

/// The words, or the unit, that a command line names are none that can be imported.
impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl Problem {
    /// Writes the error to standard error; gives the exit code.
    pub(super) fn report(&self) -> u8 {
        let text = if let Self::Config(_) | Self::ConfigAtDaemon(_) = self {
            self.to_string()
        } else if self.reader_left() {
            String::new()
        } else {
            format!("tunneld: {self}\n")
        };
        let hint = self.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        // A failure of this cannot be reported anywhere.
        let _ = io::stderr().write_all(printable(&with_short_lines(&(text + &hint))).as_bytes());
        self.exit_code()
    }

    /// A daemon may be about to begin.
    pub(super) fn is_absent_daemon(&self) -> bool {
        matches!(self, Self::Client(error) | Self::NoDaemon { error, .. } if error.is_absent())
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Client(error) => Some(error.hint()),
            Self::NoDaemon { hint, .. } => Some(hint),
            Self::Refused { code: ErrorCode::Busy, .. } => Some(
                "each `wait`, `start` and `restart` that waits holds one, and each `events --follow`: end some, and ask again",
            ),
            Self::Failure(failure) => Some(failure.hint()),
            Self::Pidfile(PidfileError::CannotCreate { source, .. })
            | Self::Socket(BindError::CannotCreate { source, .. })
            | Self::Start(source)
                if source.raw_os_error() == Some(nix::libc::EMFILE) =>
            {
                Some("raise LimitNOFILE= of the unit, or `ulimit -n`")
            }
            Self::Pidfile(PidfileError::Held { .. }) | Self::Socket(BindError::AlreadyRunning(_)) => {
                Some("`tunneld status` shows it; stop it first, or give this one its own pid_file and control_socket")
            }
            Self::Pidfile(PidfileError::CannotCreate { .. }) | Self::Socket(BindError::CannotCreate { .. }) => {
                Some("make the folder, give tunneld the right to write there, or name another place")
            }
            Self::Refused { code: ErrorCode::NoSuchTunnel, .. } => Some("`tunneld status` lists the names"),
            Self::Environment(_) => {
                Some("`tunneld container --help` lists the variables; with `--print` it shows their config")
            }
            Self::Config(_)
            | Self::NoConfig { .. }
            | Self::Usage(_)
            | Self::No(_)
            | Self::ConfigAtDaemon(_)
            | Self::Refused { .. }
            | Self::Misunderstood
            | Self::Log(_)
            | Self::Start(_)
            | Self::Output(_) => None,
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::NoConfig { .. }
            | Self::Environment(_)
            | Self::ConfigAtDaemon(_)
            | Self::Log(LogError::Level { .. }) => exit::CONFIG,
            Self::Usage(_) => exit::USAGE,
            Self::Client(_) | Self::NoDaemon { .. } | Self::Misunderstood => exit::NO_DAEMON,
            Self::Refused {
                code: ErrorCode::Busy | ErrorCode::Denied | ErrorCode::Stopping | ErrorCode::VersionMismatch,
                ..
            } => exit::NO_DAEMON,
            Self::Pidfile(PidfileError::Held { .. }) | Self::Socket(BindError::AlreadyRunning(_)) => {
                exit::ALREADY_RUNNING
            }
            Self::Pidfile(PidfileError::CannotCreate { .. }) | Self::Socket(BindError::CannotCreate { .. }) => {
                exit::CANT_CREATE
            }
            Self::Refused { .. } | Self::Failure(_) | Self::No(_) | Self::Log(LogError::Start(_)) | Self::Start(_) => {
                exit::NO
            }
            Self::Output(_) if self.reader_left() => exit::OK,
            Self::Output(_) => exit::NO,
        }
    }

    /// As in `tunneld completions bash | head -1`.
    pub(super) fn reader_left(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// No line is longer than some lines of a terminal: what is wrong with a word of any length is said before and behind it.
pub(super) fn with_short_lines(text: &str) -> String {
    /// In bytes.
    const MAX_LINE: usize = 1000;
    text.split_inclusive('\n').map(|line| shortened(line, MAX_LINE)).collect()
}

/// A name that a user typed, or a path, must not drive the terminal.
pub(super) fn printable(text: &str) -> String {
    let fine = |c: &char| !is_unseen(*c) || matches!(c, '\n' | '\t');
    text.chars().map(|c| if fine(&c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// An answer as JSON that people can read.
pub(super) fn pretty(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| Problem::Output(error.into()))
}

/// Writes an answer to standard output.
pub(super) fn print(text: &str) -> Result<(), Problem> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(Problem::Output)
}

/// The same, with the exit code that says it too: a reader that has enough, as in `tunneld status | head -1`, changes
/// nothing about that.
pub(super) fn print_answer(text: &str, code: u8) -> Result<u8, Problem> {
    match print(text) {
        Err(problem) if !problem.reader_left() => Err(problem),
        Ok(()) | Err(_) => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error() -> io::Error {
        io::Error::other("no")
    }

    #[test]
    fn long_word_is_not_repeated_whole() {
        let text = format!("tunneld: `{}` is no verb\nhint: none\n", "x".repeat(1 << 20));
        let told = with_short_lines(&text);
        assert!(told.len() < 1100 && told.ends_with("xx` is no verb\nhint: none\n"), "{told}");
        assert_eq!(with_short_lines("a\n\nb"), "a\n\nb");
    }

    #[test]
    fn every_problem_ends_with_its_exit_code() {
        let path = || PathBuf::from("/p");
        let refused = |code| Problem::Refused { code, message: String::new() };
        for (problem, code) in [
            (Problem::ConfigAtDaemon(String::new()), 78),
            (Problem::Environment(String::new()), 78),
            (Problem::NoConfig { own: path(), default: path() }, 78),
            (Problem::Usage(String::new()), 64),
            (Problem::No(String::new()), 1),
            (Problem::Client(ClientError::NoDaemon { socket: path(), source: io_error() }), 3),
            (Problem::Client(ClientError::OtherVersion { socket: path(), daemon: 2 }), 3),
            (refused(ErrorCode::NoSuchTunnel), 1),
            (refused(ErrorCode::Stopping), 3),
            (refused(ErrorCode::Busy), 3),
            (Problem::Pidfile(PidfileError::Held { path: path(), pid: None }), 69),
            (Problem::Pidfile(PidfileError::CannotCreate { path: path(), source: io_error() }), 73),
            (Problem::Socket(BindError::AlreadyRunning(path())), 69),
            (Problem::Socket(BindError::CannotCreate { path: path(), source: io_error() }), 73),
            (Problem::Output(io::ErrorKind::BrokenPipe.into()), 0),
        ] {
            assert_eq!(problem.exit_code(), code, "{problem:?}");
        }
    }
}
