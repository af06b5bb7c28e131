//! What the supervisor may ask of a tunnel.

use std::time::Duration;

use tokio::sync::oneshot;
use tunnel_engine::failure::Failure;

use crate::plan::Step;

/// An order. Each is done at once or begun at once; the view tells how it goes.
#[derive(Debug)]
pub enum Order {
    /// Be up.
    Start,
    /// Be down.
    Stop,
    /// End the session if there is one, and start at once.
    Restart,
    /// End every wait; see whether the living session still answers.
    RetryNow,
    /// End the waits that were for the network, and have the living session prove itself.
    NetworkChanged,
    /// Forget failures and counts.
    ResetFailed,
    /// End the living session for this reason, found out by one of its watchers, and let the machine judge what
    /// follows.
    GiveUp(Box<Failure>),
    /// Steps of a reload that are about this tunnel, in order.
    Apply(Vec<Step>),
    /// How long flowing connections may go on after a stop, from now on.
    StopTimeout(Duration),
    /// Be down, and end the task.
    End,
    /// Answer when this loop and the living session's own loop have turned. For the watchdog.
    Turn(oneshot::Sender<()>),
    /// Answer, to show that the loop turns and that all orders before this one have been taken.
    Answer(oneshot::Sender<()>),
}
