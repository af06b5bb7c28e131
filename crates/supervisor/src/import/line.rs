//! One command line, with its environment, becomes one tunnel.

use std::time::Duration;

use super::account::{self, Account};
use super::command_line::Invocation;
use super::keys::{KeyLines, UniqueNames};
use super::{ImportError, table};
use crate::autossh::argv::{self, CommandLine, Dialect, ParsedArgv};
use crate::autossh::environment::{AutosshEnvironment, FAST};
use crate::autossh::monitor_port::MonitorPort;
use crate::autossh::settings;
use crate::sshconfig::{HostFacts, LogLevel, System};

/// The TOML of a command line, run as the account of `facts`. Leading assignments are its environment; the program may
/// be left out.
///
/// # Errors
/// The line cannot be cut, or means no tunnel.
pub fn line(words: &[String], facts: &System) -> Result<String, ImportError> {
    of(&Invocation::find(words), facts)
}

/// The same of a command that has been found.
pub(crate) fn of(invocation: &Invocation, facts: &System) -> Result<String, ImportError> {
    let mut keys = KeyLines::default();
    let account = Account::of(invocation.account(facts).as_deref(), facts);
    tunnel(&mut keys, invocation, &account, &mut UniqueNames::default())?;
    Ok(keys.write())
}

/// The table of a command, with its comments.
pub(super) fn tunnel(
    keys: &mut KeyLines,
    invocation: &Invocation,
    account: &Account,
    names: &mut UniqueNames,
) -> Result<(), ImportError> {
    let facts = account.facts.clone().with(invocation.environment.clone());
    let variable = |name: &str| facts.variable(name).map(str::to_owned);
    let (words, unknown) = invocation.filled_in(&facts);
    let (asked, errors) = argv::read(&words, invocation.dialect, &variable);
    let (soft, hard): (Vec<_>, Vec<_>) = errors.into_iter().partition(argv::ArgvError::is_soft);
    let mut hard: Vec<String> = hard.iter().map(ToString::to_string).collect();
    // No program is started, and autossh's own timing is left behind in any case.
    let environment =
        AutosshEnvironment::read(&|name| variable(name).filter(|_| ![FAST, "AUTOSSH_PATH"].contains(&name)));
    let environment = match (invocation.dialect, environment) {
        (Dialect::Autossh, Ok(environment)) => Some(environment),
        (Dialect::Autossh, Err(errors)) => {
            hard.extend(errors.iter().map(ToString::to_string));
            None
        }
        (Dialect::Ssh, _) => None,
    };
    if !hard.is_empty() {
        return Err(ImportError(hard));
    }
    let ParsedArgv::Tunnel(mut line) = asked else {
        return Err(ImportError::one("the line prints a version, and opens no tunnel"));
    };
    if let Some(remark) = account.skip_unreadable_config(&mut line.config_file) {
        keys.remark(remark);
    }
    let mut resolved = settings::resolved(&line, &facts).map_err(ImportError)?;
    if resolved.forwards.is_empty() && !line.no_command {
        return Err(ImportError::one(settings::NO_FORWARD));
    }
    account::fill_in(&mut resolved, account);

    account.remarks.iter().for_each(|remark| keys.remark(remark));
    let mut around = invocation.around.clone();
    let password_file = sshpass(&mut around);
    if !around.is_empty() {
        keys.remark(format!("left out of the line: `{}`", around.join(" ")));
    }
    if !unknown.is_empty() {
        keys.remark(format!("a shell's, and not filled in here: {}", unknown.join(" ")));
    }
    soft.iter().for_each(|error| keys.remark(format!("left out: {error}")));
    line.notes.iter().for_each(|note| keys.remark(note));
    command_line(keys, &line);
    let named = resolved.settings.get("identity_file").map(|tunnel| tunnel.session.auth.identities.as_slice());
    for identity in named.unwrap_or_default().iter().filter(|identity| identity.explicit && !identity.path.exists()) {
        keys.remark(format!(
            "{} is not there, and no other key is offered where one is named: ssh would offer the usual ones",
            identity.path.display()
        ));
    }
    table::tunnel(keys, &names.of(&line.host), &resolved, &facts);
    match password_file {
        Some(Some(file)) => keys.text("password_file", &file),
        Some(None) => keys.remark("sshpass: write the password into a file, and name it as `password_file`"),
        None => {}
    }
    if let Some(environment) = environment {
        policy(keys, &environment, &line, &|name| variable(name).is_some());
        surroundings(keys, &environment, &line, &variable);
    }
    Ok(())
}

/// Takes `sshpass` with its options out of the words around a command: some hold a password. Gives the file of `-f`.
fn sshpass(around: &mut Vec<String>) -> Option<Option<String>> {
    let at = around.iter().position(|word| word.rsplit('/').next() == Some("sshpass"))?;
    around.remove(at);
    let mut file = None;
    while let Some(option) = around.get(at).filter(|word| word.starts_with('-')).cloned() {
        around.remove(at);
        let (letter, attached) = option.split_at(option.len().min(2));
        if !matches!(letter, "-f" | "-p" | "-d" | "-P") {
            continue;
        }
        let value = match attached {
            "" if at < around.len() => around.remove(at),
            attached => attached.to_owned(),
        };
        file = (letter == "-f").then_some(value).or(file);
    }
    Some(file)
}

/// Options that are the program's, not the tunnel's.
fn command_line(keys: &mut KeyLines, line: &CommandLine) {
    if line.background {
        keys.remark("-f: one daemon runs all tunnels; systemd, or `&`, puts it into the background");
    }
    if let Some(file) = &line.log_file {
        keys.remark(format!("-E {file}: tunneld logs to its standard error, or to the journal"));
    }
    if let Some(asked) = line.log_level {
        let (option, level) = match asked {
            LogLevel::Quiet | LogLevel::Fatal | LogLevel::Error => ("-q", "error"),
            LogLevel::Info | LogLevel::Verbose | LogLevel::Debug1 => ("-v", "debug"),
            LogLevel::Debug2 | LogLevel::Debug3 => ("-v", "trace"),
        };
        keys.remark(format!("{option}: for the whole daemon, level = \"{level}\" in [log]"));
    }
}

/// When autossh would start again, and when give up.
fn policy(keys: &mut KeyLines, environment: &AutosshEnvironment, line: &CommandLine, is_set: &dyn Fn(&str) -> bool) {
    // `-f` sets it to zero whatever the environment says.
    let gate_time = if line.background { Duration::ZERO } else { environment.gate_time };
    match (gate_time.is_zero(), is_set("AUTOSSH_GATETIME")) {
        (false, true) => keys.time("gate_time", gate_time),
        (false, false) => keys.remark(format!(
            "a first start that fails within {0} s is tried again, where autossh would end; as autossh: gate_time = {0}",
            gate_time.as_secs()
        )),
        (true, true) if !environment.gate_time.is_zero() => {
            keys.remark(format!("AUTOSSH_GATETIME={}: -f sets it to 0", environment.gate_time.as_secs()));
        }
        (true, _) => {}
    }
    match environment.max_start {
        Some(0) => {
            keys.remark("AUTOSSH_MAXSTART=0: nothing is ever started");
            keys.plain("enabled", false);
        }
        Some(starts) => keys.plain("max_start", starts),
        None => {}
    }
    if let Some(lifetime) = environment.max_lifetime {
        keys.time("max_lifetime", lifetime);
    }
    if environment.poll != AutosshEnvironment::POLL {
        keys.time("poll", environment.poll);
    }
    if environment.first_poll != environment.poll {
        keys.time("first_poll", environment.first_poll);
    }
    environment.notes.iter().for_each(|note| keys.remark(note));
    keys.remark(
        "retries: tunneld's own timing, quicker than autossh's; for autossh's: backoff = { kind = \"autossh\" }",
    );
}

/// What of autossh's environment is the daemon's, or not needed.
fn surroundings(
    keys: &mut KeyLines,
    environment: &AutosshEnvironment,
    line: &CommandLine,
    variable: &dyn Fn(&str) -> Option<String>,
) {
    const INSTEAD: &str =
        "server_alive_interval finds a dead server, and `probe`, by itself, a forward that carries nothing";
    match line.monitor.or(environment.port).unwrap_or_default() {
        MonitorPort::Off => {}
        MonitorPort::Loop { port } => {
            keys.remark(format!("-M {port}: its forwards are not made; {INSTEAD}, every `poll`"));
        }
        MonitorPort::Echo { port, echo } => {
            keys.remark(format!("-M {port}:{echo}: no echo service is asked; {INSTEAD}, every `poll`"));
        }
    }
    let level = match environment.log.level {
        0..=3 => "error",
        4 => "warn",
        5..=6 => "info",
        _ => "debug",
    };
    let level = format!("for the whole daemon, level = \"{level}\" in [log]");
    let pid_file = environment.pid_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let pid_file =
        format!("for the whole daemon, at the top of the config, pid_file = {}", toml::Value::from(pid_file));
    for (name, what) in [
        ("AUTOSSH_PIDFILE", pid_file.as_str()),
        ("AUTOSSH_LOGFILE", "tunneld logs to its standard error, or to the journal"),
        ("AUTOSSH_LOGLEVEL", &level),
        ("AUTOSSH_DEBUG", &level),
        ("AUTOSSH_MESSAGE", "there is no monitor loop that would carry it"),
        ("AUTOSSH_PATH", "no program is started: SSH is spoken in-process"),
        ("AUTOSSH_NTSERVICE", "is for Windows"),
    ] {
        if let Some(value) = variable(name) {
            keys.remark(format!("{name}={value}: {what}"));
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
