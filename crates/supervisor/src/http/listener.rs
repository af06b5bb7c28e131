//! The listening sockets: bound as the config says, and again when it says something else. An address that is taken is
//! no reason to stop the tunnels: it is logged, and tried again.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::Socket;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{BindOptions, Bound, NoStore, PathWatcher};
use tunnel_engine::log_limit::{LogLimiter, PEER_INTERVAL};
use tunnel_engine::spec::{Bind, Listen};

use super::answer::AnswerContext;
use super::connections::HttpConnections;
use super::daemon::DaemonClient;
use super::host::AllowedHosts;

/// How often an address that is taken is tried again: its holder is most often a program that is being restarted.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// A unix socket whose file is lost again within this time is bound again only after it.
const REBIND_PAUSE: Duration = Duration::from_secs(1);

/// The same trouble with the address is worth a line this often.
const REPEAT_EVERY: Duration = Duration::from_secs(600);

/// Pause after a failed accept, when no descriptor is left: long enough not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A unix socket is for its owner and the owner's group: a scraper or a web server in front is most often another user.
const SOCKET_MASK: u32 = 0o117;

/// Listens as `wanted` says, until its sender has gone.
pub(super) async fn run(mut wanted: watch::Receiver<Option<Listen>>, daemon: Arc<DaemonClient>, watcher: PathWatcher) {
    loop {
        let listen = wanted.borrow_and_update().clone();
        let serving = async {
            match listen {
                Some(listen) => serve(&listen, daemon.clone(), &watcher).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = serving => {}
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// What is served there can be read from the network.
pub fn is_open(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(_) | Listen::Device { .. } | Listen::Tcp { bind: Bind::Default, .. } => false,
        Listen::Tcp { bind: Bind::Any, .. } => true,
        Listen::Tcp { bind: Bind::Address(host), .. } => {
            !host.eq_ignore_ascii_case("localhost") && !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

/// The address as the config writes it.
pub fn shown(listen: &Listen) -> String {
    match listen {
        Listen::Unix(path) => format!("unix:{}", path.display()),
        other @ (Listen::Tcp { .. } | Listen::Device { .. }) => other.to_string(),
    }
}

/// Binds and accepts, and binds again where the file of a unix socket was lost: its connections go on meanwhile.
async fn serve(listen: &Listen, daemon: Arc<DaemonClient>, watcher: &PathWatcher) {
    let open = is_open(listen);
    let mut connections = HttpConnections::new(AnswerContext::new(daemon, AllowedHosts::of(listen, open)));
    let mut log = LogLimiter::new(REPEAT_EVERY);
    loop {
        let bound = bind(listen, &mut log).await;
        log_bound(listen, &bound, open);
        let sockets = match bound.fds().map(Accepting::duplicate).collect::<io::Result<Vec<_>>>() {
            Ok(sockets) => sockets,
            Err(error) => {
                tracing::error!(%error, listen = shown(listen), "cannot serve metrics");
                std::future::pending().await
            }
        };
        let lost = tokio::select! {
            never = accept(&sockets, &mut connections) => match never {},
            lost = lost_file(&bound, listen, watcher) => lost,
        };
        let now = clock::now();
        if let Some(suppressed) = log.admit(lost.message(), now) {
            let (kind, hint) = (lost.kind(), lost.hint());
            tracing::warn!(listen = shown(listen), %kind, hint, suppressed, "metrics are not served: {lost}");
        }
        tokio::time::sleep_until((now + REBIND_PAUSE).into()).await;
    }
}

fn log_bound(listen: &Listen, bound: &Bound, open: bool) {
    tracing::info!(listen = shown(listen), "metrics are served");
    if let Some(missing) = bound.missing() {
        tracing::warn!(listen = shown(listen), "metrics are not served on every address: {missing}");
    }
    if open {
        tracing::warn!(
            listen = shown(listen),
            "metrics are served to everyone who reaches this address: there is no login; listen on 127.0.0.1, or keep strangers out with a firewall"
        );
    }
}

/// Why no peer reaches the unix socket any more, as soon as that is so; never for other addresses.
async fn lost_file(bound: &Bound, listen: &Listen, watcher: &PathWatcher) -> Failure {
    let Listen::Unix(path) = listen else { return std::future::pending().await };
    watcher.until(path, || bound.lost_file().is_some()).await;
    match bound.lost_file() {
        Some(lost) => lost,
        None => std::future::pending().await,
    }
}

async fn bind(listen: &Listen, log: &mut LogLimiter) -> Bound {
    let mut known: Option<Failure> = None;
    loop {
        let options = BindOptions { socket_mask: SOCKET_MASK, ..BindOptions::default() };
        match Bound::take_or_bind(listen, options, Arc::new(NoStore), known.as_ref()).await {
            Ok(bound) => return bound,
            Err(failure) => {
                let now = clock::now();
                if let Some(repeats) = log.admit(failure.message(), now) {
                    let (kind, hint) = (failure.kind(), failure.hint());
                    tracing::warn!(listen = shown(listen), %kind, hint, repeats, "metrics are not served: {failure}");
                }
                known = Some(failure);
                tokio::time::sleep_until((now + BIND_AGAIN).into()).await;
            }
        }
    }
}

async fn accept(sockets: &[Accepting], connections: &mut HttpConnections) -> Infallible {
    let mut log = LogLimiter::new(PEER_INTERVAL);
    loop {
        let accepted = tokio::select! {
            accepted = poll_fn(|context| accept_any(sockets, context)) => accepted,
            () = connections.one_ended() => continue,
        };
        match accepted {
            Ok(AcceptOutcome::Tcp(stream)) => connections.serve(stream),
            Ok(AcceptOutcome::Unix(stream)) => connections.serve(stream),
            Err(error) => {
                let now = clock::now();
                if let Some(suppressed) = log.admit(error.to_string(), now) {
                    tracing::warn!(%error, suppressed, "cannot accept a connection for metrics");
                }
                tokio::time::sleep_until((now + ACCEPT_PAUSE).into()).await;
            }
        }
    }
}

enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum AcceptOutcome {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Accepting {
    /// The socket itself stays with what was bound, which removes a unix socket's file at its end.
    fn duplicate(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let socket = Socket::from(socket.try_clone_to_owned()?);
        if socket.local_addr()?.is_unix() {
            UnixListener::from_std(socket.into()).map(Self::Unix)
        } else {
            TcpListener::from_std(socket.into()).map(Self::Tcp)
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<AcceptOutcome>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, _)| AcceptOutcome::Tcp(stream)),
            Self::Unix(listener) => listener.poll_accept(context).map_ok(|(stream, _)| AcceptOutcome::Unix(stream)),
        }
    }
}

fn accept_any(sockets: &[Accepting], context: &mut Context<'_>) -> Poll<io::Result<AcceptOutcome>> {
    for socket in sockets {
        if let Poll::Ready(accepted) = socket.poll_accept(context) {
            return Poll::Ready(accepted);
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use tunnel_engine::spec::ForwardKind;

    use super::*;

    #[test]
    fn only_loopback_and_unix_sockets_are_closed_to_the_network() {
        let open = |text: &str| is_open(&Listen::parse(ForwardKind::Local, text).unwrap());
        for text in ["9469", "127.0.0.1:9469", "localhost:9469", "[::1]:9469", "/run/m.sock"] {
            assert!(!open(text), "{text}");
        }
        for text in ["*:9469", ":9469", "0.0.0.0:9469", "[::]:9469", "192.0.2.1:9469", "host.example:9469"] {
            assert!(open(text), "{text}");
        }
    }
}
