//! The autossh face: an autossh command line and its environment become the same desired state as a config file's, and
//! one tunnel runs by them, with autossh's log, signals and exit codes. What autossh 1.4g does is the reference; its
//! defects are not kept (docs/autossh.md).
//!
//! ```text
//! argv, AUTOSSH_* (pure) ─► settings ─► TunnelSpec ─► run (one tunnel, lifecycle's machine) ─► exit code
//!       ssh_config ────────────┘                       ├─ log: autossh's words, to syslog, a file or the terminal
//!                                                      ├─ ssh_log: what ssh would say, on standard error or in -E's file
//!                                                      └─ monitor: -M's loop over the wire
//! ```

pub mod argv;
pub mod environment;
mod frontend;
pub mod log;
mod monitor;
pub mod monitor_port;
mod number;
mod run;
pub(crate) mod settings;
mod ssh_log;
#[cfg(test)]
mod tests {
    mod recipes;
}
mod usage;

pub use frontend::main;
#[doc(hidden)]
pub use monitor::fuzzing::{MonitorTranscript, monitor_talk};
