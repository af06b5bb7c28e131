//! In one word how a tunnel is, and how soon a reader should hear of it.

use super::style::Tone;
use crate::lifecycle::{Phase, Want};
use crate::protocol::status::TunnelStatus;

/// What a person should look at first comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Urgency {
    /// Waits for a person.
    Blocked,
    /// Not ready, and goes on trying.
    NotReady,
    /// A start is under way.
    Connecting,
    /// An operator stopped what the config wants up.
    Stopped,
    /// Ready, with something to know.
    Remark,
    /// Every required forward is up.
    Ready,
    /// Not wanted by the config either.
    Disabled,
}

/// The word of the table: the phase, except that `up` says whether it is ready, and `stopped` whether it is so by
/// config.
pub(in crate::cli) fn word(tunnel: &TunnelStatus) -> &str {
    match (tunnel.want.known(), tunnel.phase.known()) {
        (Some(Want::Up), Some(Phase::Up)) if tunnel.ready => "ready",
        (Some(Want::Up), Some(Phase::Up)) => "not ready",
        (_, Some(Phase::Stopped)) if !tunnel.enabled => "disabled",
        _ => tunnel.phase.as_str(),
    }
}

pub(in crate::cli) fn urgency(tunnel: &TunnelStatus) -> Urgency {
    let remark = tunnel.forwards.iter().any(|forward| forward.message.is_some());
    match (tunnel.want.known(), tunnel.phase.known()) {
        (Some(Want::Up), _) if tunnel.ready => {
            if remark {
                Urgency::Remark
            } else {
                Urgency::Ready
            }
        }
        (Some(Want::Up), Some(Phase::Blocked | Phase::Failed)) => Urgency::Blocked,
        (Some(Want::Up), Some(Phase::Connecting | Phase::Stopped)) => Urgency::Connecting,
        (Some(Want::Up), _) => Urgency::NotReady,
        _ if tunnel.enabled => Urgency::Stopped,
        _ => Urgency::Disabled,
    }
}

pub(in crate::cli) fn tone(tunnel: &TunnelStatus) -> Tone {
    match urgency(tunnel) {
        Urgency::Blocked => Tone::Bad,
        Urgency::NotReady | Urgency::Connecting => Tone::Warning,
        Urgency::Remark | Urgency::Ready => Tone::Good,
        Urgency::Stopped | Urgency::Disabled => Tone::Neutral,
    }
}

/// The tunnels, the most urgent first; the config's order decides among equals.
pub(in crate::cli) fn by_urgency(tunnels: &[TunnelStatus]) -> Vec<&TunnelStatus> {
    let mut sorted: Vec<&TunnelStatus> = tunnels.iter().collect();
    sorted.sort_by_key(|tunnel| urgency(tunnel));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::example;

    #[test]
    fn one_word_tells_ready_stopped_and_disabled_apart() {
        let of = |phase: &str, ready, want: Want, enabled| {
            let tunnel = TunnelStatus { want: want.into(), enabled, ..example::tunnel("t", phase, ready) };
            word(&tunnel).to_owned()
        };
        assert_eq!(of("up", true, Want::Up, true), "ready");
        assert_eq!(of("up", false, Want::Up, true), "not ready");
        assert_eq!(of("backoff", false, Want::Up, true), "backoff");
        assert_eq!(of("stopped", false, Want::Down, true), "stopped");
        assert_eq!(of("stopped", false, Want::Down, false), "disabled");
        assert_eq!(of("up", true, Want::Up, false), "ready", "started by hand");
    }
}
