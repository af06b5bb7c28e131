//! The supervisor at work for the one tunnel of an autossh line, and beside it the tests of the monitor.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tunnel_engine::{clock, task};

use super::log::Log;
use super::log::phase_log::PhaseLog;
use super::monitor::Monitor;
use super::settings::NAME;
use crate::config::{Confine, Desired, Global, LogFormat, LogSpec, ReadOptions, TunnelSpec};
use crate::lifecycle::Phase;
use crate::os::{Notify, Signal, network};
use crate::supervise::{ProcessRole, Setup, Supervisor};
use crate::tunnel::TunnelView;

/// autossh's exit statuses: there are no others.
pub(super) const DONE: u8 = 0;
/// Everything else.
pub(super) const FAILED: u8 = 1;

pub(super) struct RunSetup {
    pub(super) spec: TunnelSpec,
    pub(super) monitor: Option<Monitor>,
    /// A changed network ends every wait; autossh sleeps on.
    pub(super) watch_network: bool,
    pub(super) log: Arc<Log>,
    pub(super) notify: Notify,
    pub(super) signals: mpsc::Receiver<Signal>,
}

/// Until a signal, or one of autossh's rules, ends it. Gives the exit status.
pub(super) async fn run(setup: RunSetup) -> u8 {
    let RunSetup { spec, monitor, watch_network, log, notify, signals } = setup;
    let phases = Arc::new(PhaseLog::new(log, spec.policy.max_start));
    let (observed, signalled) = (phases.clone(), phases.clone());
    let (watcher, network) = watch_network.then(network::watch).unzip();
    let supervisor = Supervisor::new(Setup {
        role: ProcessRole::Command,
        signals,
        on_signal: Box::new(move |signal| signalled.on_signal(signal)),
        network: network.unwrap_or_else(|| mpsc::channel(1).1),
        notify,
        observer: Some(Arc::new(move |occurrence| observed.on_occurrence(occurrence))),
        ..Setup::fixed(desired(spec))
    });
    let Some((view, orders)) = supervisor.tunnel(NAME) else { return FAILED };
    // The watcher of the network notices pauses, too.
    let _pauses = watcher.is_none().then(|| task::owned(notice_pauses(view.clone())));
    let _tests = monitor.map(|monitor| task::owned(monitor.run(view, orders)));
    match supervisor.run().await {
        Ok(()) if phases.limit_reached() => DONE,
        Ok(()) | Err(_) => FAILED,
    }
}

/// A config of this tunnel alone. ssh's connections end with it.
fn desired(spec: TunnelSpec) -> Desired {
    let global = Global {
        config: PathBuf::new(),
        pid_file: None,
        control_socket: PathBuf::new(),
        state_directory: None,
        stop_timeout: Duration::ZERO,
        user: None,
        no_new_privileges: false,
        confine: Confine::Off,
        reading: ReadOptions::default(),
        log: LogSpec { level: "off".into(), format: LogFormat::Text },
        metrics: None,
    };
    Desired { global, tunnels: vec![spec] }
}

/// A pause of this process counts in what has a limit of time: logins, proofs, goodbyes. A tunnel at rest, of which
/// people have hundreds, each a process, does not wake up for that.
async fn notice_pauses(mut view: watch::Receiver<TunnelView>) {
    while view.wait_for(|view| !rests(view)).await.is_ok() {
        tokio::select! {
            _ = view.wait_for(rests) => {}
            () = clock::beats() => {}
        }
    }
}

fn rests(view: &TunnelView) -> bool {
    match view.phase {
        Phase::Connecting | Phase::Stopping => false,
        Phase::Up => view.ready,
        Phase::Stopped | Phase::Backoff | Phase::Blocked | Phase::Failed => true,
    }
}
