//! What a plan's report asks about the tunnels that run.

use std::sync::Arc;

use tunnel_engine::spec::{Destination, ForwardKey, SessionSpec};

use super::changes;
use crate::config::Global;

/// Whether a tunnel runs now. An operator starts one that is disabled, and stops one that is enabled: the config does
/// not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Not wanted up, or given up: no start follows by itself.
    AtRest,
    /// Wanted up, and without a session.
    Starting,
    Up,
}

/// What a living session was made for, where the config has changed since and the session for the new one is not up yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ServingSession {
    pub made_for: SessionSpec,
    /// Where it goes: to the host of `made_for`, or to one to fall back on.
    pub server: Destination,
}

impl ServingSession {
    /// A config with this session and these to fall back on wants no other one.
    pub fn is_for(&self, session: &SessionSpec, fallbacks: &[SessionSpec]) -> bool {
        let mut named = std::iter::once(session).chain(fallbacks);
        changes::read_only_at_start(&self.made_for, session) && named.any(|spec| spec.destination == self.server)
    }
}

/// The tunnels as they are now. One that is not known is at rest.
pub trait RunningTunnels {
    /// The settings with which the daemon was started: what it cannot apply while it runs is still as there.
    fn started_with(&self) -> &Global;

    fn state(&self, tunnel: &str) -> RunState;

    /// What the session of a tunnel was made for, where that is not what is applied.
    fn serving(&self, tunnel: &str) -> Option<Arc<ServingSession>>;

    /// Connections that the forward carries.
    fn carried(&self, tunnel: &str, forward: &ForwardKey) -> u64;

    /// Connections that the forward has accepted, and that wait for a session.
    fn held(&self, tunnel: &str, forward: &ForwardKey) -> u64;
}

/// Every tunnel in one state, each of its forwards with so many connections.
#[cfg(test)]
pub(crate) struct AllTunnels {
    pub started_with: Global,
    pub state: RunState,
    pub serving: Option<Arc<ServingSession>>,
    pub carried: u64,
    pub held: u64,
}

#[cfg(test)]
impl RunningTunnels for AllTunnels {
    fn started_with(&self) -> &Global {
        &self.started_with
    }

    fn state(&self, _: &str) -> RunState {
        self.state
    }

    fn serving(&self, _: &str) -> Option<Arc<ServingSession>> {
        self.serving.clone()
    }

    fn carried(&self, _: &str, _: &ForwardKey) -> u64 {
        self.carried
    }

    fn held(&self, _: &str, _: &ForwardKey) -> u64 {
        self.held
    }
}
