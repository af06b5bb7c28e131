//! What a reload does, a line a step.

use std::fmt::Write;

use super::text::printable;
use crate::protocol::{PlanAction, PlanReport, PlanStep};

/// Each line ended. What is kept is counted, not listed: in a big config the changes would drown.
pub(in crate::cli) fn plan(report: &PlanReport) -> String {
    let (kept, changes): (Vec<_>, Vec<_>) = report.steps.iter().partition(|step| step.action == PlanAction::Keep);
    let mut text = String::new();
    for step in &changes {
        text += &line(step);
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {}", printable(note));
    }
    let kept = kept.iter().filter(|step| step.forward.is_none()).count();
    let lost: u64 = changes.iter().map(|step| step.connections).sum();
    let (did, verb) = match (report.applied, lost) {
        (true, 1) => ("applied", "ends"),
        (true, _) => ("applied", "end"),
        (false, _) => ("planned", "would end"),
    };
    let steps = plural(changes.len() as u64, "change");
    let _ = match changes.len() {
        0 => writeln!(text, "nothing to change, {} kept", plural(kept as u64, "tunnel")),
        _ => writeln!(
            text,
            "{steps} {did}, {} unchanged, {} {verb}",
            plural(kept as u64, "tunnel"),
            plural(lost, "live connection")
        ),
    };
    text
}

fn line(step: &PlanStep) -> String {
    let mut text = format!("{:<8} {}", step.action.as_str(), step.tunnel);
    if let Some(forward) = &step.forward {
        let _ = write!(text, "  {forward}");
    }
    if !step.reason.is_empty() {
        let _ = write!(text, "  ({})", step.reason);
    }
    if step.action == PlanAction::Retune {
        text += "  keeps its session";
    }
    if step.connections > 0 {
        let _ = write!(text, "  ends {}", plural(step.connections, "live connection"));
        text += match step.action {
            PlanAction::Replace | PlanAction::Stop => ", after stop_timeout at the latest",
            PlanAction::Keep | PlanAction::Retune | PlanAction::Add | PlanAction::Cancel | PlanAction::Start => "",
        };
    }
    format!("{}\n", printable(&text))
}

fn plural(count: u64, word: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {word}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(tunnel: &str, forward: Option<&str>, action: PlanAction, connections: u64) -> PlanStep {
        let reason = if action == PlanAction::Replace { "host" } else { "" };
        let forward = forward.map(str::to_owned);
        PlanStep { tunnel: tunnel.into(), forward, action, connections, reason: reason.into() }
    }

    #[test]
    fn a_plan_lists_changes_and_counts_what_is_kept() {
        let steps = vec![
            step("a", None, PlanAction::Keep, 0),
            step("b", None, PlanAction::Replace, 3),
            step("c", Some("-L 3307:db:3306"), PlanAction::Add, 0),
            step("d", Some("-D 1080"), PlanAction::Cancel, 1),
            step("e", None, PlanAction::Retune, 0),
        ];
        let report = PlanReport { applied: true, generation: 8, steps, notes: vec!["pid_file needs a restart".into()] };
        let expected = "\
replace  b  (host)  ends 3 live connections, after stop_timeout at the latest
add      c  -L 3307:db:3306
cancel   d  -D 1080  ends 1 live connection
retune   e  keeps its session
note: pid_file needs a restart
4 changes applied, 1 tunnel unchanged, 4 live connections end
";
        assert_eq!(plan(&report), expected);
    }

    #[test]
    fn an_empty_plan_says_so() {
        let report = PlanReport { applied: false, generation: 7, steps: vec![], notes: vec![] };
        assert_eq!(plan(&report), "nothing to change, 0 tunnels kept\n");
    }
}
