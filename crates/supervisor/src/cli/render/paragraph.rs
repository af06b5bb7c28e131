//! `tunneld why`: state, cause, since when, attempts, next try, what would fix it; one paragraph.

use std::time::{Duration, SystemTime};

use super::spans::{short, since};
use super::text::printable;
use crate::lifecycle::{ForwardPhase, Phase, Want};
use crate::protocol::status::{FailureStatus, ForwardStatus, TunnelStatus};

/// One line, not ended.
pub(in crate::cli) fn why(tunnel: &TunnelStatus, now: SystemTime) -> String {
    why_in_outage(tunnel, None, now)
}

/// The same, where it is known since when the outage lasts that goes on.
pub(in crate::cli) fn why_in_outage(tunnel: &TunnelStatus, outage: Option<&str>, now: SystemTime) -> String {
    let mut sentences = vec![state(tunnel, outage, now)];
    sentences.extend(tunnel.session.as_ref().map(|session| {
        let rtt = session.rtt_ms.map(|ms| format!(", round trip {ms:.1} ms")).unwrap_or_default();
        let peer = session.peer.as_deref().unwrap_or("a jump host or proxy command");
        format!("The session goes to {} by {peer}{rtt}.", session.software)
    }));
    let is_up = |forward: &ForwardStatus| forward.state == ForwardPhase::Up;
    let noteworthy = tunnel.forwards.iter().filter(|forward| !is_up(forward) || forward.message.is_some());
    sentences.extend(noteworthy.filter(|_| tunnel.phase == Phase::Up).map(|forward| {
        let message = forward.message.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        ended(&format!("The {} is {}{message}", forward.what(), forward.state))
    }));
    sentences.extend(tunnel.forwards.iter().filter_map(|forward| refused(forward, now)));
    sentences.extend(tunnel.last_failure.as_ref().map(|failure| cause(failure, tunnel, now)));
    sentences.extend(next(tunnel));
    let waits_for = tunnel.waits_for.as_ref().filter(|_| tunnel.phase == Phase::Connecting);
    sentences.extend(waits_for.map(|what| format!("It waits for {what}.")));
    let meanwhile = tunnel.waits_for.as_ref().filter(|_| tunnel.phase == Phase::Up && tunnel.next_start_ms.is_none());
    sentences.extend(meanwhile.map(|what| format!("Meanwhile {what}.")));
    // A forward that is down says what would help by itself.
    let said = |hint: &str| sentences.iter().any(|sentence| sentence.contains(hint));
    let hint = tunnel.last_failure.as_ref().map(|failure| &failure.hint).filter(|hint| !tunnel.ready && !said(hint));
    let hint = hint.map(|hint| ended(&format!("What would help: {hint}")));
    sentences.extend(order(tunnel).or(hint));
    printable(&sentences.join(" "))
}

/// The last refused connections of users; `None`: there were none.
fn refused(forward: &ForwardStatus, now: SystemTime) -> Option<String> {
    let texts = forward.last_refused.iter().map(|refused| {
        let ago = since(&refused.at, now).map(|span| format!(" {} ago", short(span))).unwrap_or_default();
        format!("to {}{ago}: {}", refused.target, refused.message)
    });
    let texts: Vec<String> = texts.collect();
    let what = forward.what();
    (!texts.is_empty()).then(|| ended(&format!("Last refused connections of the {what}: {}", texts.join("; "))))
}

/// A sentence. What a server said may end as one already.
fn ended(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn state(tunnel: &TunnelStatus, outage: Option<&str>, now: SystemTime) -> String {
    let since_when = |at: &str| match since(at, now) {
        Some(span) => format!(" since {at} ({})", short(span)),
        None => String::new(),
    };
    let in_phase = since_when(&tunnel.since);
    let ready = match (tunnel.ready, tunnel.phase.known(), outage) {
        (true, _, _) => format!(" and ready{in_phase}"),
        // The session is up for longer than that.
        (false, Some(Phase::Up), Some(outage)) => format!(" but not ready{}", since_when(outage)),
        (false, Some(Phase::Up), None) => format!("{in_phase} but not ready"),
        (false, _, _) => in_phase,
    };
    let wanted = match (tunnel.want.known(), tunnel.enabled) {
        (Some(Want::Down), true) => ", as an operator stopped it",
        (Some(Want::Down), false) => ", as the config does not enable it",
        _ => "",
    };
    let starts = match tunnel.starts {
        0 => "no start".to_owned(),
        1 => "1 start".to_owned(),
        many => format!("{many} starts"),
    };
    // A start is one of them, too, whose session was lost before `reset_after`.
    let failed = match tunnel.attempts {
        0 => String::new(),
        1 => " and 1 failure".to_owned(),
        many => format!(" and {many} failures in a row"),
    };
    let (name, server) = (&tunnel.name, &tunnel.server);
    let waiting = (tunnel.phase == Phase::Backoff).then_some("waiting for its next start (backoff)");
    let phase = waiting.unwrap_or(tunnel.phase.as_str());
    format!("Tunnel `{name}` to {server} is {phase}{ready}{wanted}, after {starts}{failed}.")
}

fn cause(failure: &FailureStatus, tunnel: &TunnelStatus, now: SystemTime) -> String {
    let label = if tunnel.phase == Phase::Up || tunnel.want == Want::Down { "The last failure" } else { "The cause" };
    let ago = since(&failure.at, now).map(|span| format!(", {} ago", short(span))).unwrap_or_default();
    ended(&format!("{label}{ago}, was {}: {}", failure.kind, failure.message))
}

fn next(tunnel: &TunnelStatus) -> Option<String> {
    let when = short(Duration::from_millis(tunnel.next_start_ms?));
    if tunnel.phase == Phase::Blocked {
        return Some(format!(
            "Trying again does not help by itself; it is re-checked in {when}, or as soon as a key, certificate or known_hosts file changes, a reload changes its config, or `tunneld restart {}` asks for it.",
            tunnel.name
        ));
    }
    let meanwhile = tunnel.waits_for.as_ref().map(|what| format!("; meanwhile {what}")).unwrap_or_default();
    Some(format!("The next start is in {when}{meanwhile}."))
}

/// The order that brings a tunnel up that is not wanted.
fn order(tunnel: &TunnelStatus) -> Option<String> {
    let name = &tunnel.name;
    match (tunnel.want.known(), tunnel.enabled) {
        (Some(Want::Down), true) => Some(format!("What would help: `tunneld start {name}`.")),
        (Some(Want::Down), false) => Some(format!(
            "What would help: `enabled = true` in the config and `tunneld reload`, or `tunneld start {name}` until the daemon ends."
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{example, now};
    use super::*;
    use crate::protocol::status::RefusedStatus;

    fn of(index: usize) -> String {
        why(&example().tunnels[index], now())
    }

    #[test]
    fn a_ready_tunnel_is_told_in_two_sentences() {
        assert_eq!(
            of(0),
            "Tunnel `web-db` to evgeniy@ssh-server:2222 is up and ready since 2026-01-01T00:00:00Z (1h), after 3 starts. \
             The session goes to OpenSSH_9.2p1 by 192.168.110.8:2222, round trip 0.4 ms."
        );
    }

    #[test]
    fn a_waiting_tunnel_names_cause_next_start_and_remedy() {
        let text = of(1);
        assert!(text.contains("is waiting for its next start (backoff) since"), "{text}");
        assert!(text.contains("The cause, 30s ago, was connect_refused: `b:22` refused the connection."), "{text}");
        assert!(text.contains("The next start is in 12s."), "{text}");
        assert!(text.ends_with("What would help: check that sshd runs."), "{text}");
    }

    #[test]
    fn a_forward_that_is_not_in_place_is_named() {
        let text = of(3);
        assert!(text.contains("is up since 2026-01-01T00:00:00Z (1h) but not ready, after"), "{text}");
        let text = why_in_outage(&example().tunnels[3], Some("2026-01-01T00:59:30Z"), now());
        assert!(text.contains("is up but not ready since 2026-01-01T00:59:30Z (30s), after"), "{text}");
        assert!(text.contains("The local forward 127.0.0.1:3307 is down: the server refused to listen."), "{text}");
    }

    #[test]
    fn full_stop_of_a_servers_words_is_the_sentences_own() {
        let mut status = example();
        let failure = status.tunnels[1].last_failure.as_mut().expect("a failure");
        failure.message = "`b` ended the session: Goodbye.".into();
        status.tunnels[3].forwards[0].message = Some("the server forbids it.".into());
        let texts = [1, 3].map(|at| why(&status.tunnels[at], now()));
        assert!(texts[0].contains("Goodbye. ") && texts[1].contains("forbids it."), "{texts:?}");
        assert!(texts.iter().all(|text| !text.contains("..")), "{texts:?}");
    }

    #[test]
    fn a_remedy_is_told_once() {
        let mut status = example();
        let (failure, tunnel) = (status.tunnels[1].last_failure.clone(), &mut status.tunnels[3]);
        tunnel.forwards[0].message = Some("the server refused to listen (check that sshd runs)".into());
        tunnel.last_failure = failure;
        let text = why(tunnel, now());
        assert_eq!(text.matches("check that sshd runs").count(), 1, "{text}");
    }

    #[test]
    fn last_refused_connections_are_listed() {
        let mut status = example();
        let tunnel = &mut status.tunnels[0];
        tunnel.forwards[0].last_refused = vec![RefusedStatus {
            at: "2026-01-01T00:59:00Z".into(),
            target: "db:1".into(),
            code: Some(4),
            message: "the server is short of resources: too many open files".into(),
        }];
        let text = why(tunnel, now());
        assert!(
            text.contains(
                "Last refused connections of the local forward 127.0.0.1:3307: to db:1 1m ago: the server is short of \
                 resources: too many open files."
            ),
            "{text}"
        );
    }

    #[test]
    fn unwanted_tunnel_says_why_and_how_to_start_it() {
        let (by_hand, off) = (of(4), of(5));
        assert!(by_hand.contains("is stopped since 2026-01-01T00:00:00Z (1h), as an operator stopped it"), "{by_hand}");
        assert!(by_hand.ends_with("What would help: `tunneld start by-hand`."), "{by_hand}");
        assert!(off.contains("as the config does not enable it") && off.contains("`enabled = true`"), "{off}");
    }

    #[test]
    fn failed_attempts_in_a_row_are_counted() {
        assert!(of(1).contains("after 3 starts and 2 failures in a row."), "{}", of(1));
        assert!(of(2).contains("after 3 starts and 1 failure."), "{}", of(2));
    }

    #[test]
    fn it_is_one_line() {
        for index in 0..6 {
            assert!(!of(index).contains('\n'));
        }
    }
}
