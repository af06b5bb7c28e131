//! The control socket: how `tunneld` verbs talk to the running daemon. One connection, one request, one answer.

mod binding;
pub mod client;
mod events;
mod server;
mod socket;

pub use client::{ClientError, EventLines, ask, events};
pub use server::ControlServer;
pub use socket::{BindError, ControlSocket};
