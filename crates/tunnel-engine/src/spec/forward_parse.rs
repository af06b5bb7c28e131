//! The text forms of a forward (being written).

/// Why a forward could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardParseError {}
