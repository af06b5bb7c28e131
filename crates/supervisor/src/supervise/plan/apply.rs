//! What the config that is applied becomes by each step.

use crate::config::{Desired, TunnelSpec};

use super::{GlobalChange, Plan, Step};

/// What is applied once the steps have been made.
pub fn apply(plan: &Plan, mut actual: Desired) -> Desired {
    for step in &plan.steps {
        step.apply(&mut actual);
    }
    actual
}

impl Step {
    /// Writes the step into the config, as the daemon does when it has made it. A step about a tunnel that is not
    /// there does nothing.
    pub fn apply(&self, to: &mut Desired) {
        match self {
            Self::Global(change) => change.apply(to),
            Self::Stop { tunnel } => to.tunnels.retain(|spec| spec.name != *tunnel),
            Self::Start { spec, at } => to.tunnels.insert((*at).min(to.tunnels.len()), (**spec).clone()),
            Self::Reorder { tunnels } => {
                to.tunnels.sort_by_key(|spec| tunnels.iter().position(|name| *name == spec.name));
            }
            Self::Disable { .. }
            | Self::RemoveForward { .. }
            | Self::Retune { .. }
            | Self::NextSession { .. }
            | Self::Hosts { .. }
            | Self::ReplaceSession { .. }
            | Self::RetuneForward { .. }
            | Self::AddForward { .. }
            | Self::ReorderForwards { .. }
            | Self::Enable { .. } => {
                let spec = to.tunnels.iter_mut().find(|spec| Some(spec.name.as_str()) == self.tunnel());
                if let Some(spec) = spec {
                    self.apply_to_tunnel(spec);
                }
            }
        }
    }

    /// Writes a step about one tunnel into its spec. Steps about other things do nothing here.
    pub fn apply_to_tunnel(&self, spec: &mut TunnelSpec) {
        match self {
            Self::Global(_) | Self::Stop { .. } | Self::Start { .. } | Self::Reorder { .. } => {}
            Self::Disable { .. } => spec.enabled = false,
            Self::Enable { .. } => spec.enabled = true,
            Self::Retune { tuning, .. } => tuning.write_to(spec),
            Self::Hosts { fallbacks, .. } => spec.fallbacks.clone_from(fallbacks),
            Self::NextSession { session, .. } | Self::ReplaceSession { session, .. } => {
                spec.session = (**session).clone();
            }
            Self::RemoveForward { forward, .. } => {
                if let Some(at) = spec.forwards.iter().position(|applied| applied == forward) {
                    spec.forwards.remove(at);
                }
            }
            Self::RetuneForward { from, to, .. } => {
                if let Some(applied) = spec.forwards.iter_mut().find(|applied| *applied == from) {
                    *applied = to.clone();
                }
            }
            Self::AddForward { forward, at, .. } => {
                spec.forwards.insert((*at).min(spec.forwards.len()), forward.clone());
            }
            Self::ReorderForwards { forwards, .. } => spec.forwards.clone_from(forwards),
        }
    }
}

impl GlobalChange {
    fn apply(&self, to: &mut Desired) {
        let global = &mut to.global;
        match self.clone() {
            Self::Log(log) => global.log = log,
            Self::StopTimeout(timeout) => global.stop_timeout = timeout,
            Self::PidFile(path) => global.pid_file = path,
            Self::ControlSocket(path) => global.control_socket = path,
            Self::Config(path) => global.config = path,
        }
    }
}
