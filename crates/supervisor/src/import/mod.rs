//! `tunneld import`: what somebody has today, as the TOML that means the same. Pure: readers give a [`Resolved`],
//! this writes it down.
//!
//! [`Resolved`]: crate::sshconfig::Resolved

mod keys;
mod table;
#[cfg(test)]
mod tests;

pub use table::{Defaults, tunnel};
