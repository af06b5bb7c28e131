//! One command line, with its environment, becomes one tunnel.

use super::ImportError;
use super::render::{Rendered, render};
use super::words::Invocation;
use crate::autossh::argv::{self, Asked, CommandLine, Dialect};
use crate::autossh::environment::{Environment, FAST};
use crate::autossh::monitor_port::MonitorPort;
use crate::autossh::settings::{self, Wanted};

/// The TOML of a command line. Leading assignments are its environment; the program may be left out.
///
/// # Errors
/// The line cannot be cut, or means no tunnel.
pub fn import(words: &[String]) -> Result<String, ImportError> {
    text(&Invocation::find(words), Vec::new())
}

/// The same of a command that has been found.
///
/// # Errors
/// As [`import`].
pub fn of(invocation: &Invocation) -> Result<String, ImportError> {
    text(invocation, Vec::new())
}

/// The same, with comments that go before.
pub(super) fn text(invocation: &Invocation, mut comments: Vec<String>) -> Result<String, ImportError> {
    let variable = |name: &str| invocation.variable(name);
    let (asked, errors) = argv::read(&invocation.words, invocation.dialect, &variable);
    let (soft, hard): (Vec<_>, Vec<_>) = errors.into_iter().partition(argv::ArgvError::is_soft);
    let mut hard: Vec<String> = hard.iter().map(ToString::to_string).collect();
    comments.extend(soft.iter().map(|error| format!("left out: {error}")));
    // autossh's timing is left behind: what was set of it on purpose is kept.
    let fast = |name: &str| {
        if name == FAST { Some("fast".to_owned()) } else { variable(name).filter(|_| name != "AUTOSSH_PATH") }
    };
    let environment = Environment::read(&fast);
    hard.extend(environment.as_ref().err().into_iter().flatten().map(ToString::to_string));
    let (Asked::Tunnel(line), Ok(environment)) = (asked, environment) else {
        if hard.is_empty() {
            hard.push("the line prints a version, and opens no tunnel".to_owned());
        }
        return Err(ImportError(hard));
    };
    if !hard.is_empty() {
        return Err(ImportError(hard));
    }
    let wanted = Wanted { line: &line, environment: &environment, monitor: MonitorPort::Off };
    let mut tunnel = settings::tunnel(&wanted, None).map_err(ImportError)?;
    let set = |name: &str| variable(name).is_some();
    tunnel.spec.policy.gate_time = if set("AUTOSSH_GATETIME") { environment.gate_time } else { Default::default() };
    comments.extend(tunnel.notes.iter().filter(|note| line.no_command || !note.starts_with("no shell")).cloned());
    let monitor = line.monitor.or(environment.port).unwrap_or_default();
    comments.extend(changes(&line, invocation, monitor));
    let rendered = Rendered {
        name: name(&line.host),
        comments,
        spec: &tunnel.spec,
        base: &settings::base().map_err(ImportError::one)?,
    };
    Ok(render(&rendered))
}

/// What is otherwise in a daemon.
fn changes(line: &CommandLine, invocation: &Invocation, monitor: MonitorPort) -> Vec<String> {
    let mut changes = Vec::new();
    let mut say = |text: String| changes.push(text);
    match monitor {
        MonitorPort::Off => {}
        MonitorPort::Loop { port } => say(format!(
            "-M {port}: not needed, so its forwards are not made; server_alive_interval finds a dead server, and each forward is watched"
        )),
        MonitorPort::Echo { port, echo } => {
            say(format!("-M {port}:{echo}: not needed; server_alive_interval finds a dead server"))
        }
    }
    if line.background {
        say("-f: one daemon runs all tunnels; systemd, or `&`, puts it into the background".to_owned());
    }
    if let Some(file) = &line.log_file {
        say(format!("-E {file}: tunneld logs to its standard error, or to the journal"));
    }
    for (name, what) in [
        ("AUTOSSH_PIDFILE", "the daemon's own is `pid_file`, at the top of the config"),
        ("AUTOSSH_LOGFILE", "tunneld logs to its standard error, or to the journal"),
        ("AUTOSSH_LOGLEVEL", "the daemon's own is `level` in [log]"),
        ("AUTOSSH_DEBUG", "write level = \"debug\" in [log]"),
        ("AUTOSSH_MESSAGE", "there is no monitor loop that would carry it"),
        ("AUTOSSH_PATH", "no program is started: SSH is spoken in-process"),
    ] {
        if let Some(value) = invocation.variable(name) {
            say(format!("{name}={value}: {what}"));
        }
    }
    if invocation.dialect == Dialect::Autossh {
        say("retries: tunneld's own timing, quicker than autossh's; for autossh's: backoff = { kind = \"autossh\" }"
            .to_owned());
    }
    changes
}

/// A tunnel's name may hold less than a host's.
fn name(host: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    host.chars().map(fine).collect()
}
