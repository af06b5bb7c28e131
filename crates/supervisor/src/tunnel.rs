//! One tunnel: a task that drives one `core::Core` with the engine. The core decides, as plain values; the driver does
//! it, and reports back.
//!
//! ```text
//! orders ───┐          events                     effects           ┌─► sessions, logins, retired sessions
//! jobs ─────┤        and the time                                   ├─► listeners, devices, requests, probes
//! sessions ─┼─► driver ───────────► core ───────────► driver ───────┼─► history, on_change, the log of autossh
//! time ─────┘                        │                              └─► watch<Option<Pool>> ─► local listeners
//!                                    ├─ the machine: when
//!                                    ├─ sessions, remotes, locals, devices, probes, takeover, reachability, files
//!                                    └─ a snapshot ─► watch<View> ─► supervise
//! ```

mod core;
mod devices;
mod driver;
mod file_stamps;
mod forward_names;
mod forwards;
mod handle;
mod jobs;
mod locals;
mod observer;
mod on_change;
mod outage;
mod probes;
mod probing;
mod reachability;
mod refusal;
mod remotes;
mod report;
mod sessions;
mod stamp_batch;
mod start;
mod state;
mod takeover;
#[cfg(test)]
mod tests;
mod view;

pub use core::Order;
pub(crate) use forward_names::names_in_config;
pub use handle::{Context, Handle, OrderSender, TunnelUnresponsive, spawn};
pub use observer::{Observer, Occurrence};
pub use on_change::CommandSlots;
pub(crate) use refusal::{is_policy, is_unlisted, shown, with_port};
pub(crate) use start::OpenedLink;
pub use state::ForwardState;
pub(crate) use takeover::{PortHolder, inspect, remove_socket_file};
#[cfg(test)]
pub(crate) use tests::support as test_support;
pub use view::{FailureView, ForwardView, SessionView, Snapshot, TunnelView};
