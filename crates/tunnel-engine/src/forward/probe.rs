//! Proof that a forward carries bytes, without a connection to the user's service.
//!
//! ```text
//!   -R   we ─ open 127.0.0.1:port ─► server's own listener ─ forwarded connection ─► we     came back: up
//!        └────────── nonce ────────────────► … ───────────────── nonce ───────────► ┘     did not: stale
//!   -L   we ─ open target ─► server ─ connect ─► target                                  accepted: up; closed at once
//! ```
//! While a nonce is on its way, a connection on that listener may be the probe or a user's: it is taken and its first
//! bytes are looked at before any target is connected (`remote/classify`). A nonce that another program gets to see is one
//! line of text.

mod banner;
mod expected;
mod local;
mod remote;
mod result;
mod socket_target;

pub use local::probe_local;
pub use remote::{probe_remote, probe_remote_at, probed_at};
pub use result::{ProbeFailure, ProbeFailureKind, ProbeResult};
pub use socket_target::probe_here;

pub(super) use expected::{Expectations, Expected, NonceMatch};
pub(super) use result::{disproof_here, plain, probe_failure};

use bytes::Bytes;

/// What a target must do for the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeCheck {
    /// Take the connection.
    Accepts,
    /// And say this first.
    Says(Bytes),
}
