//! What happened: events, and those who follow them; how long each tunnel was ready in the last 24 hours, its outages,
//! samples for charts, and the present rates.
//!
//! ```text
//! tunnels (each change of phase or readiness) ──► Recorder ──► Record: one a tunnel, arithmetic without a clock
//! supervisor (counters, each 10 s) ────────────►     └───────► answers: `Request::History`, rates of a status
//! ```
//! A tunnel calls the recorder on its own loop, so that no change is lost as it may be between two views. The lock
//! inside is held for a few instructions, by loops of tunnels and by readers; no forwarded byte waits for it.

mod cause;
mod event;
mod events;
mod moment;
mod outages;
mod rates;
mod record;
mod recorder;
mod report;
mod samples;
mod store;
#[cfg(test)]
mod tests;

pub use cause::{Cause, CauseKind};
pub use event::{Event, EventName};
pub(crate) use moment::{Moment, rfc3339};
pub use rates::{Rates, Traffic};
pub(crate) use record::KEPT;
pub use recorder::{Recorder, SAMPLE_EVERY};
pub use report::{OutageReport, SampleReport, TunnelHistory};
