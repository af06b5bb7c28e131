//! autossh: its command line and its environment become a config of one tunnel, which the supervisor runs, with autossh's
//! log, signals and exit statuses. The reference is autossh 1.4g; its defects are not kept (docs/autossh.md).
//!
//! ```text
//! argv, AUTOSSH_* (pure) ─► settings ─► TunnelSpec ─► run ─► supervise ─► exit status
//!       ssh_config ────────────┘                       ├─ log: autossh's phrases, to syslog, a file or the terminal
//!                                                      ├─ ssh_log: ssh's messages, to standard error or -E's file
//!                                                      └─ monitor: -M's tests of the data path
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
    mod options;
    mod recipes;
}
mod usage;

pub use frontend::main;
#[doc(hidden)]
pub use monitor::fuzzing::{MonitorTranscript, monitor_talk};
