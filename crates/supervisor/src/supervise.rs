//! The one task that owns the tunnels: signals, requests, reloads, time, and what the service manager hears.
//!
//! ```text
//! signals ───┐
//! network ───┤
//! requests ──┤                      ┌─► orders ─► tunnels (one task each)
//! views ─────┼─► Supervisor ────────┼─► answers ─► control clients
//! loads ─────┤   one event at a time└─► READY, STATUS, RELOADING, STOPPING, WATCHDOG
//! time ──────┘
//! ```

mod announce;
mod answers;
mod liveness;
mod names;
mod notes;
mod reloads;
mod status_line;
mod supervisor;
#[cfg(test)]
mod tests;
mod tunnels;
mod waits;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tunnel_engine::dial::Dialer;

pub use names::named;

use crate::config::Desired;
use crate::history::Recorder;
use crate::os::{KeptListeners, NetworkChange, Notify, PidfileError, RecentLines, Signal};
use crate::protocol::Command;

/// What the daemon's task is given.
pub struct Setup {
    /// The config to begin with.
    pub desired: Desired,
    /// Reads the config again. Called off the loop: it may block.
    pub load: Loader,
    /// From the control socket, which already listens.
    pub commands: mpsc::Receiver<Command>,
    /// From the kernel.
    pub signals: mpsc::Receiver<Signal>,
    /// From the kernel, too: the way to servers may be another one.
    pub network: mpsc::Receiver<NetworkChange>,
    /// To the service manager.
    pub notify: Notify,
    /// Listeners of an earlier process, and where ours outlive this one.
    pub listeners: Arc<KeptListeners>,
    /// The way to servers.
    pub dialer: Arc<dyn Dialer>,
    /// Records events and samples.
    pub history: Recorder,
    /// Decides the jitter.
    pub seed: u64,
    /// What was logged of each tunnel lately.
    pub recent: RecentLines,
    /// Told each config that was applied, the first one too, as soon as its listeners are bound and before READY=1:
    /// the pidfile is written then, and the log level set. Quick. An error ends the daemon.
    pub applied: Applied,
}

/// Reads a config: the daemon's own, or another file for a plan.
pub type Loader = Arc<dyn Fn(Option<PathBuf>) -> Result<Desired, ConfigRefusal> + Send + Sync>;

/// A config that was refused, as people and programs read it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigRefusal {
    /// For a terminal.
    pub text: String,
    /// For programs.
    pub errors: serde_json::Value,
}

/// Hears of a config that was applied.
pub type Applied = Box<dyn FnMut(&Desired) -> Result<(), PidfileError> + Send>;

/// Keeps the tunnels until a signal says stop; then ends them in good order and returns.
///
/// # Errors
/// The pidfile cannot be written: the tunnels were ended for that.
pub async fn run(setup: Setup) -> Result<(), PidfileError> {
    supervisor::Supervisor::new(setup).run().await
}
