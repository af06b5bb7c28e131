//! One line of the file.

use serde::{Deserialize, Serialize};

use super::super::cause::{Cause, CauseKind};
use super::super::record::Availability;
use crate::word::Word;

/// Of the file's form. A file of another one is moved aside.
pub(super) const VERSION: u32 = 1;

/// Longest line that is read: a bounded message, each of its characters escaped, and a name.
pub(super) const MAX_LINE: u64 = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(in crate::history) enum StoreLine {
    History {
        version: u32,
    },
    /// tunneld started. Times are milliseconds since 1970.
    Started {
        at: u64,
    },
    /// It still runs.
    Alive {
        at: u64,
    },
    /// It was stopped.
    Stopped {
        at: u64,
    },
    /// A tunnel changed.
    State(StateLine),
    /// Five minutes of a tunnel. A later line about the same replaces it.
    Sample(SampleLine),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::history) struct StateLine {
    pub(in crate::history) tunnel: String,
    pub(in crate::history) at: u64,
    pub(in crate::history) state: Availability,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::history) kind: Option<Word<CauseKind>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::history) message: Option<String>,
    /// Of the outage that ended: its measured length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::history) length: Option<u64>,
}

impl StateLine {
    pub(in crate::history) fn new(tunnel: &str, at: u64, state: Availability, cause: Option<&Cause>) -> Self {
        let kind = cause.and_then(|cause| cause.kind.clone());
        let message = cause.map(|cause| cause.message.clone());
        Self { tunnel: tunnel.to_owned(), at, state, kind, message, length: None }
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        let message = self.message.clone()?;
        Some(Cause { kind: self.kind.clone(), message })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::history) struct SampleLine {
    pub(in crate::history) tunnel: String,
    pub(in crate::history) at: u64,
    #[serde(flatten)]
    pub(in crate::history) sample: super::super::samples::Sample,
}

impl StoreLine {
    /// With its end. Nothing, where it cannot be written as JSON, which no line is.
    pub(in crate::history) fn encoded(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    pub(super) fn decoded(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    pub(super) const fn at(&self) -> Option<u64> {
        match self {
            Self::History { .. } | Self::Sample(_) => None,
            Self::Started { at } | Self::Alive { at } | Self::Stopped { at } => Some(*at),
            Self::State(StateLine { at, .. }) => Some(*at),
        }
    }
}
