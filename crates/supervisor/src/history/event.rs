//! What happened, one thing at a time: as it is kept, and as `tunneld events --json` prints it. Absent things are null.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::cause::{Cause, CauseKind, bounded};
use crate::lifecycle::Phase;
use crate::word::{WireWord, Word};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// RFC 3339, with milliseconds.
    #[serde(with = "rfc3339_millis")]
    pub at: SystemTime,
    /// Which tunnel; null: tunneld as a whole.
    pub tunnel: Option<String>,
    pub event: Word<EventName>,
    /// Of a tunnel: the phase from then on.
    pub phase: Option<Word<Phase>>,
    /// The kind of the failure that is the cause, where one is.
    pub kind: Option<Word<CauseKind>>,
    /// Which side did what, for a user.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventName {
    Started,
    Stopping,
    /// An operator ordered something of a tunnel, or of all.
    Order,
    Reloaded,
    /// Another config was refused; nothing changed.
    ReloadRefused,
    /// A link, an address or a route of this machine changed, or it woke up.
    Network,
    Phase,
    Ready,
    /// A tunnel that was ready is not.
    NotReady,
    /// Something failed that changed neither the phase nor the readiness.
    Failure,
    /// A reader was too slow: so many events before this one are missing.
    Dropped,
}

impl WireWord for EventName {
    fn all() -> impl Iterator<Item = Self> {
        [
            Self::Started,
            Self::Stopping,
            Self::Order,
            Self::Reloaded,
            Self::ReloadRefused,
            Self::Network,
            Self::Phase,
            Self::Ready,
            Self::NotReady,
            Self::Failure,
            Self::Dropped,
        ]
        .into_iter()
    }

    fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Order => "order",
            Self::Reloaded => "reloaded",
            Self::ReloadRefused => "reload_refused",
            Self::Network => "network",
            Self::Phase => "phase",
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::Failure => "failure",
            Self::Dropped => "dropped",
        }
    }
}

impl Event {
    /// Of tunneld as a whole.
    pub fn of_daemon(event: EventName, message: &str, at: SystemTime) -> Self {
        Self { at, tunnel: None, event: event.into(), phase: None, kind: None, message: bounded(message) }
    }

    pub fn of_tunnel(tunnel: &str, event: EventName, phase: Option<Phase>, cause: Cause, at: SystemTime) -> Self {
        let (tunnel, phase) = (Some(tunnel.to_owned()), phase.map(Word::from));
        Self { at, tunnel, event: event.into(), phase, kind: cause.kind, message: cause.message }
    }

    /// In place of events that a reader was too slow for.
    pub fn dropped(events: u64, at: SystemTime) -> Self {
        let message = format!("{events} events were dropped: this reader is too slow");
        Self::of_daemon(EventName::Dropped, &message, at)
    }

    /// Whether a reader who asks about these tunnels wants it: what concerns all tunnels concerns them. No names: all.
    pub fn concerns(&self, names: &[String]) -> bool {
        match &self.tunnel {
            Some(tunnel) => names.is_empty() || names.contains(tunnel),
            None => true,
        }
    }
}

mod rfc3339_millis {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_millis(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn event_is_one_object_in_which_absent_things_are_null() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_268_800_120);
        let event = Event::of_daemon(EventName::Network, "a link is up", at);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            "{\"at\":\"2026-01-01T12:00:00.120Z\",\"tunnel\":null,\"event\":\"network\",\"phase\":null,\"kind\":null,\
             \"message\":\"a link is up\"}"
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn events_of_the_daemon_concern_every_tunnel() {
        let at = SystemTime::UNIX_EPOCH;
        let names = ["a".to_owned()];
        let of = |tunnel| Event::of_tunnel(tunnel, EventName::Ready, Some(Phase::Up), Cause::without_kind("ready"), at);
        assert!(of("a").concerns(&names) && !of("b").concerns(&names) && of("b").concerns(&[]));
        assert!(Event::of_daemon(EventName::Reloaded, "", at).concerns(&names));
    }
}
