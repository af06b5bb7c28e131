//! A word on the wire that stands for a value of a type. A daemon of another version may send a word that this version
//! does not have: it is kept as it came, so that an older client still shows the status of a newer daemon.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing::Level;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::ForwardKind;

use crate::lifecycle::{ForwardPhase, Phase, Want};

/// A type whose values are words on the wire.
pub trait WireWord: Copy + 'static {
    /// Every value.
    fn all() -> impl Iterator<Item = Self>;

    fn word(self) -> &'static str;
}

impl WireWord for Want {
    fn all() -> impl Iterator<Item = Self> {
        [Self::Up, Self::Down].into_iter()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl WireWord for Phase {
    fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl WireWord for ForwardPhase {
    fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl WireWord for ForwardKind {
    fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl WireWord for FailureKind {
    fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// Of a line of the log.
impl WireWord for Level {
    fn all() -> impl Iterator<Item = Self> {
        [Self::ERROR, Self::WARN, Self::INFO, Self::DEBUG, Self::TRACE].into_iter()
    }

    fn word(self) -> &'static str {
        match self {
            Self::ERROR => "error",
            Self::WARN => "warn",
            Self::INFO => "info",
            Self::DEBUG => "debug",
            Self::TRACE => "trace",
        }
    }
}

/// A value as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<T> {
    /// A value of this version.
    Known(T),
    /// A word of another version.
    Unknown(String),
}

impl<T: WireWord> Word<T> {
    /// The value of a word, or the word itself where this version has no such value.
    pub fn read(text: &str) -> Self {
        let known = T::all().find(|value| value.word() == text);
        known.map_or_else(|| Self::Unknown(text.to_owned()), Self::Known)
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => value.word(),
            Self::Unknown(text) => text,
        }
    }

    /// The value; `None` for a word of another version.
    pub const fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Unknown(_) => None,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: WireWord + PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        self.known().is_some_and(|value| value == *other)
    }
}

/// By the letters, as the keys of a JSON object are written.
impl<T: WireWord + Eq> Ord for Word<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<T: WireWord + Eq> PartialOrd for Word<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: WireWord> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T: WireWord> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: WireWord> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::read(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{CauseKind, EventName};
    use crate::protocol::status::{ForwardStatus, TunnelStatus, example};

    fn survives<T: WireWord + PartialEq + fmt::Debug>() {
        for value in T::all() {
            let text = serde_json::to_string(&Word::Known(value)).unwrap();
            assert_eq!(text, format!("\"{}\"", value.word()));
            assert_eq!(serde_json::from_str::<Word<T>>(&text).unwrap(), Word::Known(value));
        }
    }

    #[test]
    fn every_value_is_its_word_on_the_wire() {
        survives::<Want>();
        survives::<Phase>();
        survives::<ForwardPhase>();
        survives::<ForwardKind>();
        survives::<FailureKind>();
        survives::<CauseKind>();
        survives::<EventName>();
        survives::<Level>();
    }

    #[test]
    fn unknown_words_of_a_newer_daemon_are_kept() {
        let mut sent = serde_json::to_value(example::forward("-L 3307", "up")).unwrap();
        sent["state"] = "resting".into();
        sent["kind"] = "multicast".into();
        let read: ForwardStatus = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!((read.state.known(), read.kind.known(), read.is_in_place()), (None, None, false));
        assert_eq!(read.what(), "multicast forward 127.0.0.1:3307");
        assert_eq!(serde_json::to_value(read).unwrap(), sent);
        let mut sent = serde_json::to_value(example::tunnel("t", "up", true)).unwrap();
        sent["phase"] = "hibernating".into();
        let read: TunnelStatus = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!((read.phase.known(), read.phase.as_str()), (None, "hibernating"));
        assert_eq!(serde_json::to_value(read).unwrap(), sent);
    }
}
