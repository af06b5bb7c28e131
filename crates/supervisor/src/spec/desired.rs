//! What should run: checked, complete, with every default filled in.

use std::path::PathBuf;
use std::time::Duration;

use tunnel_engine::forward::BindOptions;
use tunnel_engine::spec::{Forward, Listen, PermitRemoteOpen, Route, SessionSpec};

/// A whole config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The daemon's own settings.
    pub global: Global,
    /// The tunnels, in the file's order; names are unique.
    pub tunnels: Vec<TunnelSpec>,
}

/// Settings of the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    /// The main config file.
    pub config: PathBuf,
    /// Where to write our pid, if anywhere.
    pub pid_file: Option<PathBuf>,
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// Where the history is kept across restarts, if anywhere.
    pub state_directory: Option<PathBuf>,
    /// How long flowing connections may go on after a stop was asked for.
    pub stop_timeout: Duration,
    /// Whom a daemon that is started as root becomes.
    pub user: Option<String>,
    /// Whether commands, too, are kept from rights beyond those of the daemon.
    pub no_new_privileges: bool,
    /// Whether the process confines itself to the files of its config.
    pub confine: Confine,
    /// What reading the config has read and run besides its main file.
    pub reading: ReadOptions,
    /// The `[log]` table.
    pub log: LogSpec,
    /// `metrics.listen`: where metrics, readiness and the page are served over HTTP, if anywhere.
    pub metrics: Option<Listen>,
}

/// `confine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confine {
    /// Not at all.
    #[default]
    Off,
    /// Where the kernel can and the config lets it; the log says which.
    Auto,
    /// Or else there is no start.
    On,
}

/// What reading the config takes beside its main file; not a setting, so that no plan compares it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// `include`: files and patterns.
    pub includes: Vec<Include>,
    /// The main file has no key at all: it is empty, or has comments alone.
    pub blank: bool,
    /// The first command that a `Match exec` of ssh_config has run.
    pub match_exec: Option<String>,
}

/// One of `include`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Absolute; a file, where it has no `*`, `?` or `[`.
    pub pattern: PathBuf,
    /// What it stood for when the config was read.
    pub matched: IncludeMatch,
}

/// What a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeMatch {
    /// At least one file.
    Files,
    /// No file of its folder.
    Nothing,
    /// Its folder does not exist.
    NoFolder,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    /// Level or filter.
    pub level: LogLevelSpec,
    /// Format of a log line.
    pub format: LogFormat,
}

/// `log.level`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevelSpec {
    /// A level, or a filter such as `info,tunnel_engine=debug`.
    pub filter: String,
    /// What the file says and has no effect, because the command line or the environment says something else.
    pub overridden: Option<String>,
}

impl From<&str> for LogLevelSpec {
    fn from(filter: &str) -> Self {
        Self { filter: filter.to_owned(), overridden: None }
    }
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Journald fields under systemd, text otherwise.
    #[default]
    Auto,
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// One tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelSpec {
    /// Unique name.
    pub name: String,
    /// False: known, not started.
    pub enabled: bool,
    /// The session to keep.
    pub session: SessionSpec,
    /// `hosts` after the first, in order of preference: as `session` in all but the destination and the way there.
    pub fallbacks: Vec<SessionSpec>,
    /// The files of ssh_config that were read for its hosts, or looked for: a change in them counts from the next
    /// reload on.
    pub ssh_config_files: Vec<PathBuf>,
    /// What ssh_config sets for its hosts and has no effect, each with its file and line.
    pub ssh_config_notes: Vec<String>,
    /// SSH connections kept at once; at least 1.
    pub sessions: u32,
    /// A session is replaced after this long.
    pub session_lifetime: Option<Duration>,
    /// Its forwards, in the file's order; listen addresses are unique.
    pub forwards: Vec<Forward>,
    /// Bare ports listen on all interfaces.
    pub gateway_ports: bool,
    /// Permissions that unix sockets made here do not give.
    pub stream_local_bind_mask: u32,
    /// They take the path of a living socket.
    pub stream_local_bind_unlink: bool,
    /// Where users of the server may connect to through a reverse SOCKS forward.
    pub permit_remote_open: PermitRemoteOpen,
    /// A forward that cannot be set up ends the session.
    pub exit_on_forward_failure: bool,
    /// What to do about a remote listen port that something else holds.
    pub on_remote_port_busy: OnRemotePortBusy,
    /// How a forward is proven to carry bytes.
    pub probe: ProbeSpec,
    /// How long after its first proof a forward is probed again; then every `policy.poll`.
    pub first_poll: Duration,
    /// Connections at once, per forward.
    pub max_connections: u32,
    /// What listeners do without a session.
    pub outage: OutageSpec,
    /// Run when it becomes ready, and when it is ready no more.
    pub on_change: Option<ShellCommand>,
    /// When to start again, and when not.
    pub policy: Policy,
}

impl TunnelSpec {
    /// How the listeners of this machine are bound.
    pub fn bind_options(&self) -> BindOptions {
        BindOptions {
            gateway_ports: self.gateway_ports,
            family: self.session.dial.address_family,
            socket_mask: self.stream_local_bind_mask,
            socket_unlink: self.stream_local_bind_unlink,
        }
    }

    /// A tunnel without forwards over this session, with the program's default for every key.
    pub fn new(name: String, session: SessionSpec) -> Self {
        /// autossh's own default of AUTOSSH_POLL.
        const POLL: Duration = Duration::from_secs(600);
        Self {
            name,
            enabled: true,
            session,
            fallbacks: Vec::new(),
            ssh_config_files: Vec::new(),
            ssh_config_notes: Vec::new(),
            sessions: 1,
            session_lifetime: None,
            forwards: Vec::new(),
            gateway_ports: false,
            stream_local_bind_mask: BindOptions::SOCKET_MASK,
            stream_local_bind_unlink: false,
            permit_remote_open: PermitRemoteOpen::default(),
            exit_on_forward_failure: false,
            on_remote_port_busy: OnRemotePortBusy::default(),
            probe: ProbeSpec::default(),
            first_poll: POLL,
            max_connections: 4096,
            outage: OutageSpec::default(),
            on_change: None,
            policy: Policy {
                gate_time: Duration::ZERO,
                max_start: None,
                max_lifetime: None,
                backoff: BackoffSpec::default(),
                poll: POLL,
            },
        }
    }

    /// A session to each of the hosts, in order of preference.
    pub fn servers(&self) -> impl Iterator<Item = &SessionSpec> {
        std::iter::once(&self.session).chain(&self.fallbacks)
    }

    /// What is set and has no effect: in ssh_config, and in the lists of algorithms for every server on each route.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.ssh_config_notes.clone();
        for line in self.servers().flat_map(SessionSpec::passed_over_on_the_way) {
            if !notes.contains(&line) {
                notes.push(line);
            }
        }
        notes
    }
}

/// A session and those to its jump hosts, in order from the server to this machine.
pub(crate) fn on_route(session: &SessionSpec) -> impl Iterator<Item = &SessionSpec> {
    std::iter::successors(Some(session), |session| match &session.dial.via {
        Route::Jump(jump) => Some(jump.as_ref()),
        Route::Direct | Route::Command(_) => None,
    })
}

/// A command: a line for the shell, or a program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    program: String,
    arguments: Vec<String>,
}

impl ShellCommand {
    /// Run by `/bin/sh -c`.
    pub fn line(line: &str) -> Self {
        Self { program: "/bin/sh".to_owned(), arguments: vec!["-c".to_owned(), line.to_owned()] }
    }

    /// Run as it is. An empty list is none.
    pub fn list(words: Vec<String>) -> Option<Self> {
        let mut words = words.into_iter();
        Some(Self { program: words.next()?, arguments: words.collect() })
    }

    /// The program and its arguments.
    pub fn argv(&self) -> (&str, &[String]) {
        (&self.program, &self.arguments)
    }
}

/// `during_outage`, `hold_timeout`, `hold_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutageSpec {
    /// Hold or refuse.
    pub during_outage: DuringOutage,
    /// How long a held connection waits for a session.
    pub hold_timeout: Duration,
    /// How many wait at once, per forward.
    pub hold_max: u32,
}

impl Default for OutageSpec {
    /// Up to 128 connections are held for up to half a minute.
    fn default() -> Self {
        Self { during_outage: DuringOutage::Hold, hold_timeout: Duration::from_secs(30), hold_max: 128 }
    }
}

/// What a local listener does while there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuringOutage {
    /// Accept, and park the connection.
    #[default]
    Hold,
    /// Close the listener.
    Refuse,
}

/// `on_remote_port_busy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRemotePortBusy {
    /// Ask again on the living session.
    #[default]
    Retry,
    /// And end the earlier session of ours that holds it.
    Takeover,
    /// Give up as ssh does.
    Fail,
}

/// `probe`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProbeSpec {
    /// A local forward's target takes connections; a remote forward's port leads back to us.
    #[default]
    Auto,
    /// Nothing is proven.
    Off,
    /// As `Auto`, and a remote forward's target takes connections.
    Tcp,
    /// As `Tcp`, and the targets say this first.
    Expect(String),
}

/// `backoff`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackoffSpec {
    /// The formula of the waits.
    pub kind: BackoffKind,
    /// First delay.
    pub min: Duration,
    /// Longest delay.
    pub max: Duration,
    /// Growth from one delay to the next, at least 1.
    pub factor: f64,
    /// Share of the delay that is drawn at random, 0 to 1.
    pub jitter: f64,
    /// A session that lived this long clears the count.
    pub reset_after: Duration,
}

impl Eq for BackoffSpec {}

impl Default for BackoffSpec {
    /// From a quarter of a second, twice as long each time, to a minute.
    fn default() -> Self {
        Self {
            kind: BackoffKind::Exponential,
            min: Duration::from_millis(250),
            max: Duration::from_secs(60),
            factor: 2.0,
            jitter: 0.2,
            reset_after: Duration::from_secs(30),
        }
    }
}

/// `gate_time`, `max_start`, `max_lifetime`, `backoff`, `poll` of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// AUTOSSH_GATETIME; zero: off.
    pub gate_time: Duration,
    /// AUTOSSH_MAXSTART; `None`: no limit.
    pub max_start: Option<u32>,
    /// AUTOSSH_MAXLIFETIME; `None`: none.
    pub max_lifetime: Option<Duration>,
    /// Delay before the next start.
    pub backoff: BackoffSpec,
    /// AUTOSSH_POLL: drives autossh's backoff formula.
    pub poll: Duration,
}

/// `backoff.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackoffKind {
    /// min × factor^n up to max, with jitter.
    #[default]
    Exponential,
    /// autossh's own, from POLL (see `lifecycle::backoff`).
    Autossh,
}
