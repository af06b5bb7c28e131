//! `run`: the daemon. Everything that can refuse a start does so before anything is started.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tunnel_engine::dial::NetDialer;
use tunnel_engine::spec::Listen;

use super::args::Global;
use super::problem::Problem;
use crate::config::{self, Overrides};
use crate::control::{COMMAND_QUEUE, ControlSocket, Server};
use crate::exit;
use crate::history::Recorder;
use crate::http;
use crate::os::limits::OpenFiles;
use crate::os::{
    KeptListeners, LogControl, Notify, Pidfile, inherited, limits, logging, memory, network, orphans, signals,
};
use crate::supervise::{self, Applied, Loader, Refusal, Setup};

pub(super) fn run(global: &Global) -> Result<u8, Problem> {
    let small_pages = memory::without_huge_pages();
    let inherited = inherited::take();
    let overrides = overrides(global);
    let file = std::path::absolute(global.existing_config()?).map_err(Problem::Start)?;
    let desired = config::load(&file, &overrides).map_err(Problem::Config)?;
    let log = logging::init(&desired.global.log)?;
    let _written_out = log.flush;
    // Before the pidfile says whom to signal.
    let (_heard, signals) = signals::listen().map_err(Problem::Start)?;
    let pidfile = desired.global.pid_file.as_deref().map(Pidfile::lock).transpose()?;
    let socket = ControlSocket::bind(&desired.global.control_socket)?;
    match limits::raise_open_files() {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
    if let Err(error) = small_pages {
        tracing::debug!(%error, "the kernel may hand out huge pages");
    }
    let notify = Notify::from_env().map_err(Problem::Start)?;
    let listeners = Arc::new(KeptListeners::new(inherited, notify.fd_store()));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %file.display(),
        control_socket = %desired.global.control_socket.display(),
        tunnels = desired.tunnels.len(),
        "tunneld starts"
    );
    let history = Recorder::open(desired.global.state_directory.as_deref());
    let ended = history.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Problem::Start)?;
    let stopped = runtime.block_on(async {
        let (commands, requests) = mpsc::channel(COMMAND_QUEUE);
        let (_watcher, network) = network::watch();
        let _reaper = orphans::reap().map_err(Problem::Start)?;
        let (metrics, listen) = watch::channel(None);
        let _http = http::Server::start(listen, commands.clone());
        let _server = Server::start(socket, commands, history.clone()).map_err(Problem::Start)?;
        supervise::run(Setup {
            desired,
            load: loader(file, overrides),
            commands: requests,
            signals,
            network,
            notify,
            listeners,
            dialer: Arc::new(NetDialer::new()),
            history,
            seed: fastrand::u64(..),
            recent: log.recent,
            applied: applied(pidfile, log.control, metrics),
        })
        .await
        .map(|()| exit::OK)
        .map_err(Problem::Pidfile)
    });
    // A name lookup that hangs must not hold up the end.
    runtime.shutdown_background();
    ended.end();
    tracing::info!("tunneld ends");
    stopped
}

/// What the command line and the environment say instead of the config file.
pub(super) fn overrides(global: &Global) -> Overrides {
    Overrides {
        control_socket: global.control_socket.clone(),
        pid_file: global.pid_file.clone(),
        log_level: global.log_level.clone(),
    }
}

/// The daemon's own file, or another one that a plan is asked about.
fn loader(own: PathBuf, overrides: Overrides) -> Loader {
    Arc::new(move |other| {
        let file = other.as_ref().unwrap_or(&own);
        config::load(file, &overrides).map_err(|errors| Refusal { text: errors.to_string(), errors: errors.to_json() })
    })
}

/// The pidfile is ours until the supervisor ends, and then goes with it.
fn applied(pidfile: Option<Pidfile>, log: LogControl, metrics: watch::Sender<Option<Listen>>) -> Applied {
    let mut pidfile = pidfile;
    let mut written = false;
    let mut told = None;
    Box::new(move |desired| {
        if let Some(pidfile) = pidfile.as_mut().filter(|_| !written) {
            pidfile.write()?;
            written = true;
        }
        if let Err(error) = log.set_level(&desired.global.log.level.filter) {
            tracing::error!(%error, "cannot change the log level");
        }
        metrics.send_if_modified(|listen| {
            let changed = *listen != desired.global.metrics;
            listen.clone_from(&desired.global.metrics);
            changed
        });
        let shortage = limits::open_files_limit().and_then(|limit| OpenFiles::of(desired).beyond(limit));
        if let Some(shortage) = shortage.as_ref().filter(|_| shortage != told) {
            shortage.log();
        }
        told = shortage;
        Ok(())
    })
}
