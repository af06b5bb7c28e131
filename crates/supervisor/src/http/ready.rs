//! `/ready`: whether the tunnels are, and why those that are not are not. Pure.

use serde::Serialize;
use tunnel_engine::failure::FailureKind;

use crate::lifecycle::{Phase, Want};
use crate::protocol::status::{FailureStatus, Status, TunnelStatus};
use crate::word::Word;

#[derive(Debug, Serialize)]
pub(super) struct ReadyAnswer<'a> {
    /// All that were asked about are.
    pub(super) ready: bool,
    tunnels: usize,
    /// In the config's order.
    not_ready: Vec<NotReady<'a>>,
}

#[derive(Debug, Serialize)]
struct NotReady<'a> {
    name: &'a str,
    want: &'a Word<Want>,
    phase: &'a Word<Phase>,
    /// In this phase.
    since: &'a str,
    /// Of the last failure, or null.
    kind: Option<&'a Word<FailureKind>>,
    message: String,
    /// How to correct it, or null.
    hint: Option<&'a str>,
    next_start_ms: Option<u64>,
}

/// All enabled tunnels, as `tunneld status` counts them.
pub(super) fn of_all(status: &Status) -> ReadyAnswer<'_> {
    of(status.tunnels.iter().filter(|tunnel| tunnel.counts()))
}

/// One of them, enabled or not; `None`: there is none of this name.
pub(super) fn of_one<'a>(status: &'a Status, name: &str) -> Option<ReadyAnswer<'a>> {
    let tunnel = status.tunnels.iter().find(|tunnel| tunnel.name == name)?;
    Some(of(std::iter::once(tunnel)))
}

fn of<'a>(asked: impl Iterator<Item = &'a TunnelStatus>) -> ReadyAnswer<'a> {
    let (mut tunnels, mut not_ready) = (0, Vec::new());
    for tunnel in asked {
        tunnels += 1;
        if !tunnel.ready {
            not_ready.push(why(tunnel));
        }
    }
    ReadyAnswer { ready: not_ready.is_empty(), tunnels, not_ready }
}

fn why(tunnel: &TunnelStatus) -> NotReady<'_> {
    // While a tunnel is up, or not wanted, its last failure is history.
    // But for a session of before a reload, whose successor cannot log in: the failure says of which session it is.
    let told = |failure: &&FailureStatus| {
        let (waits_for, message) = (tunnel.waits_for.as_deref(), failure.message.split_once(": "));
        waits_for.zip(message).is_some_and(|(text, (_, message))| text.ends_with(message))
    };
    let failure = tunnel.last_failure.as_ref().filter(|_| tunnel.want == Want::Up);
    let failure = failure.filter(|failure| tunnel.phase != Phase::Up || told(failure));
    NotReady {
        name: &tunnel.name,
        want: &tunnel.want,
        phase: &tunnel.phase,
        since: &tunnel.since,
        kind: failure.map(|failure| &failure.kind),
        message: cause(tunnel),
        hint: failure.map(|failure| failure.hint.as_str()),
        next_start_ms: tunnel.next_start_ms,
    }
}

/// Why a tunnel is not ready, in words.
pub(super) fn cause(tunnel: &TunnelStatus) -> String {
    if tunnel.want != Want::Up {
        return if tunnel.enabled { "stopped by an operator" } else { "disabled in the config" }.to_owned();
    }
    if tunnel.phase == Phase::Up {
        let behind = tunnel.forwards.iter().find(|forward| !forward.is_in_place());
        return match behind {
            Some(forward) => {
                let message = forward.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
                format!("forward {} is {}{message}", forward.listen, forward.state)
            }
            None => tunnel.waits_for.clone().unwrap_or_else(|| "up, and not proven yet".to_owned()),
        };
    }
    match &tunnel.last_failure {
        Some(failure) => failure.message.clone(),
        None => tunnel.waits_for.clone().unwrap_or_else(|| format!("it is {}", tunnel.phase)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::example;

    fn report(tunnels: Vec<TunnelStatus>) -> Status {
        example::status(tunnels)
    }

    #[test]
    fn disabled_tunnels_count_only_when_asked_for_by_name() {
        let off = TunnelStatus { enabled: false, ..example::tunnel("off", "stopped", false) };
        let report = report(vec![example::tunnel("a", "up", true), off]);
        assert!(of_all(&report).ready);
        assert!(!of_one(&report, "off").unwrap().ready);
        assert!(of_one(&report, "other").is_none());
    }

    #[test]
    fn tunnel_that_is_not_ready_has_failure_and_hint() {
        let mut tunnel = example::tunnel("db", "backoff", false);
        tunnel.last_failure = Some(example::failure("connect_refused", "nothing listens on `h:22`"));
        let report = report(vec![tunnel]);
        let text = serde_json::to_value(of_all(&report)).unwrap();
        assert_eq!(text["ready"], false);
        assert_eq!(text["not_ready"][0]["kind"], "connect_refused");
        assert_eq!(text["not_ready"][0]["message"], "nothing listens on `h:22`");
        assert_eq!(text["not_ready"][0]["next_start_ms"], serde_json::Value::Null);
    }

    #[test]
    fn session_that_cannot_be_replaced_has_failure_and_hint() {
        let mut tunnel = example::tunnel("db", "up", false);
        tunnel.last_failure =
            Some(example::failure("auth_rejected", "the session for the new config: no key is accepted"));
        tunnel.waits_for = Some("the session of before serves on: no key is accepted".to_owned());
        let report = report(vec![tunnel]);
        let text = serde_json::to_value(of_all(&report)).unwrap();
        assert_eq!(text["not_ready"][0]["kind"], "auth_rejected");
        assert_eq!(text["not_ready"][0]["message"], "the session of before serves on: no key is accepted");
    }

    #[test]
    fn old_failure_is_no_cause_while_up() {
        let mut tunnel = example::tunnel("db", "up", false);
        tunnel.last_failure = Some(example::failure("dns", "old"));
        assert_eq!(cause(&tunnel), "up, and not proven yet");
    }
}
