//! What a reload does: the difference between what is applied and what is desired, as steps. Pure, so that a reload can
//! be shown before it is made, and so that `apply(plan(a, b), a) == b` can be a test.
//!
//! The steps are in the order in which they must be made: what gives a listen address up comes before what takes one,
//! so that a forward can move from one tunnel to another; a tunnel's tuning comes before the forwards that it applies
//! to.

mod apply;
mod changes;
mod diff;
mod report;
mod running;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use tunnel_engine::spec::{Forward, Listen, SessionSpec};

use crate::config::{Confine, LogFormat, LogLevelSpec, ReloadEffect, SettingKey, TunnelSpec, tunnel_keys};

pub use apply::apply;
pub use diff::plan;
#[cfg(test)]
pub(crate) use running::AllTunnels;
pub use running::{RunState, RunningTunnels, ServingSession};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Tunnels of which nothing changes, in the desired order.
    pub kept: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Global(GlobalChange),
    /// The tunnel is no longer in the config: stop and forget it.
    Stop(String),
    /// Something of a tunnel that stays known.
    Change(String, TunnelChange),
    /// A new tunnel. Started where it is enabled.
    Start {
        spec: Box<TunnelSpec>,
        /// Its place among the tunnels.
        at: usize,
    },
    /// The same tunnels, in the order of these names. Touches nothing.
    Reorder(Vec<String>),
}

/// One thing to do about a tunnel: what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelChange {
    Disable,
    /// Take a forward back, inside the living session. Its connections end.
    RemoveForward(Forward),
    /// New policy, outage rule or limits. Touches neither the session nor any connection.
    Retune(Tuning),
    /// What only the next start reads. Touches nothing.
    NextSession(Box<SessionSpec>),
    /// Other hosts to fall back on, or the same with other keys. The session stays if its host is still one of them.
    Hosts(Vec<SessionSpec>),
    /// The session must be another one. Where one is up, it serves on until the new one is there, and its connections
    /// may go on for `stop_timeout` after that; a start under way begins anew; a tunnel at rest remembers it.
    ReplaceSession(Box<SessionSpec>),
    /// Another connect address, kind or limit at the same listen address ([`Forward::key`]): for new connections. Living
    /// ones go on.
    RetuneForward {
        from: Forward,
        to: Forward,
    },
    /// Add a forward, inside the living session.
    AddForward {
        forward: Forward,
        /// Its place among the tunnel's forwards.
        at: usize,
    },
    /// The same forwards in this order. Touches nothing.
    ReorderForwards(Vec<Forward>),
    Enable,
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
    Privileges { user: Option<String>, no_new_privileges: bool, confine: Confine },
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

/// What a tunnel takes over without a new session: the keys of which a reload retunes ([`ReloadEffect::Retune`]), and
/// those that bind its forwards again by steps of their own ([`ReloadEffect::Reforward`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning(Box<TunnelSpec>);

impl Tuning {
    pub fn of(spec: &TunnelSpec) -> Self {
        Self(Box::new(spec.clone()))
    }

    fn has(key: &SettingKey) -> bool {
        matches!(key.reload, ReloadEffect::Retune | ReloadEffect::Reforward)
    }

    fn write_to(&self, spec: &mut TunnelSpec) {
        let mut tuned = self.0.clone();
        tunnel_keys().filter(|key| Self::has(key)).for_each(|key| key.copy(&mut tuned, spec));
        spec.ssh_config_files = tuned.ssh_config_files;
    }
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Step {
    /// The tunnel it is about.
    pub fn tunnel(&self) -> Option<&str> {
        match self {
            Self::Global(_) | Self::Reorder(_) => None,
            Self::Stop(tunnel) | Self::Change(tunnel, _) => Some(tunnel),
            Self::Start { spec, .. } => Some(&spec.name),
        }
    }
}
