//! `tunneld import`: what somebody has now, as the TOML that does the same, with a comment for each thing that changed or
//! has no equivalent.
//!
//! ```text
//! a command line ─► words (assignments, program, arguments) ─┐
//! a unit file ────► unit (ExecStart, Environment, User) ─────┴─► autossh: argv, settings ─► render ─► TOML
//! ```

mod line;
mod render;
#[cfg(test)]
mod tests;
mod unit;
mod words;

pub use line::{import as line, of};
pub use render::{Rendered, render};
pub use unit::{import as unit, invocations as invocations_of_unit};
pub use words::Invocation;

/// Why there is nothing to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ImportError(pub Vec<String>);

impl ImportError {
    fn one(text: impl Into<String>) -> Self {
        Self(vec![text.into()])
    }
}
