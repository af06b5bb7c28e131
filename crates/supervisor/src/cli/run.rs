//! `run`: the daemon. Everything that can refuse a start does so before anything is started.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use tokio::sync::{mpsc, watch};
use tunnel_engine::dial::NetDialer;
use tunnel_engine::forward::PathWatcher;
use tunnel_engine::spec::Listen;

use super::args::GlobalArgs;
use super::problem::Problem;
use crate::config::{self, ConfigErrors, Desired, Overrides};
use crate::control::{ControlServer, ControlSocket};
use crate::exit;
use crate::history::Recorder;
use crate::http;
use crate::os::confinement::{self, ConfinementOutcome, Reach};
use crate::os::limits::OpenFiles;
use crate::os::privileges::{
    self, bind_low_ports, forbid_new_privileges, give_up_capabilities, keep_memory_private, open_devices,
};
use crate::os::{
    KeptListeners, LogControl, Notify, Pidfile, inherited, limits, logging, memory, network, private_tmp, runtime,
    runtime_dir, signals,
};
use crate::protocol::COMMAND_QUEUE;
use crate::supervise::{self, Applied, ConfigRefusal, Loader, ProcessRole, Setup, SignalAction};

/// Where the daemon has its config from.
pub(super) enum ConfigSource {
    File(PathBuf),
    /// Made of something else than a file: a reload finds the same.
    Text {
        name: PathBuf,
        text: String,
        /// What was read otherwise than a user may expect: logged at the start.
        notes: Vec<String>,
    },
}

impl ConfigSource {
    fn name(&self) -> &Path {
        let (Self::File(name) | Self::Text { name, .. }) = self;
        name
    }

    fn notes(&self) -> &[String] {
        match self {
            Self::File(_) => &[],
            Self::Text { notes, .. } => notes,
        }
    }

    fn load(&self, overrides: &Overrides) -> Result<Desired, ConfigErrors> {
        match self {
            Self::File(file) => config::load(file, overrides),
            Self::Text { name, text, .. } => config::load_text(name, text, overrides),
        }
    }
}

pub(super) fn run(global: &GlobalArgs) -> Result<u8, Problem> {
    run_by(global, ConfigSource::File(global.existing_config()?))
}

pub(super) fn run_by(global: &GlobalArgs, source: ConfigSource) -> Result<u8, Problem> {
    let small_pages = memory::without_huge_pages();
    let inherited = inherited::take();
    let overrides = overrides(global);
    let source = match source {
        ConfigSource::File(file) => ConfigSource::File(std::path::absolute(file).map_err(Problem::Start)?),
        text @ ConfigSource::Text { .. } => text,
    };
    // There is no thread yet: capabilities are a thread's own.
    let became = become_user(&source, &overrides)?;
    let desired = source.load(&overrides).map_err(Problem::Config)?;
    let bound = if became { bind_low_ports(&desired).map_err(Problem::Start)? } else { Vec::new() };
    let devices = if became { open_devices(&desired) } else { Vec::new() };
    let hidden = private_tmp::hidden_sockets(desired.tunnels.iter().flat_map(|tunnel| &tunnel.forwards));
    let confinement = confine(&desired, became)?;
    let log = logging::init(&desired.global.log)?;
    let _flush = log.flush;
    // Before the pidfile says whom to signal.
    let (_signal_guard, signals) = signals::listen().map_err(Problem::Start)?;
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
    for (address, socket) in bound {
        listeners.add(address, socket);
    }
    for (tunnel, kind, device) in devices {
        listeners.add_device(tunnel, kind, device);
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %source.name().display(),
        control_socket = %desired.global.control_socket.display(),
        tunnels = desired.tunnels.len(),
        "tunneld starts"
    );
    source.notes().iter().for_each(|note| tracing::warn!("{note}"));
    for socket in hidden {
        let hint = "PrivateTmp= gives the unit a folder of its own there: keep the socket in /run/tunneld";
        tracing::warn!(hint, "other programs do not find the socket `{}`", socket.display());
    }
    confinement.log();
    let reach = confinement.reach();
    let history = Recorder::open(desired.global.state_directory.as_deref());
    let ended = history.clone();
    let stopped = runtime::run(|| {
        let (commands, requests) = mpsc::channel(COMMAND_QUEUE);
        let (watcher, network) = network::watch();
        let (metrics, listen) = watch::channel(None);
        let paths = PathWatcher::default();
        let http = http::HttpServer::start(listen, commands.clone(), paths.clone());
        let server = ControlServer::start(socket, commands, history.clone(), paths)?;
        let setup = Setup {
            role: ProcessRole::Daemon,
            desired,
            load: loader(source, overrides, reach),
            commands: requests,
            signals,
            on_signal: Box::new(SignalAction::of_daemon),
            network,
            notify,
            listeners,
            dialer: Arc::new(NetDialer::new()),
            history,
            seed: fastrand::u64(..),
            recent: log.recent,
            applied: applied(pidfile, log.control, metrics),
            observer: None,
        };
        Ok(async move {
            let _until_then = (watcher, http, server);
            supervise::run(setup).await
        })
    });
    ended.end();
    tracing::info!("tunneld ends");
    stopped.map_err(Problem::Start)?.map(|()| exit::OK).map_err(Problem::Pidfile)
}

/// As root with `user` in the config: that user from here on, but for the right to bind low ports. The folders in /run
/// that only root can make are made for it before.
fn become_user(source: &ConfigSource, overrides: &Overrides) -> Result<bool, Problem> {
    let ConfigSource::File(file) = source else { return Ok(false) };
    if !geteuid().is_root() {
        return Ok(false);
    }
    let Some(start) = config::root_start(file, overrides).map_err(Problem::Config)? else { return Ok(false) };
    for path in &start.runtime_files {
        runtime_dir::ensure_parent_of(path, &start.user).map_err(Problem::Start)?;
    }
    privileges::become_user(&start.user).map_err(|error| {
        Problem::Start(io::Error::other(format!("tunneld cannot become user `{}`: {error}", start.user.name)))
    })?;
    Ok(true)
}

/// What the process gives up before it starts threads or commands.
fn confine(desired: &Desired, became: bool) -> Result<ConfinementOutcome, Problem> {
    let global = &desired.global;
    if became {
        give_up_capabilities().map_err(Problem::Start)?;
    } else if let (Some(user), true) = (&global.user, geteuid().is_root()) {
        let pipe = format!("it cannot become user `{user}` of a config that comes through a pipe: name a file");
        return Err(Problem::Start(io::Error::other(pipe)));
    }
    keep_memory_private().map_err(Problem::Start)?;
    if global.no_new_privileges {
        forbid_new_privileges().map_err(Problem::Start)?;
    }
    confinement::confine(desired, geteuid().is_root()).map_err(Problem::Config)
}

/// What the command line and the environment say instead of the config file.
pub(super) fn overrides(global: &GlobalArgs) -> Overrides {
    Overrides {
        control_socket: global.control_socket.clone(),
        pid_file: global.pid_file.clone(),
        log_level: global.log_level.clone(),
        credentials: None,
    }
}

/// The daemon's own file, or another one that a plan is asked about. A confined daemon refuses what it could not
/// follow.
fn loader(own: ConfigSource, overrides: Overrides, reach: Option<Reach>) -> Loader {
    Arc::new(move |other| {
        let loaded = match other {
            Some(file) => config::load(&file, &overrides),
            None => own.load(&overrides),
        };
        let loaded = match &reach {
            None => loaded,
            Some(reach) => loaded
                .map_err(|errors| reach.explain(errors))
                .and_then(|desired| reach.check(&desired).map(|()| desired)),
        };
        loaded.map_err(ConfigRefusal::from)
    })
}

/// The pidfile is ours until the supervisor ends, and then goes with it.
fn applied(pidfile: Option<Pidfile>, log: LogControl, metrics: watch::Sender<Option<Listen>>) -> Applied {
    let mut pidfile = pidfile;
    let mut first = true;
    let mut logged = None;
    Box::new(move |desired| {
        if std::mem::take(&mut first) {
            pidfile.as_mut().map_or(Ok(()), Pidfile::write)?;
            tracing::info!(tunnels = desired.tunnels.len(), "tunneld runs");
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
        if let Some(shortage) = shortage.as_ref().filter(|_| shortage != logged) {
            shortage.log();
        }
        logged = shortage;
        Ok(())
    })
}
