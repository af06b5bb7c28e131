//! The transport half of tunneld: opens one SSH session for a checked [`spec::SessionSpec`], carries its forwards,
//! and says with one [`failure::Failure`] why it ended. It knows nothing of policy: when to try again, and whether,
//! is the supervisor's business.
//!
//! ```text
//! session (russh) ─► dial, hostkey, auth
//! forward ─► listener (outlives sessions), relay, socks
//! spec, failure
//! ```
//!
//! russh is named only in `session`, `auth`, `hostkey` and `demo_server`.

#![warn(missing_docs)]

pub mod alarm;
pub mod auth;
pub mod backoff;
pub mod child;
pub mod clock;
pub mod demo_server;
pub mod dial;
pub mod examine;
pub mod failure;
pub mod file;
pub mod forward;
#[doc(hidden)]
pub mod fuzzing;
pub mod hostkey;
pub mod log_limit;
mod services;
pub mod session;
pub mod spec;
pub mod task;
mod transport;
