//! What the config that is applied becomes by each step.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::config::{Desired, Global, TunnelSpec};

use super::{GlobalChange, Plan, Step, TunnelChange};

/// What is applied once the steps have been made.
pub fn apply(plan: &Plan, actual: Desired) -> Desired {
    let mut world = World::of(&actual);
    plan.steps.iter().for_each(|step| world.apply(step));
    world.into_desired()
}

/// A config while steps are applied to it: a step costs the same however many tunnels there are, but for the four
/// bytes that move where a tunnel comes or goes.
pub(super) struct World<'a> {
    global: Global,
    specs: Vec<Cow<'a, TunnelSpec>>,
    /// Places in `specs`, in the config's order.
    order: Vec<u32>,
    by_name: HashMap<String, u32>,
}

impl<'a> World<'a> {
    pub(super) fn of(config: &'a Desired) -> Self {
        let mut world = Self {
            global: config.global.clone(),
            specs: Vec::with_capacity(config.tunnels.len()),
            order: Vec::with_capacity(config.tunnels.len()),
            by_name: HashMap::with_capacity(config.tunnels.len()),
        };
        for spec in &config.tunnels {
            world.insert(Cow::Borrowed(spec), world.order.len());
        }
        world
    }

    pub(super) fn get(&self, name: &str) -> Option<&TunnelSpec> {
        self.specs.get(*self.by_name.get(name)? as usize).map(|spec| &**spec)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().filter_map(|at| self.specs.get(*at as usize)).map(|spec| spec.name.as_str())
    }

    /// Makes the step, as the daemon does. A step about a tunnel that is not there does nothing.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Global(change) => change.apply(&mut self.global),
            Step::Stop(tunnel) => {
                if let Some(gone) = self.by_name.remove(tunnel) {
                    self.order.retain(|at| *at != gone);
                }
            }
            Step::Start { spec, at } => self.insert(Cow::Owned((**spec).clone()), *at),
            Step::Reorder(tunnels) => {
                let ranks: HashMap<&str, usize> = tunnels.iter().map(String::as_str).zip(0..).collect();
                let specs = &self.specs;
                self.order
                    .sort_by_key(|at| specs.get(*at as usize).and_then(|spec| ranks.get(spec.name.as_str())).copied());
            }
            Step::Change(tunnel, change) => {
                let at = self.by_name.get(tunnel);
                if let Some(spec) = at.and_then(|at| self.specs.get_mut(*at as usize)) {
                    change.apply(spec.to_mut());
                }
            }
        }
    }

    fn insert(&mut self, spec: Cow<'a, TunnelSpec>, at: usize) {
        let Ok(index) = u32::try_from(self.specs.len()) else { return };
        self.by_name.insert(spec.name.clone(), index);
        self.specs.push(spec);
        self.order.insert(at.min(self.order.len()), index);
    }

    fn into_desired(self) -> Desired {
        let mut specs: Vec<Option<Cow<'_, TunnelSpec>>> = self.specs.into_iter().map(Some).collect();
        let tunnels = self.order.iter().filter_map(|at| specs.get_mut(*at as usize)?.take()).map(Cow::into_owned);
        Desired { tunnels: tunnels.collect(), global: self.global }
    }
}

impl TunnelChange {
    pub fn apply(&self, spec: &mut TunnelSpec) {
        match self {
            Self::Disable => spec.enabled = false,
            Self::Enable => spec.enabled = true,
            Self::Retune(tuning) => tuning.write_to(spec),
            Self::Hosts(fallbacks) => spec.fallbacks.clone_from(fallbacks),
            Self::NextSession(session) | Self::ReplaceSession(session) => spec.session = (**session).clone(),
            Self::RemoveForward(forward) => {
                if let Some(at) = spec.forwards.iter().position(|applied| applied == forward) {
                    spec.forwards.remove(at);
                }
            }
            Self::RetuneForward { from, to } => {
                if let Some(applied) = spec.forwards.iter_mut().find(|applied| *applied == from) {
                    *applied = to.clone();
                }
            }
            Self::AddForward { forward, at } => {
                spec.forwards.insert((*at).min(spec.forwards.len()), forward.clone());
            }
            Self::ReorderForwards(forwards) => spec.forwards.clone_from(forwards),
        }
    }
}

impl GlobalChange {
    /// Whether the settings are as it makes them.
    pub(super) fn is_in(&self, global: &Global) -> bool {
        let mut changed = global.clone();
        self.apply(&mut changed);
        changed == *global
    }

    fn apply(&self, global: &mut Global) {
        match self.clone() {
            Self::LogLevel(level) => global.log.level = level,
            Self::LogFormat(format) => global.log.format = format,
            Self::StopTimeout(timeout) => global.stop_timeout = timeout,
            Self::PidFile(path) => global.pid_file = path,
            Self::StateDirectory(path) => global.state_directory = path,
            Self::ControlSocket(path) => global.control_socket = path,
            Self::Privileges { user, no_new_privileges, confine } => {
                global.user = user;
                global.confine = confine;
                global.no_new_privileges = no_new_privileges;
            }
            Self::Metrics(listen) => global.metrics = listen,
            Self::Config(path) => global.config = path,
        }
    }
}
