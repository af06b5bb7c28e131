//! What a reload does: the difference between what is applied and what is desired, as steps. Pure, so that a reload can
//! be shown before it is made, and so that `apply(plan(a, b), a) == b` can be a test.
//!
//! The steps are in the order in which they must be made: what gives a listen address up comes before what takes one,
//! so that a forward can move from one tunnel to another; a tunnel's tuning comes before the forwards that it applies to.

mod apply;
mod changes;
mod diff;
mod report;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use tunnel_engine::spec::{Forward, Listen, PermitRemoteOpen, SessionSpec};

use crate::config::{
    Confine, Desired, LogFormat, LogLevelSpec, OnRemotePortBusy, OutageSpec, ProbeSpec, ShellCommand, TunnelSpec,
};
use crate::lifecycle::Policy;

pub use apply::apply;

/// The difference between two configs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Tunnels of which nothing changes, in the desired order.
    pub kept: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A setting of the daemon itself.
    Global(GlobalChange),
    /// The tunnel is no longer in the config: stop and forget it.
    Stop {
        /// Its name.
        tunnel: String,
    },
    /// Stop the tunnel, and keep it known.
    Disable {
        /// Its name.
        tunnel: String,
    },
    /// Take a forward back, inside the living session. Its connections end.
    RemoveForward {
        /// Its tunnel.
        tunnel: String,
        /// As applied.
        forward: Forward,
    },
    /// New policy, outage rule or limits. Touches neither the session nor any connection.
    Retune {
        /// Its name.
        tunnel: String,
        /// All of them, as they should be.
        tuning: Tuning,
    },
    /// What only the next start reads, or what a tunnel that is not to run should remember. Touches nothing.
    NextSession {
        /// Its name.
        tunnel: String,
        /// As it should be.
        session: Box<SessionSpec>,
    },
    /// Other hosts to fall back on, or the same with other keys. The session stays if its host is still one of them.
    Hosts {
        /// Its name.
        tunnel: String,
        /// As they should be.
        fallbacks: Vec<SessionSpec>,
    },
    /// The session must be another one: its connections end.
    ReplaceSession {
        /// Its name.
        tunnel: String,
        /// As it should be.
        session: Box<SessionSpec>,
        /// The new session can be up before the old one is closed: nothing that the server has only once is in both.
        make_before_break: bool,
    },
    /// Another connect address, kind or limit at the same listen address: for new connections. Living ones go on.
    RetuneForward {
        /// Its tunnel.
        tunnel: String,
        /// As applied.
        from: Forward,
        /// As it should be; the same [`Forward::key`].
        to: Forward,
    },
    /// Add a forward, inside the living session.
    AddForward {
        /// Its tunnel.
        tunnel: String,
        /// As it should be.
        forward: Forward,
        /// Its place among the tunnel's forwards.
        at: usize,
    },
    /// The same forwards in another order. Touches nothing.
    ReorderForwards {
        /// Their tunnel.
        tunnel: String,
        /// In the order they should have.
        forwards: Vec<Forward>,
    },
    /// Start a tunnel that was known and disabled.
    Enable {
        /// Its name.
        tunnel: String,
    },
    /// A new tunnel. Started where it is enabled.
    Start {
        /// As it should be.
        spec: Box<TunnelSpec>,
        /// Its place among the tunnels.
        at: usize,
    },
    /// The same tunnels in another order. Touches nothing.
    Reorder {
        /// Their names, in the order they should have.
        tunnels: Vec<String>,
    },
}

/// A setting of the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobalChange {
    /// `log.level`: applied at once.
    LogLevel(LogLevelSpec),
    /// `log.format`: from the next start of the daemon on.
    LogFormat(LogFormat),
    /// `stop_timeout`: applied at once.
    StopTimeout(Duration),
    /// `pid_file`: from the next start of the daemon on.
    PidFile(Option<PathBuf>),
    /// `control_socket`: from the next start of the daemon on.
    ControlSocket(PathBuf),
    /// `state_directory`: from the next start of the daemon on.
    StateDirectory(Option<PathBuf>),
    /// `user`, `no_new_privileges` and `confine`: from the next start of the daemon on.
    Privileges {
        /// `user`.
        user: Option<String>,
        /// `no_new_privileges`.
        no_new_privileges: bool,
        /// `confine`.
        confine: Confine,
    },
    /// `metrics.listen`: applied at once. Connections to the old address end.
    Metrics(Option<Listen>),
    /// Another main file: only where a plan is made for a file that is not the daemon's own.
    Config(PathBuf),
}

impl GlobalChange {
    /// True where a running daemon cannot apply it.
    pub const fn needs_restart(&self) -> bool {
        match self {
            Self::LogLevel(_) | Self::StopTimeout(_) | Self::Metrics(_) => false,
            Self::LogFormat(_)
            | Self::PidFile(_)
            | Self::ControlSocket(_)
            | Self::StateDirectory(_)
            | Self::Privileges { .. }
            | Self::Config(_) => true,
        }
    }
}

/// What a tunnel takes over without a new session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// `gate_time`, `max_start`, `max_lifetime`, `backoff`, `poll`.
    pub policy: Policy,
    /// `during_outage`, `hold_timeout`, `hold_max`.
    pub outage: OutageSpec,
    /// Connections at once, per forward.
    pub max_connections: u32,
    /// From the next forward that cannot be set up on.
    pub exit_on_forward_failure: bool,
    /// From the next refused remote forward on.
    pub on_remote_port_busy: OnRemotePortBusy,
    /// At once.
    pub probe: ProbeSpec,
    /// From the next session on.
    pub first_poll: Duration,
    /// SSH connections kept at once: more are opened, or the youngest finish what they carry.
    pub sessions: u32,
    /// Of the living session too.
    pub session_lifetime: Option<Duration>,
    /// Forwards whose listener it moves are removed and added again by steps of their own.
    pub gateway_ports: bool,
    /// As `gateway_ports`, for unix sockets.
    pub stream_local_bind_mask: u32,
    /// When a unix socket is bound the next time.
    pub stream_local_bind_unlink: bool,
    /// For the next connection.
    pub permit_remote_open: PermitRemoteOpen,
    /// At the next change.
    pub on_change: Option<ShellCommand>,
    /// Watched from the next failure on.
    pub ssh_config_files: Vec<PathBuf>,
}

impl Tuning {
    /// Names every field, so that a new one has to be placed in a step.
    fn of(spec: &TunnelSpec) -> Self {
        let TunnelSpec {
            name: _,
            enabled: _,
            session: _,
            fallbacks: _,
            ref ssh_config_files,
            // Told, and nothing else.
            ssh_config_notes: _,
            sessions,
            session_lifetime,
            forwards: _,
            gateway_ports,
            stream_local_bind_mask,
            stream_local_bind_unlink,
            ref permit_remote_open,
            exit_on_forward_failure,
            on_remote_port_busy,
            ref probe,
            first_poll,
            max_connections,
            outage,
            ref on_change,
            policy,
        } = *spec;
        Self {
            policy,
            outage,
            max_connections,
            exit_on_forward_failure,
            on_remote_port_busy,
            probe: probe.clone(),
            first_poll,
            sessions,
            session_lifetime,
            gateway_ports,
            stream_local_bind_mask,
            stream_local_bind_unlink,
            permit_remote_open: permit_remote_open.clone(),
            on_change: on_change.clone(),
            ssh_config_files: ssh_config_files.clone(),
        }
    }

    fn write_to(&self, spec: &mut TunnelSpec) {
        let Self {
            policy,
            outage,
            max_connections,
            exit_on_forward_failure,
            on_remote_port_busy,
            probe,
            first_poll,
            sessions,
            session_lifetime,
            gateway_ports,
            stream_local_bind_mask,
            stream_local_bind_unlink,
            permit_remote_open,
            on_change,
            ssh_config_files,
        } = self;
        spec.sessions = *sessions;
        spec.session_lifetime = *session_lifetime;
        spec.policy = *policy;
        spec.outage = *outage;
        spec.max_connections = *max_connections;
        spec.exit_on_forward_failure = *exit_on_forward_failure;
        spec.on_remote_port_busy = *on_remote_port_busy;
        spec.probe.clone_from(probe);
        spec.first_poll = *first_poll;
        spec.gateway_ports = *gateway_ports;
        spec.stream_local_bind_mask = *stream_local_bind_mask;
        spec.stream_local_bind_unlink = *stream_local_bind_unlink;
        spec.permit_remote_open.clone_from(permit_remote_open);
        spec.on_change.clone_from(on_change);
        spec.ssh_config_files.clone_from(ssh_config_files);
    }
}

/// What must be done to what is applied, so that it becomes what is desired. Tunnels are the same by name, forwards by
/// [`Forward::key`].
pub fn plan(actual: &Desired, desired: &Desired) -> Plan {
    diff::plan(actual, desired)
}

impl Plan {
    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Step {
    /// The tunnel it is about.
    pub fn tunnel(&self) -> Option<&str> {
        match self {
            Self::Global(_) | Self::Reorder { .. } => None,
            Self::Stop { tunnel }
            | Self::Disable { tunnel }
            | Self::RemoveForward { tunnel, .. }
            | Self::Retune { tunnel, .. }
            | Self::NextSession { tunnel, .. }
            | Self::Hosts { tunnel, .. }
            | Self::ReplaceSession { tunnel, .. }
            | Self::RetuneForward { tunnel, .. }
            | Self::AddForward { tunnel, .. }
            | Self::ReorderForwards { tunnel, .. }
            | Self::Enable { tunnel } => Some(tunnel),
            Self::Start { spec, .. } => Some(&spec.name),
        }
    }
}
