//! What the supervisor tells the stream of events.

use tunnel_engine::clock;

use super::ConfigRefusal;
use super::supervisor::Supervisor;
use crate::history::{Cause, Event, EventName};
use crate::protocol::{PlanAction, PlanReport};

/// Steps that the event of a reload names; of more, the number.
const MAX_STEPS: usize = 8;

impl Supervisor {
    pub(super) fn record_event(&self, event: EventName, message: &str) {
        self.history.push(Event::of_daemon(event, message, clock::wall()));
    }

    /// An operator's order to these tunnels.
    pub(super) fn record_orders(&self, names: &[String], verb: &str) {
        let Ok(which) = self.tunnels.resolve(names) else { return };
        let message = format!("{verb}: asked for on the control socket");
        for name in self.tunnels.names_at(&which) {
            let cause = Cause::without_kind(&message);
            self.history.push(Event::of_tunnel(name, EventName::Order, None, cause, clock::wall()));
        }
    }
}

pub(super) fn applied(report: &PlanReport) -> String {
    let changes: Vec<_> = report.steps.iter().filter(|step| step.action != PlanAction::Keep).collect();
    let mut told: Vec<String> = changes
        .iter()
        .take(MAX_STEPS)
        .map(|step| match &step.forward {
            Some(forward) => format!("{} {forward} of {}", step.action.as_str(), step.tunnel),
            None => format!("{} {}", step.action.as_str(), step.tunnel),
        })
        .collect();
    if let Some(more) = changes.len().checked_sub(MAX_STEPS + 1) {
        told.push(format!("{} more", more + 1));
    }
    let what = if told.is_empty() { "no tunnel changes".to_owned() } else { told.join(", ") };
    format!("generation {}: {what}", report.generation)
}

/// Why a config was refused: its first error, and how many there are.
pub(super) fn refused(refusal: &ConfigRefusal) -> String {
    let errors = refusal.errors.get("errors").and_then(serde_json::Value::as_array);
    let first = errors.and_then(|errors| errors.first());
    let first = first.map(with_place).unwrap_or_default();
    let more = errors.map_or(0, |errors| errors.len().saturating_sub(1));
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    format!("nothing has changed: {first}{more}")
}

/// An error of a config in one line: `FILE:LINE: MESSAGE`, without the place where it has none.
pub(super) fn with_place(error: &serde_json::Value) -> String {
    let text = |key| error.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let line = error.get("line").and_then(serde_json::Value::as_u64);
    let place = line.map(|line| format!("{}:{line}: ", text("file"))).unwrap_or_default();
    format!("{place}{}", text("message"))
}
