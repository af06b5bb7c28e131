//! The AUTOSSH_* variables, checked as autossh checks them. Pure. Errors reach the terminal too: autossh writes them to
//! syslog only, before it has read where its log goes.

use std::path::PathBuf;
use std::time::Duration;

use super::monitor_port::{MonitorPort, MonitorPortError};
use super::number;

/// AUTOSSH_GATETIME.
const GATE_TIME: Duration = Duration::from_secs(30);
/// AUTOSSH_MESSAGE.
const MESSAGE_BYTES: usize = 64;
/// One exchange of the monitor loop.
const NET_TIMEOUT: Duration = Duration::from_secs(15);
/// As a pidfile: none is wanted.
const NO_FILE: &str = "/dev/null";
/// Far above any useful wait; far below the overflow of a clock.
const MAX_DURATION: i64 = 10 * 365 * 24 * 3600;

/// The opt-in to what tunneld does better where autossh's timing is not needed.
pub const FAST: &str = "TUNNELD_AUTOSSH";

/// The AUTOSSH_* variables, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutosshEnvironment {
    /// AUTOSSH_DEBUG, AUTOSSH_LOGLEVEL and AUTOSSH_LOGFILE.
    pub log: LogOptions,
    /// AUTOSSH_POLL: between two tests of the monitor loop; drives the backoff also without one.
    pub poll: Duration,
    /// AUTOSSH_FIRST_POLL: from a start to its first test.
    pub first_poll: Duration,
    /// 15 s, or half a poll when that is shorter.
    pub net_timeout: Duration,
    /// AUTOSSH_GATETIME; zero: off.
    pub gate_time: Duration,
    /// AUTOSSH_MAXSTART; `None`: no limit.
    pub max_start: Option<u32>,
    /// AUTOSSH_MAXLIFETIME; `None`: none.
    pub max_lifetime: Option<Duration>,
    /// AUTOSSH_MESSAGE.
    pub message: String,
    /// AUTOSSH_PORT. `-M` wins, as in Debian's autossh.
    pub port: Option<MonitorPort>,
    /// AUTOSSH_PIDFILE.
    pub pid_file: Option<PathBuf>,
    /// `TUNNELD_AUTOSSH=fast`.
    pub fast: bool,
    /// Adjustments, for the log.
    pub notes: Vec<String>,
}

/// Where the log goes, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// As syslog counts: 0 to 7.
    pub level: u8,
    /// AUTOSSH_DEBUG is there: standard error too, unless a file is named.
    pub debug: bool,
    /// AUTOSSH_LOGFILE: instead of syslog.
    pub file: Option<PathBuf>,
}

/// Why the environment cannot be followed, in autossh's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A number is wanted, or one within other bounds.
    #[error("invalid {what} \"{text}\"")]
    Invalid {
        /// autossh's word for it.
        what: &'static str,
        /// As it was set.
        text: String,
    },
    /// AUTOSSH_PORT.
    #[error(transparent)]
    Port(#[from] MonitorPortError),
    /// AUTOSSH_MESSAGE.
    #[error("echo message may only be {MESSAGE_BYTES} bytes long")]
    Message,
    /// AUTOSSH_LOGFILE is there, and empty.
    #[error("cannot open log file \"\": it has no name")]
    LogFile,
    /// AUTOSSH_PATH names a program that is not ssh.
    #[error(
        "AUTOSSH_PATH \"{0}\" cannot be followed: no program is started, SSH is spoken in-process; leave it out, and \
         instead of a wrapper that types a password use a key, or `password_file` in a tunneld config"
    )]
    Path(String),
    /// TUNNELD_AUTOSSH.
    #[error("TUNNELD_AUTOSSH \"{0}\" means nothing: leave it out for autossh's own timing, or set it to \"fast\"")]
    Fast(String),
}

impl AutosshEnvironment {
    /// AUTOSSH_POLL unless set.
    pub const POLL: Duration = Duration::from_secs(600);

    /// Reads all variables. `variable` gives what is set, empty values too.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<EnvironmentError>> {
        let mut reader = VariableReader { variable, errors: Vec::new() };
        let log = reader.log();
        let poll = reader.seconds("AUTOSSH_POLL", "poll time", 1);
        let first_poll = reader.seconds("AUTOSSH_FIRST_POLL", "first poll time", 1);
        let gate_time = reader.seconds("AUTOSSH_GATETIME", "gate time", 0);
        let max_start = reader.number("AUTOSSH_MAXSTART", "max start number", -1..=i64::from(u32::MAX));
        let max_lifetime = reader.seconds("AUTOSSH_MAXLIFETIME", "max lifetime", 0);
        let message = variable("AUTOSSH_MESSAGE").unwrap_or_default();
        reader.refuse_if(message.len() > MESSAGE_BYTES, EnvironmentError::Message);
        let port = reader.port();
        reader.path();
        let fast = reader.fast();

        let poll = poll.unwrap_or(Self::POLL);
        let mut environment = Self {
            log,
            poll,
            first_poll: first_poll.unwrap_or(poll),
            net_timeout: NET_TIMEOUT,
            gate_time: gate_time.unwrap_or(GATE_TIME),
            max_start: max_start.and_then(|starts| u32::try_from(starts).ok()),
            max_lifetime: max_lifetime.filter(|lifetime| !lifetime.is_zero()),
            message,
            port,
            pid_file: variable("AUTOSSH_PIDFILE").filter(|path| !path.is_empty() && path != NO_FILE).map(PathBuf::from),
            fast,
            notes: Vec::new(),
        };
        environment.adjust();
        if reader.errors.is_empty() { Ok(environment) } else { Err(reader.errors) }
    }

    /// autossh's own adjustments, in its order and words.
    fn adjust(&mut self) {
        if let Some(lifetime) = self.max_lifetime {
            let seconds = lifetime.as_secs();
            if self.poll > lifetime {
                self.notes.push(format!("poll time is greater than lifetime, dropping poll time to {seconds}"));
                self.poll = lifetime;
            }
            if self.first_poll > lifetime {
                let note = format!("first poll time is greater than lifetime, dropping first poll time to {seconds}");
                self.notes.push(note);
                self.first_poll = lifetime;
            }
        }
        if self.poll / 2 < self.net_timeout {
            self.net_timeout = self.poll / 2;
            let millis = self.net_timeout.as_millis();
            self.notes.push(format!("short poll time: adjusting net timeouts to {millis}"));
        }
    }
}

struct VariableReader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<EnvironmentError>,
}

impl LogOptions {
    /// These alone, so that errors in others can be logged. `None`: they are wrong themselves.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let mut reader = VariableReader { variable, errors: Vec::new() };
        let options = reader.log();
        reader.errors.is_empty().then_some(options)
    }
}

impl VariableReader<'_> {
    fn log(&mut self) -> LogOptions {
        let debug = (self.variable)("AUTOSSH_DEBUG").is_some();
        let level = self.number("AUTOSSH_LOGLEVEL", "log level", 0..=7).and_then(|level| u8::try_from(level).ok());
        let file = (self.variable)("AUTOSSH_LOGFILE").map(PathBuf::from);
        self.refuse_if(file.as_ref().is_some_and(|file| file.as_os_str().is_empty()), EnvironmentError::LogFile);
        LogOptions { level: if debug { 7 } else { level.unwrap_or(6) }, debug, file }
    }

    fn number(&mut self, name: &str, what: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let text = (self.variable)(name)?;
        let number = number::parse(&text).filter(|number| range.contains(number));
        if number.is_none() {
            self.errors.push(EnvironmentError::Invalid { what, text });
        }
        number
    }

    fn seconds(&mut self, name: &str, what: &'static str, least: i64) -> Option<Duration> {
        self.number(name, what, least..=MAX_DURATION)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs)
    }

    fn port(&mut self) -> Option<MonitorPort> {
        let text = (self.variable)("AUTOSSH_PORT").filter(|text| !text.is_empty())?;
        match MonitorPort::parse(&text) {
            Ok(port) => Some(port),
            Err(error) => {
                self.errors.push(error.into());
                None
            }
        }
    }

    /// A wrapper around ssh does something that ssh does not.
    fn path(&mut self) {
        let Some(path) = (self.variable)("AUTOSSH_PATH") else { return };
        let name = path.rsplit('/').next().unwrap_or_default();
        self.refuse_if(name != "ssh", EnvironmentError::Path(path.clone()));
    }

    fn fast(&mut self) -> bool {
        let text = (self.variable)(FAST).unwrap_or_default();
        self.refuse_if(!matches!(text.as_str(), "" | "fast"), EnvironmentError::Fast(text.clone()));
        text == "fast"
    }

    fn refuse_if(&mut self, wrong: bool, error: EnvironmentError) {
        if wrong {
            self.errors.push(error);
        }
    }
}

#[cfg(test)]
mod tests;
