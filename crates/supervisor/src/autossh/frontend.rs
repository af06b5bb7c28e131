//! From a command line to an exit status: checks everything, goes to the background, then runs.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tunnel_engine::words::set_reword;

use super::argv::{self, CommandLine, Dialect, ParsedArgv};
use super::environment::{AutosshEnvironment, LogOptions};
use super::log::ssh_words::in_ssh_words;
use super::log::{Log, MAX_LINE, phrases, reason};
use super::monitor::{MessageForm, Monitor, MonitorTimes};
use super::monitor_port::MonitorPort;
use super::run::{self, DONE, FAILED, RunSetup};
use super::settings::{self, Interactive};
use super::{ssh_log, usage};
use crate::config::TunnelSpec;
use crate::os::{Notify, Pidfile, PidfileError, Terminal, limits, memory, runtime, signals};
use crate::spec::shortened;
use crate::sshconfig::{LogLevel, SshLine};

/// The version of autossh whose behaviour this is.
const VERSION_OF_AUTOSSH: &str = "1.4g";

/// Runs as autossh. `program` is what it is called in messages.
pub fn main(program: &str, words: impl IntoIterator<Item = OsString>) -> u8 {
    set_reword(in_ssh_words);
    let words: Result<Vec<String>, OsString> = words.into_iter().map(OsString::into_string).collect();
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let planned = match (words, undecodable_variable()) {
        (Ok(_), Some(name)) => Err(UsageError::of(format!("{name} is not UTF-8: name another file"))),
        (Ok(words), None) => plan(&words, &variable, Terminal::open),
        (Err(word), _) => Err(UsageError::of(format!(
            "`{}` is not UTF-8: write it in UTF-8, or rename what it names",
            word.to_string_lossy()
        ))),
    };
    match planned {
        Ok(Planned::Version) => {
            let _ = writeln!(io::stdout(), "{program} {VERSION_OF_AUTOSSH} (tunneld {})", env!("CARGO_PKG_VERSION"));
            DONE
        }
        Ok(Planned::Tunnel(plan)) => {
            let (log, started) = match Log::open(program, &plan.environment.log).map(Arc::new) {
                Ok(log) => (log.clone(), start(program, *plan, &log)),
                Err(error) => (Arc::new(Log::early(program)), Err(error.into())),
            };
            started.unwrap_or_else(|error| {
                print_error(program, &log, &error.to_string());
                FAILED
            })
        }
        Err(refusal) => {
            refusal.print_error(program);
            FAILED
        }
    }
}

/// A name with replaced letters would be that of another file.
fn undecodable_variable() -> Option<&'static str> {
    let is_other_text = |name: &&str| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
    ["AUTOSSH_LOGFILE", "AUTOSSH_PIDFILE"].into_iter().find(is_other_text)
}

/// The user who has just typed the command reads the terminal, not a log file or syslog.
fn print_error(program: &str, log: &Log, why: &str) {
    log.error(why);
    if !log.is_on_terminal() {
        let _ = writeln!(io::stderr(), "{program}: {}", shortened(why, MAX_LINE));
    }
}

/// All that is known before anything is started.
pub(super) struct StartPlan {
    pub(super) line: CommandLine,
    pub(super) environment: AutosshEnvironment,
    pub(super) monitor: MonitorPort,
    pub(super) spec: TunnelSpec,
    pub(super) notes: Vec<String>,
    pub(super) ssh_messages: Vec<SshLine>,
    log_level: LogLevel,
    terminal: Option<Terminal>,
}

pub(super) enum Planned {
    Version,
    Tunnel(Box<StartPlan>),
}

/// What is wrong with the command line, the environment or ssh's configuration.
#[derive(Debug, Default)]
pub(super) struct UsageError {
    pub(super) errors: Vec<String>,
    /// Whether the usage text is printed too.
    usage: bool,
    /// Where the log would go; `None`: that is not known. autossh writes errors in the environment to syslog only.
    log: Option<LogOptions>,
}

impl UsageError {
    fn of(error: String) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }

    fn print_error(&self, program: &str) {
        // getopt's messages are for the terminal.
        let log = match &self.log {
            Some(options) if !self.usage => Log::open(program, options).ok(),
            Some(_) | None => None,
        };
        let log = log.unwrap_or_else(|| Log::early(program));
        self.errors.iter().for_each(|error| print_error(program, &log, error));
        if self.usage {
            let _ = io::stderr().write_all(usage::text(program).as_bytes());
        }
    }
}

pub(super) fn plan(
    words: &[String],
    variable: &dyn Fn(&str) -> Option<String>,
    terminal: fn() -> Option<Terminal>,
) -> Result<Planned, UsageError> {
    let mut refusal = UsageError { log: LogOptions::read(variable), ..UsageError::default() };
    let line = match argv::parse(words, Dialect::Autossh, variable) {
        Ok(ParsedArgv::Version) => return Ok(Planned::Version),
        Ok(ParsedArgv::Tunnel(line)) => Some(line),
        Err(errors) => {
            refusal.usage = errors.iter().any(argv::ArgvError::is_usage);
            refusal.errors.extend(errors.iter().map(ToString::to_string));
            None
        }
    };
    // As in Debian's: with `-M`, the variable is ignored.
    let given = line.as_ref().is_some_and(|line| line.monitor.is_some());
    let variable = |name: &str| if given && name == "AUTOSSH_PORT" { None } else { variable(name) };
    let environment = AutosshEnvironment::read(&variable)
        .map_err(|errors| refusal.errors.extend(errors.iter().map(ToString::to_string)));
    let (Some(line), Ok(environment)) = (line, environment) else { return Err(refusal) };

    // In the background there is no terminal to ask at.
    let terminal = if line.background { None } else { terminal() };
    let interactive = terminal.as_ref().map(|_| Interactive { asker: Terminal::asker() });
    let monitor = line.monitor.or(environment.port).unwrap_or_default();
    let input = settings::TranslationInput { line: &line, environment: &environment, monitor };
    let translated = settings::tunnel(&input, interactive);
    let settings::TranslatedTunnel { mut spec, notes, ssh_messages, log_level } =
        translated.map_err(|errors| UsageError { errors, usage: false, log: refusal.log })?;
    let mut warnings = settings::without_missing_identities(&line, &mut spec.session.auth.identities);
    warnings.extend(ssh_messages);
    Ok(Planned::Tunnel(Box::new(StartPlan {
        line: *line,
        environment,
        monitor,
        spec,
        notes,
        ssh_messages: warnings,
        log_level,
        terminal,
    })))
}

fn start(program: &str, plan: StartPlan, log: &Arc<Log>) -> Result<u8, Box<dyn Error>> {
    let StartPlan { line, environment, monitor, spec, notes, ssh_messages, log_level, terminal } = plan;
    let ssh_log_file = line.log_file.as_deref().map(ssh_log::open).transpose()?;

    if line.background {
        // The folder stays, so that relative paths stay what they are.
        nix::unistd::daemon(true, false).map_err(|errno| format!("run as daemon failed: {}", errno.desc()))?;
    }
    if let Err(error) = memory::without_huge_pages() {
        log.debug(&format!("the kernel may hand out huge pages: {error}"));
    }
    // ssh reads its files before their LogLevel counts.
    ssh_log::write_as_ssh(&ssh_messages, line.log_level.unwrap_or(LogLevel::Info), ssh_log_file.as_ref());
    // Threads from here on.
    let _flush = ssh_log::begin(log_level, ssh_log_file)?;
    let (_guard, signals) = signals::listen()?;
    signals::disarm_alarm()?;
    if monitor == MonitorPort::Off {
        log.info(phrases::MONITORING_OFF);
    }
    notes.iter().chain(&environment.notes).for_each(|note| log.info(note));
    if environment.max_start == Some(0) {
        log.info(phrases::MAX_START);
        return Ok(DONE);
    }
    if let Err(error) = limits::raise_open_files() {
        log.debug(&format!("cannot raise the limit of open files: {error}"));
    }
    let notify = Notify::from_env()?;
    let status = runtime::run(|| {
        let form = MessageForm {
            host: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            program: program.to_owned(),
            pid: std::process::id(),
            message: environment.message.clone(),
        };
        let AutosshEnvironment { poll, first_poll, net_timeout, .. } = environment;
        let times = MonitorTimes { first_poll, poll, net_timeout };
        let monitor = Monitor::bind(monitor, times, form, log.clone()).map_err(io::Error::other)?;
        let pid_file = environment.pid_file.as_deref().map(|path| write_pid(path, log)).transpose();
        let pid_file = pid_file.map_err(io::Error::other)?.flatten();
        let (watch_network, log) = (environment.fast, log.clone());
        Ok(async move {
            // Removed when it is dropped, however this ends.
            let _pid_file = pid_file;
            run::run(RunSetup { spec, monitor, watch_network, log, notify, signals }).await
        })
    })?;
    drop(terminal);
    Ok(status)
}

/// `None`: the disk has no room for it, without which autossh goes on.
fn write_pid(path: &Path, log: &Log) -> Result<Option<Pidfile>, String> {
    let path: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let tell = |error: PidfileError| match error {
        PidfileError::CannotCreate { path, source } => {
            let symlink = source.raw_os_error() == Some(nix::libc::ELOOP);
            let why = if symlink { "it is a symbolic link".to_owned() } else { reason(&source) };
            format!("cannot open pid file \"{}\": {why}", path.display())
        }
        held @ PidfileError::Held { .. } => held.to_string(),
    };
    match Pidfile::lock_any(&path).and_then(|mut file| file.write().map(|()| file)) {
        Ok(file) => Ok(Some(file)),
        Err(PidfileError::CannotCreate { source, .. })
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
        {
            log.info(&format!("pid file \"{}\" is not written: {}", path.display(), reason(&source)));
            Ok(None)
        }
        Err(error) => Err(tell(error)),
    }
}
