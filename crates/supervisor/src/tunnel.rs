//! One tunnel: a task that drives one [`crate::lifecycle::Machine`] with the engine. The machine says when; this says
//! how, and reports back.
//!
//! ```text
//! orders ──┐                       ┌─► Open:  permit from the governor ─► Session::open
//! jobs ────┤                       │
//! loss ────┼─► Actor ─► Machine ───┤
//! time ────┘     │                 └─► Close: cancel remote forwards, drain, disconnect
//!                ├─► watch<Option<Pool>> ─► the local listeners, which outlive sessions
//!                └─► watch<View> ─► supervise
//! ```
//! Everything that takes time is a job of the actor's own set, and comes back as an event with the number of the
//! session it is about: the loop never waits for anything but events, so it always answers.

mod actor;
mod devices;
mod drain;
mod failure_counts;
#[cfg(test)]
mod fault_soak;
mod file_stamps;
mod forward_names;
mod handle;
mod jobs;
mod locals;
mod observer;
mod on_change;
mod orders;
mod outage;
mod pending;
#[cfg(test)]
mod probe_tests;
mod probes;
mod probing;
mod reachability;
mod recording;
mod refusal;
#[cfg(test)]
mod refused_tests;
mod reload;
mod remotes;
mod report;
mod sessions;
mod stamp_batch;
mod start;
mod state;
mod takeover;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
mod view;
#[cfg(test)]
mod weekend_tests;

pub use handle::{Context, Handle, TunnelUnresponsive, spawn};
pub(crate) use locals::bind_options;
pub use observer::{Observer, Occurrence};
pub use on_change::CommandSlots;
pub use orders::Order;
pub(crate) use refusal::{shown, with_port};
pub(crate) use start::OpenedLink;
pub use state::ForwardState;
pub(crate) use takeover::{PortHolder, inspect, remove_socket_file};
pub use view::{FailureView, ForwardView, SessionView, TunnelView, rfc3339};
