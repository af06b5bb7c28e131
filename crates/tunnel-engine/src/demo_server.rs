//! An SSH server of our own, on loopback or in memory, with faults to order: what `tunneld demo` tunnels through,
//! and what the tests break.
//!
//! ```text
//! client ─► TCP on loopback, or memory ─► link (delay, stop, discard, cut) ─► russh's server ─► targets, listeners
//! ```
//! Everything is bounded, listens on loopback only, and ends with its [`Server`]. In memory nothing touches the
//! kernel, so that a paused tokio clock works: targets and listeners are then in memory too.
//!
//! One limit: a target that does not read stops its whole session once [`MAX_UNREAD_MESSAGES`] pieces wait for it,
//! as russh's server refills a channel's window when bytes arrive, not when they are used.

mod builder;
mod connection;
mod counts;
mod faults;
mod handler;
mod keys;
mod link;
mod listeners;
mod memory;
mod memory_io;
mod relay;
mod server;
mod targets;
#[cfg(test)]
mod tests;

pub use builder::{Builder, MAX_UNREAD_MESSAGES};
pub use counts::Counts;
pub use faults::{AuthFault, ConnectFault, Faults, Flow, LinkFaults};
pub use keys::{DemoKey, KeyError};
pub use listeners::HeldPort;
pub use memory::{MemoryDialer, MemoryNet};
pub use server::Server;
pub use targets::Target;
