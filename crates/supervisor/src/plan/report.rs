//! A plan as the control protocol tells it: what each step does, and how many connections it ends.

use std::collections::{HashMap, HashSet};

use tunnel_engine::spec::{Destination, Forward, ForwardKey, ForwardKind, SessionSpec};

use crate::config::{Desired, Global, LogLevelSpec, TunnelSpec};
use crate::protocol::{PlanAction, PlanReport, PlanStep};

use super::apply::World;
use super::{GlobalChange, Plan, RunState, RunningTunnels, Step, Tuning, TunnelChange, changes};

impl Plan {
    /// The plan with its price. `actual` is what the plan was made for; `running` tells of the tunnels now.
    /// `applied` and `generation` are handed on.
    pub fn report(
        &self,
        actual: &Desired,
        running: &impl RunningTunnels,
        applied: bool,
        generation: u64,
    ) -> PlanReport {
        let mut standing = ReportState { running, config: World::of(actual), ended: HashSet::new() };
        let mut report = PlanReport { applied, generation, steps: Vec::new(), notes: Vec::new() };
        for step in &self.steps {
            match standing.told(step) {
                ReportedStep::Step(told) => report.steps.push(told),
                ReportedStep::Note(note) => report.notes.push(note),
            }
            standing.apply(step);
        }
        let kept = self.kept.iter().map(|tunnel| (tunnel.clone(), None));
        for (tunnel, forward) in self.kept_forwards(actual, running).into_iter().chain(kept) {
            let (action, connections, reason) = (PlanAction::Keep, 0, String::new());
            report.steps.push(PlanStep { tunnel, forward, action, connections, reason });
        }
        report
    }

    /// Forwards that no step touches, of tunnels that are changed and keep their session.
    fn kept_forwards(&self, actual: &Desired, running: &impl RunningTunnels) -> Vec<(String, Option<String>)> {
        let mut kept = Vec::new();
        let whole: HashSet<&str> = self.kept.iter().map(String::as_str).collect();
        let mut about: HashMap<&str, Vec<&Step>> = HashMap::new();
        for step in &self.steps {
            about.entry(step.tunnel().unwrap_or_default()).or_default().push(step);
        }
        for spec in actual.tunnels.iter().filter(|spec| !whole.contains(spec.name.as_str())) {
            let steps = about.get(spec.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let runs = running.state(&spec.name) != RunState::AtRest;
            let replaces =
                |step: &&Step| runs && is_replacement(step) && !takes_back(step, &after(spec, steps), running);
            if !steps.iter().any(|step| is_end(step) || replaces(step)) {
                let touched = |forward: &Forward| steps.iter().any(|step| touches(step, forward));
                let untouched = spec.forwards.iter().filter(|forward| !touched(forward));
                kept.extend(untouched.map(|forward| (spec.name.clone(), Some(as_option(forward)))));
            }
        }
        kept
    }
}

enum ReportedStep {
    Step(PlanStep),
    Note(String),
}

/// The config as the steps so far have left it.
struct ReportState<'a, R> {
    running: &'a R,
    config: World<'a>,
    /// Tunnels that these steps have brought to rest.
    ended: HashSet<&'a str>,
}

impl<'a, R: RunningTunnels> ReportState<'a, R> {
    fn apply(&mut self, step: &'a Step) {
        self.config.apply(step);
        self.ended.extend(step.tunnel().filter(|_| is_end(step)));
    }

    fn state(&self, tunnel: &str) -> RunState {
        if self.ended.contains(tunnel) { RunState::AtRest } else { self.running.state(tunnel) }
    }

    fn told(&self, step: &Step) -> ReportedStep {
        let (action, forward, reason) = match step {
            Step::Global(change) => return ReportedStep::Note(global(change, self.running.started_with())),
            Step::Reorder(_) => return ReportedStep::Note("the tunnels are shown in another order".to_owned()),
            Step::Start { spec, .. } if !spec.enabled => {
                return ReportedStep::Note(format!("tunnel `{}` is new and disabled", spec.name));
            }
            Step::Start { .. } => (PlanAction::Start, None, "new".to_owned()),
            Step::Stop(_) => (PlanAction::Stop, None, "no longer in the config".to_owned()),
            Step::Change(tunnel, TunnelChange::Enable) if self.state(tunnel) != RunState::AtRest => {
                return ReportedStep::Note(format!("tunnel `{tunnel}` is enabled, and runs already"));
            }
            Step::Change(tunnel, TunnelChange::Disable) if self.state(tunnel) == RunState::AtRest => {
                return ReportedStep::Note(format!("tunnel `{tunnel}` is disabled, and does not run"));
            }
            Step::Change(tunnel, change) => self.told_change(tunnel, change),
        };
        let tunnel = step.tunnel().unwrap_or_default().to_owned();
        let (forward, connections) = (forward.map(as_option), self.cost(step));
        ReportedStep::Step(PlanStep { tunnel, forward, action, connections, reason })
    }

    /// What becomes of a tunnel that stays known.
    fn told_change<'c>(&self, tunnel: &str, change: &'c TunnelChange) -> (PlanAction, Option<&'c Forward>, String) {
        let before = self.config.get(tunnel);
        let keys = |session| before.map(|spec| changes::session(&spec.session, session).join(", ")).unwrap_or_default();
        match change {
            TunnelChange::Enable => (PlanAction::Start, None, "enabled".to_owned()),
            TunnelChange::Disable => (PlanAction::Stop, None, "disabled".to_owned()),
            TunnelChange::RemoveForward(forward) => (PlanAction::Cancel, Some(forward), String::new()),
            TunnelChange::AddForward { forward, .. } => (PlanAction::Add, Some(forward), String::new()),
            TunnelChange::RetuneForward { from, to } => (PlanAction::Retune, Some(from), forward_change(from, to)),
            TunnelChange::Retune(new) => {
                let keys = before.map(|spec| changes::tuning(&Tuning::of(spec), new).join(", "));
                (PlanAction::Retune, None, keys.unwrap_or_default())
            }
            TunnelChange::Hosts(new) => (PlanAction::Retune, None, hosts_change(before, new)),
            TunnelChange::NextSession(session) => {
                (PlanAction::Retune, None, format!("{}, from the next session on", keys(session)))
            }
            TunnelChange::ReplaceSession(session) if self.stays(tunnel, session) => {
                (PlanAction::Retune, None, format!("{}; the session that serves was made so, and stays", keys(session)))
            }
            TunnelChange::ReplaceSession(session) => {
                let (action, when) = match self.state(tunnel) {
                    RunState::AtRest => (PlanAction::Retune, "from the next start on"),
                    RunState::Starting => (PlanAction::Replace, "a start follows at once"),
                    RunState::Up => (PlanAction::Replace, "the new session first"),
                };
                (action, None, format!("{}; {when}", keys(session)))
            }
            TunnelChange::ReorderForwards(_) => (PlanAction::Retune, None, "order of its forwards".to_owned()),
        }
    }

    /// The session that serves was made for this, and no other one is up yet: nothing ends.
    fn stays(&self, tunnel: &str, session: &SessionSpec) -> bool {
        let fallbacks = self.config.get(tunnel).map(|spec| spec.fallbacks.as_slice()).unwrap_or_default();
        self.state(tunnel) == RunState::Up && is_served(self.running, tunnel, session, fallbacks)
    }

    /// None is counted twice: forwards that were removed are gone from the config by the time their session is
    /// replaced, and a tunnel that was stopped is at rest by the time its forwards are removed.
    fn cost(&self, step: &Step) -> u64 {
        let Some(spec) = step.tunnel().and_then(|tunnel| self.config.get(tunnel)) else { return 0 };
        if self.ended.contains(spec.name.as_str()) {
            return 0;
        }
        let carried = |key: &ForwardKey| self.running.carried(&spec.name, key);
        let all = |key: &ForwardKey| carried(key) + self.running.held(&spec.name, key);
        let keys = || spec.forwards.iter().map(Forward::key).collect::<HashSet<ForwardKey>>();
        if is_end(step) {
            return keys().iter().map(all).sum();
        }
        let replaces = is_replacement(step) && !takes_back(step, spec, self.running);
        if replaces && self.running.state(&spec.name) != RunState::AtRest {
            // Those that wait for a session are carried by the new one.
            return keys().iter().map(carried).sum();
        }
        let Step::Change(_, TunnelChange::RemoveForward(forward)) = step else { return 0 };
        // Forwards that share a key (port 0) share its count: it goes with the last of them.
        let key = forward.key();
        let last = spec.forwards.iter().filter(|other| other.key() == key).count() <= 1;
        if last { all(&key) } else { 0 }
    }
}

/// The step brings its tunnel to rest, and ends all its connections.
const fn is_end(step: &Step) -> bool {
    matches!(step, Step::Stop(_) | Step::Change(_, TunnelChange::Disable))
}

/// The step ends every connection that the tunnel carries, where it has a session.
const fn is_replacement(step: &Step) -> bool {
    matches!(step, Step::Change(_, TunnelChange::ReplaceSession(_)))
}

/// The step takes back a change that never took effect: the session that serves was made for what it says, and stays.
fn takes_back(step: &Step, spec: &TunnelSpec, running: &impl RunningTunnels) -> bool {
    let Step::Change(tunnel, TunnelChange::ReplaceSession(session)) = step else { return false };
    is_served(running, tunnel, session, &spec.fallbacks)
}

fn is_served(running: &impl RunningTunnels, tunnel: &str, session: &SessionSpec, fallbacks: &[SessionSpec]) -> bool {
    running.serving(tunnel).is_some_and(|serving| serving.is_for(session, fallbacks))
}

/// What a tunnel becomes by these steps.
fn after(spec: &TunnelSpec, steps: &[&Step]) -> TunnelSpec {
    let mut spec = spec.clone();
    for step in steps {
        if let Step::Change(_, change) = step {
            change.apply(&mut spec);
        }
    }
    spec
}

fn touches(step: &Step, forward: &Forward) -> bool {
    matches!(step, Step::Change(_, TunnelChange::RemoveForward(from) | TunnelChange::RetuneForward { from, .. })
        if from == forward)
}

fn hosts_change(before: Option<&TunnelSpec>, new: &[SessionSpec]) -> String {
    let names =
        |specs: &[SessionSpec]| -> Vec<Destination> { specs.iter().map(|spec| spec.destination.clone()).collect() };
    let same = before.is_some_and(|spec| names(&spec.fallbacks) == names(new));
    if same { "the same for its other hosts".to_owned() } else { "hosts".to_owned() }
}

fn as_option(forward: &Forward) -> String {
    let option = forward.kind.option();
    format!("{option} {forward}")
}

fn forward_change(from: &Forward, to: &Forward) -> String {
    if from.connect == to.connect {
        "max_connections".to_owned()
    } else if to.kind == ForwardKind::TunnelDevice {
        format!("the server is asked for its device `{}`", to.connect)
    } else {
        format!("new connections go to `{}`", to.connect)
    }
}

/// `started_with`: what the daemon runs with where it cannot apply the change.
fn global(change: &GlobalChange, started_with: &Global) -> String {
    let text = match change {
        GlobalChange::LogLevel(LogLevelSpec { filter, overridden: None }) => format!("log.level becomes `{filter}`"),
        GlobalChange::LogLevel(LogLevelSpec { filter, overridden: Some(of_file) }) => format!(
            "log.level = `{of_file}` has no effect: --log-level or TUNNELD_LOG_LEVEL has set `{filter}` when tunneld was started"
        ),
        GlobalChange::LogFormat(format) => format!("log.format becomes `{}`", format!("{format:?}").to_lowercase()),
        GlobalChange::StopTimeout(timeout) => format!("stop_timeout becomes {}", humantime::format_duration(*timeout)),
        GlobalChange::PidFile(Some(path)) => format!("pid_file becomes `{}`", path.display()),
        GlobalChange::PidFile(None) => "pid_file goes".to_owned(),
        GlobalChange::ControlSocket(path) => format!("control_socket becomes `{}`", path.display()),
        GlobalChange::StateDirectory(Some(path)) => format!("state_directory becomes `{}`", path.display()),
        GlobalChange::StateDirectory(None) => "state_directory goes".to_owned(),
        GlobalChange::Privileges { user, no_new_privileges, confine } => {
            let user = user.as_ref().map_or("no `user`".to_owned(), |user| format!("user `{user}`"));
            let confine = format!("{confine:?}").to_lowercase();
            format!("the privileges become {user}, no_new_privileges = {no_new_privileges}, confine = \"{confine}\"")
        }
        GlobalChange::Metrics(Some(listen)) => format!("metrics are served on `{listen}`"),
        GlobalChange::Metrics(None) => "metrics are no longer served".to_owned(),
        GlobalChange::Config(path) => format!("the config file becomes `{}`", path.display()),
    };
    match change.needs_restart() {
        true if change.is_in(started_with) => format!("{text} again, as it still is in the running tunneld"),
        true => format!("{text} when tunneld is restarted"),
        false => text,
    }
}
