//! The one task that owns the tunnels: signals, requests, reloads, time, and what the service manager hears. The daemon
//! and the autossh command both run it; where they differ, [`Setup`] says how.
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
use tunnel_engine::dial::{Dialer, NetDialer};

pub use names::named;
pub use supervisor::Supervisor;

use crate::config::{ConfigErrors, Desired};
use crate::history::Recorder;
use crate::os::{KeptListeners, NetworkChange, Notify, PidfileError, RecentLines, Signal};
use crate::protocol::Command;
use crate::tunnel::Observer;

/// What the task is given.
pub struct Setup {
    /// What the process is to the user who started it, and to the service manager.
    pub role: ProcessRole,
    /// The config to begin with.
    pub desired: Desired,
    /// Reads the config again. Called off the loop: it may block.
    pub load: Loader,
    /// From the control socket, which already listens. Without its sender there are none.
    pub commands: mpsc::Receiver<Command>,
    /// From the kernel.
    pub signals: mpsc::Receiver<Signal>,
    /// What each of them asks for.
    pub on_signal: OnSignal,
    /// From the kernel, too: the way to servers may be another one. Without its sender there are none.
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
    /// Called with all that happens to a tunnel.
    pub observer: Option<Observer>,
}

impl Setup {
    /// A daemon with a config that stays as it is: without signals, clients, service manager or changes of the network.
    pub fn fixed(desired: Desired) -> Self {
        let again = desired.clone();
        Self {
            role: ProcessRole::Daemon,
            desired,
            load: Arc::new(move |_| Ok(again.clone())),
            commands: mpsc::channel(1).1,
            signals: mpsc::channel(1).1,
            on_signal: Box::new(SignalAction::of_daemon),
            network: mpsc::channel(1).1,
            notify: Notify::disabled(),
            listeners: Arc::new(KeptListeners::none()),
            dialer: Arc::new(NetDialer::new()),
            history: Recorder::default(),
            seed: fastrand::u64(..),
            recent: RecentLines::default(),
            applied: Box::new(|_| Ok(())),
            observer: None,
        }
    }
}

/// What the process is to the user who started it, and to the service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessRole {
    /// It runs until a signal stops it, whatever its tunnels do. READY=1 means that the listeners are bound; STATUS=
    /// counts the tunnels that are ready. Its counters are read every ten seconds, for the clients that ask.
    Daemon,
    /// It runs for its tunnels, and ends when all of them have failed for good. READY=1 means that they are ready;
    /// STATUS= is the state of the first. It has no clients.
    Command,
}

/// Says what a signal asks for. Called with each, in order.
pub type OnSignal = Box<dyn FnMut(Signal) -> SignalAction + Send>;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalAction {
    /// The end, in good order; a second one does not wait.
    Stop,
    /// The config is read again.
    Reload,
    /// Every wait ends, and every session proves itself.
    RetryNow,
    /// Every tunnel gets a new session.
    Restart,
    /// The state of every tunnel goes to the log.
    LogStatus,
    Nothing,
}

impl SignalAction {
    /// What the daemon does, as the manual has it.
    pub fn of_daemon(signal: Signal) -> Self {
        let (action, meaning) = match signal {
            Signal::Term | Signal::Int => (Self::Stop, "every tunnel is ended"),
            Signal::Hup => (Self::Reload, "the config is read again"),
            Signal::Usr1 => (Self::RetryNow, "every tunnel that waits tries now"),
            Signal::Usr2 => (Self::LogStatus, "the state of every tunnel follows"),
        };
        tracing::info!("{}: {meaning}", signal.as_str());
        action
    }
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

impl From<ConfigErrors> for ConfigRefusal {
    fn from(errors: ConfigErrors) -> Self {
        Self { text: errors.to_string(), errors: errors.to_json() }
    }
}

/// Hears of a config that was applied.
pub type Applied = Box<dyn FnMut(&Desired) -> Result<(), PidfileError> + Send>;

/// Runs the daemon: keeps the tunnels until a signal says stop, then ends them in good order and returns.
///
/// # Errors
/// The pidfile cannot be written: the tunnels were ended for that.
pub async fn run(setup: Setup) -> Result<(), PidfileError> {
    notes::log_notes(None, &setup.desired);
    let stopped = Supervisor::new(setup).run().await;
    tracing::info!("tunneld has stopped");
    stopped
}
