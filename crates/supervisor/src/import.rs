//! `tunneld import`: an existing setup, as the TOML that means the same, with a comment for each thing that
//! changed or has no equivalent.
//!
//! ```text
//! a Host alias ────► table ────────────────────────────────────────┐
//! a unit file ─────► unit (commands, environment, account) ─┐      ├─► sshconfig: Resolved ─► table, keys ─► TOML
//! a command line ──► words (assignments, program) ──────────┴► line┘
//! ```

mod account;
mod command_line;
mod keys;
mod line;
mod table;
#[cfg(test)]
mod tests;
mod unit;
mod wrappers;

pub(crate) use command_line::Invocation;
pub(crate) use keys::{KeyLines, UniqueNames, comment};
pub use line::line;
pub(crate) use line::of;
pub use table::hosts;
#[cfg(test)]
pub(crate) use unit::tests::invocations as invocations_of_unit;
pub use unit::{UnitFile, read_part, unit};

/// Why there is nothing to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ImportError(pub Vec<String>);

impl ImportError {
    fn one(text: impl Into<String>) -> Self {
        Self(vec![text.into()])
    }
}
