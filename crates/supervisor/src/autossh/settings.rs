//! From a command line, the environment and ssh's configuration to the tunnel that runs.

use std::time::Duration;

use tunnel_engine::spec::{
    Connect, Destination, Forward, ForwardKind, IdentitySpec, PrompterHandle, Route, SecretSource, SessionSpec, Side,
    UpdateHostKeys,
};

use super::argv::{ArgvSetting, CommandLine};
use super::environment::AutosshEnvironment;
use super::log::reason;
use super::monitor;
use super::monitor_port::MonitorPort;
use crate::config::{self, BackoffKind, ConfigError, ConfigErrors, DuringOutage, ProbeSpec, Settings, TunnelSpec};
use crate::lifecycle::Policy;
use crate::spec::printable;
use crate::sshconfig::{self, ConfigFiles, FileCache, HostFacts, LogLevel, ProxyRoute, Query, Resolved, SshLine};

/// ssh has no limit over a whole login; sshd has (LoginGraceTime, 120 s by default), and a person may be typing.
const LOGIN_GRACE: Duration = Duration::from_secs(120);

/// ServerAliveInterval with `BatchMode yes`, in Debian's ssh: no user is there to see that it hangs.
const BATCH_SERVER_ALIVE_INTERVAL: Duration = Duration::from_secs(300);

/// The tunnel's name in log and messages.
pub(super) const NAME: &str = "autossh";

/// Printed for a command line that asks for a shell.
pub(crate) const NO_FORWARD: &str =
    "there is no forward to keep: name one with -L, -R or -D, or in the Host block; for a shell use ssh";

/// Options of no concern to a daemon's tunnel that this command does follow.
const USED_OPTIONS: [&str; 4] = ["BatchMode", "LogLevel", "NumberOfPasswordPrompts", "PasswordAuthentication"];

/// All that the tunnel is made of, but for ssh's files.
pub(crate) struct TranslationInput<'a> {
    pub(crate) line: &'a CommandLine,
    pub(crate) environment: &'a AutosshEnvironment,
    pub(crate) monitor: MonitorPort,
}

/// A user at the terminal.
pub(crate) struct Interactive {
    pub(crate) asker: PrompterHandle,
}

/// The tunnel, and what goes to the logs about it.
pub(crate) struct TranslatedTunnel {
    pub(crate) spec: TunnelSpec,
    pub(crate) notes: Vec<String>,
    /// ssh's messages while it reads its files.
    pub(crate) ssh_messages: Vec<SshLine>,
    pub(crate) log_level: LogLevel,
}

/// ssh's files are read here.
///
/// # Errors
/// Everything that is wrong, a line each.
pub(crate) fn tunnel(
    input: &TranslationInput<'_>,
    interactive: Option<Interactive>,
) -> Result<TranslatedTunnel, Vec<String>> {
    let facts = config::facts();
    let resolved = resolved(input.line, &facts)?;
    if !resolved.has_users() {
        // ssh says so of every line, also where a user is named.
        return Err(vec![format!("No user exists for uid {}", nix::unistd::getuid())]);
    }
    let mut notes = input.line.notes.clone();
    let mut spec = base();
    let (forwards, repeated) = without_repeated(resolved.forwards.iter().map(|(forward, _)| forward.clone()));
    // With -N, a bare session is what was asked for: autossh keeps it, too.
    if forwards.is_empty() && !input.line.no_command {
        return Err(vec![NO_FORWARD.to_owned()]);
    }
    if !input.line.no_command {
        notes.push("no shell is opened on the server: the forwards are kept as with -N".to_owned());
    }
    spec.forwards = monitor::forwards(input.monitor).into_iter().chain(forwards).collect();
    resolved.settings.clone().write_to(&mut spec);
    if spec.exit_on_forward_failure && !repeated.is_empty() {
        return Err(repeated);
    }
    notes.extend(repeated);
    let defaults = defaults(input.environment.fast, resolved.interactive.batch_mode);
    spec.session = config::session_by_ssh_config(&resolved, &defaults);
    if let Some(Interactive { asker }) = interactive {
        ask(&mut spec.session, &resolved, &asker);
    }
    times(&mut spec, input);
    let unused: Vec<&str> =
        resolved.options_passed_over.iter().copied().filter(|name| !USED_OPTIONS.contains(name)).collect();
    if !unused.is_empty() {
        notes.push(format!("without effect on a tunnel: {}", unused.join(", ")));
    }
    notes.extend(resolved.notes.iter().map(ToString::to_string));
    notes.extend(spec.notes());
    let log_level = input.line.log_level.or(resolved.interactive.log_level).unwrap_or(LogLevel::Info);
    let mut ssh_messages = resolved.said_by_ssh;
    if let Some(file) = input.line.config_file.as_deref() {
        ssh_messages.iter_mut().for_each(|message| name_as_given(message, file, &facts));
    }
    Ok(TranslatedTunnel { spec, notes, ssh_messages, log_level })
}

/// Gives ssh's warnings of files of `-i` that are not there. As ssh, goes on with the usual ones where no other is named; a
/// file that is there later is used all the same.
pub(super) fn without_missing_identities(line: &CommandLine, identities: &mut Vec<IdentitySpec>) -> Vec<SshLine> {
    let facts = config::facts();
    let missing = line.settings.iter().filter_map(|setting| {
        let ArgvSetting::Keyword { keyword: "IdentityFile", value } = setting else { return None };
        let path = match (value.strip_prefix("~/").zip(facts.home()), value.starts_with('~')) {
            (Some((below, home)), _) => home.join(below),
            (None, true) => return None,
            (None, false) => facts.folder().join(value),
        };
        let error = std::fs::metadata(path).err()?;
        let text = printable(&format!("Warning: Identity file {value} not accessible: {}.", reason(&error)));
        // Whatever -q says.
        Some(SshLine { level: LogLevel::Quiet, text })
    });
    let warnings: Vec<SshLine> = missing.collect();
    if !identities.is_empty()
        && identities.len() <= warnings.len()
        && let Some(home) = facts.home()
    {
        identities.append(&mut config::identities_of(home));
    }
    warnings
}

/// ssh names the file of `-F` as it was typed.
fn name_as_given(message: &mut SshLine, file: &str, facts: &dyn HostFacts) {
    let read = facts.folder().join(file).display().to_string();
    if let Some(rest) = message.text.strip_prefix(&read).filter(|rest| rest.starts_with(" line ")) {
        message.text = format!("{file}{rest}");
    }
}

/// Two listeners cannot have one address: ssh binds the first and is refused the others. Remote ones are the server's
/// to refuse. What is left out is told.
fn without_repeated(all: impl Iterator<Item = Forward>) -> (Vec<Forward>, Vec<String>) {
    let (mut kept, mut repeated) = (Vec::<Forward>::new(), Vec::new());
    for forward in all {
        let same = kept.iter().find(|kept| kept.kind.side() == Side::Here && kept.key() == forward.key());
        match same {
            Some(first) => repeated.push(format!("forward {forward} is not made: {first} listens there")),
            None => kept.push(forward),
        }
    }
    (kept, repeated)
}

/// What ssh's files and the command line come to.
///
/// # Errors
/// Everything that is wrong, a line each.
pub(crate) fn resolved(line: &CommandLine, facts: &dyn HostFacts) -> Result<Resolved, Vec<String>> {
    let library = FileCache::default();
    let files = match line.config_file.as_deref() {
        None => ConfigFiles::Usual,
        Some("none") => ConfigFiles::None,
        Some(file) => ConfigFiles::One(facts.folder().join(file)),
    };
    let mut query = Query::new(line.host.clone(), files);
    let mut errors = Vec::new();
    let lines = line.settings.iter().map(|setting| match setting {
        ArgvSetting::Keyword { keyword, value } => format!("{keyword} {}", quoted(value)),
        ArgvSetting::Line(line) => line.clone(),
    });
    for text in lines.chain(line.forwards.iter().map(forward_line)) {
        if let Err(error) = query.option(&text, &library) {
            errors.push(format!("-o '{text}': {}", in_one_line(&error)));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // One file may be asked for the server and for its jump hosts.
    let once = |errors| ConfigErrors::new(errors).iter().map(in_one_line).collect();
    sshconfig::resolve(&query, &library, facts).map_err(once)
}

/// For a log that has lines.
fn in_one_line(error: &ConfigError) -> String {
    let place = match error.line_and_column() {
        Some((line, column)) => format!("{}:{line}:{column}", error.file()),
        None => error.file(),
    };
    format!("{place}: {}; hint: {}", error.what(), error.hint())
}

/// A forward as a line of ssh_config has it.
fn forward_line(forward: &Forward) -> String {
    let keyword = match forward.kind {
        ForwardKind::Local => "LocalForward",
        ForwardKind::Remote => "RemoteForward",
        ForwardKind::Dynamic => "DynamicForward",
        // Of a line's own options: the parser has settings for it.
        ForwardKind::TunnelDevice => "TunnelDevice",
    };
    let listen = quoted(&forward.listen.to_string());
    match &forward.connect {
        Connect::Socks => format!("{keyword} {listen}"),
        Connect::Device(remote) => format!("{keyword} {listen}:{remote}"),
        to @ (Connect::Tcp { .. } | Connect::Unix(_)) => format!("{keyword} {listen} {}", quoted(&to.to_string())),
    }
}

/// One word of ssh_config, whatever it holds.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-[]*?!^~".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A tunnel with every default of the program, to be filled in.
pub(crate) fn base() -> TunnelSpec {
    let nowhere = Destination { user: String::new(), host: String::new(), port: Destination::DEFAULT_PORT };
    TunnelSpec::new(NAME.to_owned(), SessionSpec::to(nowhere))
}

/// What holds where ssh's files set nothing: as in ssh no keepalive of its own, and no limit but the server's. With
/// `fast`, tunneld's defaults.
fn defaults(fast: bool, batch: bool) -> Settings {
    let mut defaults = Settings::default();
    if !fast {
        let alive = if batch { BATCH_SERVER_ALIVE_INTERVAL } else { Duration::ZERO };
        defaults.set("connect_timeout", |t| &mut t.session.timing.connect_timeout, LOGIN_GRACE);
        defaults.set("server_alive_interval", |t| &mut t.session.timing.server_alive_interval, alive);
    }
    defaults
}

/// When to start again, and what listeners do meanwhile.
fn times(spec: &mut TunnelSpec, input: &TranslationInput<'_>) {
    let environment = input.environment;
    let background = input.line.background;
    spec.first_poll = environment.first_poll;
    let kind = if environment.fast { BackoffKind::Exponential } else { BackoffKind::Autossh };
    let mut backoff = spec.policy.backoff;
    backoff.kind = kind;
    spec.policy = Policy {
        // `-f` sets it to zero whatever the environment has.
        gate_time: if background { Duration::ZERO } else { environment.gate_time },
        max_start: environment.max_start,
        max_lifetime: environment.max_lifetime,
        backoff,
        poll: environment.poll,
    };
    if !environment.fast {
        // As without an ssh: peers that connect meanwhile are refused.
        spec.outage.during_outage = DuringOutage::Refuse;
        // ssh connects to no target before a connection is forwarded.
        spec.probe = ProbeSpec::Off;
    }
}

/// The user at the terminal answers what no file does. Each host has the interactive options of its own lines, but a
/// batch is one for its jump hosts too.
fn ask(session: &mut SessionSpec, resolved: &Resolved, asker: &PrompterHandle) {
    let interactive = &resolved.interactive;
    if interactive.batch_mode {
        return;
    }
    let secrets = interactive.password_prompts.map_or_else(|| asker.clone(), |prompts| asker.with_prompts(prompts));
    session.auth.passphrase = Some(SecretSource::Ask(secrets.clone()));
    session.auth.password = Some(SecretSource::Ask(secrets));
    session.auth.without_password = interactive.without_password;
    session.auth.interactive = !interactive.without_interactive;
    session.host_key.ask = interactive.ask_host_key.then(|| asker.clone());
    if resolved.settings.updates() == UpdateHostKeys::Ask {
        session.host_key.update = UpdateHostKeys::Ask;
    }
    // Typing takes its time.
    session.timing.connect_timeout = session.timing.connect_timeout.max(LOGIN_GRACE);
    if let (Route::Jump(jump), ProxyRoute::Jump(behind)) = (&mut session.dial.via, &resolved.way) {
        ask(jump, behind, asker);
    }
}
