//! tunneld: policy and people. Reads the config, keeps one task a tunnel, judges every end of a session in one pure
//! state machine, reloads by a pure diff, and tells systemd, scripts and people the truth.
//!
//! ```text
//! cli ─► control::client ~~socket~~► control::server
//!                                        │ protocol
//! os::signals ─────────► supervise ◄─────┘      supervise: one task; plan(actual, desired) is pure
//!                           │
//!                        tunnel (one task each) ── drives ─► lifecycle (pure; now and seed are arguments)
//!                           │    └─► servers: pacing and reachability, shared by all tunnels
//!                     tunnel-engine
//! ```
//!
//! It never names russh.

pub mod autossh;
pub mod build_info;
pub mod cli;
pub mod config;
pub(crate) mod container;
pub mod control;
pub mod doctor;
pub mod exit;
pub mod history;
pub mod http;
pub mod import;
pub mod lifecycle;
#[cfg(test)]
mod manual;
pub mod os;
pub mod plan;
pub mod protocol;
pub mod servers;
pub mod spec;
pub mod sshconfig;
pub mod supervise;
pub mod troubleshooting;
pub mod tunnel;
pub mod word;
