//! Reading the config again, and making the difference true. One at a time, in order of asking.

use std::path::PathBuf;

use tokio::sync::oneshot;

use super::ConfigRefusal;
use super::announce;
use super::answers::reply_with;
use super::notes;
use super::supervisor::Supervisor;
use super::tunnels::RunningDaemon;
use crate::config::{self, Desired};
use crate::history::EventName;
use crate::plan::{self, GlobalChange, Plan, Step};
use crate::protocol::{ErrorCode, Response};
use crate::tunnel::Order;

pub(super) enum ReloadOrigin {
    /// SIGHUP.
    Signal,
    /// `tunneld reload`.
    Request(oneshot::Sender<Response>),
    /// `tunneld plan`: nothing changes.
    Plan(Option<PathBuf>, oneshot::Sender<Response>),
}

/// A config that was read, or not.
pub(super) struct LoadedConfig(Box<Result<Desired, ConfigRefusal>>);

impl Supervisor {
    pub(super) fn reload(&mut self, reload: ReloadOrigin) {
        self.reloads.push_back(reload);
        if self.reloads.len() == 1 {
            self.load_next();
        }
    }

    fn load_next(&mut self) {
        let config = match self.reloads.front() {
            Some(ReloadOrigin::Plan(config, _)) => config.clone(),
            Some(ReloadOrigin::Signal | ReloadOrigin::Request(_)) => {
                // A stop was told, and is what the service manager waits for.
                if !self.is_stopping() {
                    self.notify.reloading();
                }
                None
            }
            None => return,
        };
        let load = self.load.clone();
        self.jobs.spawn(async move {
            let result = tokio::task::spawn_blocking(move || load(config)).await;
            Some(LoadedConfig(Box::new(result.unwrap_or_else(|error| Err(broken(&error.to_string()))))))
        });
    }

    pub(super) fn loaded(&mut self, LoadedConfig(result): LoadedConfig) {
        let result = (*result).and_then(|wanted| match config::emptied(&self.desired, &wanted) {
            Ok(()) => Ok(wanted),
            Err(errors) => Err(errors.into()),
        });
        match self.reloads.pop_front() {
            Some(ReloadOrigin::Plan(_, reply)) => self.show(result, reply),
            Some(ReloadOrigin::Request(reply)) => self.apply(result, Some(reply)),
            Some(ReloadOrigin::Signal) => self.apply(result, None),
            None => {}
        }
        self.load_next();
    }

    fn show(&self, result: Result<Desired, ConfigRefusal>, reply: oneshot::Sender<Response>) {
        let response = match result {
            Ok(desired) => {
                let plan = plan::plan(&self.desired, &desired);
                Response::Plan { plan: self.describe(&plan, false) }
            }
            Err(refusal) => refused(refusal),
        };
        reply_with(reply, response);
    }

    fn apply(&mut self, result: Result<Desired, ConfigRefusal>, reply: Option<oneshot::Sender<Response>>) {
        // Between the load and now a stop may have begun; there is nothing left to change.
        if self.is_stopping() {
            if let Some(reply) = reply {
                reply_with(reply, Response::error(ErrorCode::Stopping, "tunneld is stopping"));
            }
            return;
        }
        let response = match result {
            Ok(desired) => {
                let plan = plan::plan(&self.desired, &desired);
                self.generation += 1;
                let report = self.describe(&plan, true);
                self.record_event(EventName::Reloaded, &announce::applied(&report));
                tracing::info!(generation = self.generation, steps = plan.steps.len(), "config reloaded");
                if desired.tunnels.is_empty() && !self.desired.tunnels.is_empty() {
                    tracing::warn!(generation = self.generation, "no tunnel is left: the config has none any more");
                }
                notes::log_notes(Some(&self.desired), &desired);
                self.make(plan);
                self.desired = desired;
                self.tunnels.reorder(self.desired.tunnels.iter().map(|spec| spec.name.as_str()));
                self.record_applied();
                // With the level that it brings. A request gets them as its answer, a signal has none.
                for note in &report.notes {
                    tracing::info!(generation = self.generation, "config: {note}");
                }
                Response::Plan { plan: report }
            }
            Err(refusal) => {
                log_refusal(&refusal);
                self.record_event(EventName::ReloadRefused, &announce::refused(&refusal));
                refused(refusal)
            }
        };
        self.notify.ready();
        if let Some(reply) = reply {
            let taken = self.tunnels.all_taken();
            self.jobs.spawn(async move {
                taken.wait().await;
                reply_with(reply, response);
                None
            });
        }
    }

    fn describe(&self, plan: &Plan, applied: bool) -> crate::protocol::PlanReport {
        let running = RunningDaemon { tunnels: &self.tunnels, started_with: &self.started_with };
        plan.report(&self.desired, &running, applied, self.generation)
    }

    /// Steps in a row that are about one tunnel go to it together; the order over all tunnels stays, because what
    /// gives an address up comes before what takes it.
    fn make(&mut self, plan: Plan) {
        let mut steps = plan.steps.into_iter().peekable();
        while let Some(step) = steps.next() {
            match step {
                Step::Global(change) => self.change(change),
                Step::Stop(tunnel) => {
                    self.tunnels.end(&tunnel);
                    self.recent.forget(&tunnel);
                }
                Step::Start { spec, at: _ } => self.tunnels.add(*spec),
                // All are put in order at the end.
                Step::Reorder(_) => {}
                Step::Change(tunnel, change) => {
                    let same = |next: &Step| matches!(next, Step::Change(other, _) if *other == tunnel);
                    let mut together = vec![change];
                    while let Some(Step::Change(_, next)) = steps.next_if(same) {
                        together.push(next);
                    }
                    self.tunnels.order(&tunnel, Order::Apply(together));
                }
            }
        }
    }

    fn change(&mut self, change: GlobalChange) {
        match change {
            GlobalChange::StopTimeout(timeout) => self.tunnels.set_stop_timeout(timeout),
            // By what is told that the config was applied.
            GlobalChange::LogLevel(_) | GlobalChange::Metrics(_) => {}
            // Each takes effect at the next start of the daemon; the report says so.
            GlobalChange::LogFormat(_)
            | GlobalChange::PidFile(_)
            | GlobalChange::ControlSocket(_)
            | GlobalChange::StateDirectory(_)
            | GlobalChange::Privileges { .. }
            | GlobalChange::Config(_) => {}
        }
    }
}

/// One line an error.
fn log_refusal(refusal: &ConfigRefusal) {
    let errors = refusal.errors.get("errors").and_then(serde_json::Value::as_array);
    for error in errors.into_iter().flatten() {
        let text = |key| error.get(key).and_then(serde_json::Value::as_str);
        let number = |key| error.get(key).and_then(serde_json::Value::as_u64);
        let (file, line, column, hint) = (text("file"), number("line"), number("column"), text("hint"));
        tracing::warn!(file, line, column, hint, "config error: {}", announce::with_place(error));
    }
    tracing::warn!("the config was refused, nothing has changed");
}

fn refused(refusal: ConfigRefusal) -> Response {
    Response::ConfigErrors { text: refusal.text, errors: refusal.errors }
}

fn broken(error: &str) -> ConfigRefusal {
    ConfigRefusal {
        text: format!("reading the config broke off inside tunneld: {error}"),
        errors: serde_json::json!({ "errors": [{ "message": error }] }),
    }
}
