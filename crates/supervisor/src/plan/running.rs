//! What a plan's report asks about the tunnels that run.

use tunnel_engine::spec::ForwardKey;

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

/// The tunnels as they are now. One that is not known is at rest.
pub trait RunningTunnels {
    /// The settings with which the daemon was started: what it cannot apply while it runs is still as there.
    fn started_with(&self) -> &Global;

    fn state(&self, tunnel: &str) -> RunState;

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

    fn carried(&self, _: &str, _: &ForwardKey) -> u64 {
        self.carried
    }

    fn held(&self, _: &str, _: &ForwardKey) -> u64 {
        self.held
    }
}
