//! The transport half of tunneld: opens one SSH session for a checked [`spec::SessionSpec`], carries its forwards,
//! and says with one [`failure::Failure`] why it ended. It knows nothing of policy: when to try again, and whether,
//! is the supervisor's business.
//!
//! ```text
//! forward ─► listener (outlives sessions), relay, socks        examine: one login looked at
//! dial ─► TCP, jump host, proxy command
//! session (russh) ─► auth, hostkey, transport, link
//! spec, failure
//! ```
//! Each module uses only those below it; `tests/repo/layering.rs` has their order.
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
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hostkey;
mod link;
pub mod log_limit;
mod login_record;
mod lookup;
mod services;
pub mod session;
pub mod shortage;
pub mod spec;
pub mod task;
mod transport;
pub mod words;
