//! The control socket: how `tunneld` verbs talk to the running daemon. One connection, one request, one answer.

pub mod client;
mod events;
pub mod protocol;
mod server;
mod socket;

use tokio::sync::oneshot;

pub use client::{ClientError, EventLines, ask, events};
pub use server::ControlServer;
pub use socket::{BindError, ControlSocket};

pub use protocol::{ErrorCode, LogLine, PlanAction, PlanReport, PlanStep, Request, Response};

/// Requests that wait for the supervisor at once. More make the asking connections wait, which is bounded as well.
pub const COMMAND_QUEUE: usize = 32;

/// A request on its way to the supervisor. A dropped `reply` is told to the client as `stopping`.
#[derive(Debug)]
pub struct Command {
    /// The request, parsed.
    pub request: Request,
    /// Where the answer goes. `reply.is_closed()` once the client has gone.
    pub reply: oneshot::Sender<Response>,
}
