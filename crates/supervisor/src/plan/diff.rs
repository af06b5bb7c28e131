//! Finds the steps.

use std::collections::HashMap;

use tunnel_engine::spec::{Bind, Forward, Listen, Side};

use crate::config::{Desired, Global, TunnelSpec};

use super::apply::World;
use super::{GlobalChange, Plan, Step, Tuning, TunnelChange, changes};

/// What must be done to what is applied, so that it becomes what is desired. Tunnels are the same by name, forwards by
/// [`Forward::key`].
pub fn plan(actual: &Desired, desired: &Desired) -> Plan {
    let mut stages = Stages::default();
    let mut kept = Vec::new();
    let (before, after) = (by_name(actual), by_name(desired));
    for old in &actual.tunnels {
        if !after.contains_key(old.name.as_str()) {
            stages.release.push(Step::Stop(old.name.clone()));
        }
    }
    for (at, new) in desired.tunnels.iter().enumerate() {
        match before.get(new.name.as_str()).copied() {
            None => stages.take.push(Step::Start { spec: Box::new(new.clone()), at }),
            Some(old) if old == new => kept.push(new.name.clone()),
            Some(old) => changed(old, new, &mut stages),
        }
    }
    let Stages { release, retune, take } = stages;
    let mut steps = globals(&actual.global, &desired.global);
    steps.extend(release.into_iter().chain(retune).chain(take));
    let mut plan = Plan { steps, kept };
    reorder(&mut plan, actual, desired);
    plan
}

/// The order across tunnels: what gives a listen address up comes before what takes one.
#[derive(Default)]
struct Stages {
    release: Vec<Step>,
    retune: Vec<Step>,
    take: Vec<Step>,
}

fn by_name(config: &Desired) -> HashMap<&str, &TunnelSpec> {
    config.tunnels.iter().map(|spec| (spec.name.as_str(), spec)).collect()
}

fn globals(old: &Global, new: &Global) -> Vec<Step> {
    let Global {
        config,
        pid_file,
        control_socket,
        state_directory,
        stop_timeout,
        user,
        no_new_privileges,
        confine,
        // Follows from the tunnels and the files.
        reading: _,
        log,
        metrics,
    } = new;
    let privileges =
        GlobalChange::Privileges { user: user.clone(), no_new_privileges: *no_new_privileges, confine: *confine };
    let same_privileges = (&old.user, old.no_new_privileges, old.confine) == (user, *no_new_privileges, *confine);
    let changes = [
        (old.config != *config).then(|| GlobalChange::Config(config.clone())),
        (old.pid_file != *pid_file).then(|| GlobalChange::PidFile(pid_file.clone())),
        (old.control_socket != *control_socket).then(|| GlobalChange::ControlSocket(control_socket.clone())),
        (old.state_directory != *state_directory).then(|| GlobalChange::StateDirectory(state_directory.clone())),
        (!same_privileges).then_some(privileges),
        (old.stop_timeout != *stop_timeout).then_some(GlobalChange::StopTimeout(*stop_timeout)),
        (old.log.level != log.level).then(|| GlobalChange::LogLevel(log.level.clone())),
        (old.log.format != log.format).then_some(GlobalChange::LogFormat(log.format)),
        (old.metrics != *metrics).then(|| GlobalChange::Metrics(metrics.clone())),
    ];
    changes.into_iter().flatten().map(Step::Global).collect()
}

fn changed(old: &TunnelSpec, new: &TunnelSpec, stages: &mut Stages) {
    let step = |change| Step::Change(new.name.clone(), change);
    let forwards = Forwards::compare(old, new);
    let disable = (old.enabled && !new.enabled).then_some(TunnelChange::Disable);
    let removed = forwards.removed.into_iter().cloned().map(TunnelChange::RemoveForward);
    stages.release.extend(disable.into_iter().chain(removed).map(step));

    let tuning = Tuning::of(new);
    let retune = (!changes::tuning(&Tuning::of(old), &tuning).is_empty()).then_some(TunnelChange::Retune(tuning));
    let hosts = (old.fallbacks != new.fallbacks).then(|| TunnelChange::Hosts(new.fallbacks.clone()));
    let session = (old.session != new.session).then(|| session_change(old, new));
    let changed = forwards.changed.into_iter();
    let changed = changed.map(|(from, to)| TunnelChange::RetuneForward { from: from.clone(), to: to.clone() });
    stages.retune.extend(retune.into_iter().chain(hosts).chain(session).chain(changed).map(step));

    let added = forwards.added.into_iter();
    let added = added.map(|(at, forward)| TunnelChange::AddForward { forward: forward.clone(), at });
    let enable = (!old.enabled && new.enabled).then_some(TunnelChange::Enable);
    stages.take.extend(added.chain(enable).map(step));
}

fn session_change(old: &TunnelSpec, new: &TunnelSpec) -> TunnelChange {
    let session = Box::new(new.session.clone());
    if changes::read_only_at_start(&old.session, &new.session) {
        TunnelChange::NextSession(session)
    } else {
        TunnelChange::ReplaceSession(session)
    }
}

/// The forwards of one tunnel, old and new, paired.
struct Forwards<'a> {
    removed: Vec<&'a Forward>,
    changed: Vec<(&'a Forward, &'a Forward)>,
    added: Vec<(usize, &'a Forward)>,
}

impl<'a> Forwards<'a> {
    /// Equal ones are paired first, then those with the same key: several remote forwards may ask for port 0.
    fn compare(old: &'a TunnelSpec, new: &'a TunnelSpec) -> Self {
        let rebound = |forward: &Forward| {
            (old.gateway_ports != new.gateway_ports && follows_gateway_ports(forward))
                || (old.stream_local_bind_mask != new.stream_local_bind_mask && is_own_socket(forward))
        };
        let (mut removed, mut rest): (Vec<&Forward>, Vec<&Forward>) =
            old.forwards.iter().partition(|forward| rebound(forward));
        let mut unpaired: Vec<(usize, &Forward)> = Vec::new();
        for (at, forward) in new.forwards.iter().enumerate() {
            match rest.iter().position(|candidate| *candidate == forward) {
                Some(same) => drop(rest.remove(same)),
                None => unpaired.push((at, forward)),
            }
        }
        let (mut changed, mut added) = (Vec::new(), Vec::new());
        for (at, forward) in unpaired {
            match rest.iter().position(|candidate| candidate.key() == forward.key()) {
                Some(same) => changed.push((rest.remove(same), forward)),
                None => added.push((at, forward)),
            }
        }
        removed.extend(rest);
        Self { removed, changed, added }
    }
}

/// Its listener stands on other addresses when `gateway_ports` changes.
fn follows_gateway_ports(forward: &Forward) -> bool {
    match (forward.kind.side(), &forward.listen) {
        (Side::Here, Listen::Tcp { bind: Bind::Default, .. }) => true,
        (
            Side::Here,
            Listen::Tcp { bind: Bind::Any | Bind::Address(_), .. } | Listen::Unix(_) | Listen::Device { .. },
        )
        | (Side::Server, _) => false,
    }
}

/// Its file gets other permissions when `stream_local_bind_mask` changes.
fn is_own_socket(forward: &Forward) -> bool {
    forward.kind.side() == Side::Here && matches!(forward.listen, Listen::Unix(_))
}

/// Adds what is needed to make the order right, where the other steps have not.
fn reorder(plan: &mut Plan, actual: &Desired, desired: &Desired) {
    let mut reached = World::of(actual);
    plan.steps.iter().for_each(|step| reached.apply(step));
    let misplaced = |new: &&TunnelSpec| reached.get(&new.name).is_some_and(|spec| spec.forwards != new.forwards);
    let reordered = desired.tunnels.iter().filter(misplaced);
    plan.steps.extend(
        reordered.map(|new| Step::Change(new.name.clone(), TunnelChange::ReorderForwards(new.forwards.clone()))),
    );
    if !reached.names().eq(desired.tunnels.iter().map(|spec| spec.name.as_str())) {
        plan.steps.push(Step::Reorder(desired.tunnels.iter().map(|spec| spec.name.clone()).collect()));
    }
}
