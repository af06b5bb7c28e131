//! Asks about each forward: here by binding for an instant, there over one session. What a running daemon has is not
//! asked for again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{
    BindOptions, ForwardStats, ProbeCheck as Wanted, ProbeFailure, ProbeFailureKind, ProbeResult, RemoteForwards,
    RemoteTarget, Routes, can_bind, probe_here, probe_local, probe_remote, probe_remote_at,
};
use tunnel_engine::session::{ForwardError, IncomingChannels, RemoteListen, Session};
use tunnel_engine::spec::{Bind, Connect, Forward, ForwardKind, Listen, PermitRemoteOpen, Side};

use super::daemon::DaemonView;
use super::forward_results::{ForwardResult, ForwardResults, ListenRefusal, ListenResult};
use crate::config::{OnRemotePortBusy, TunnelSpec};
use crate::tunnel::{PortHolder, inspect, remove_socket_file, with_port};

/// One after another, each with bounds of its own; this is for a server that answers none of them.
const ALL_WITHIN: Duration = Duration::from_secs(120);

/// A port on the server that nothing listens on: a connection there shows whether the login may connect at all.
const SILENT: (&str, u16) = ("127.0.0.1", 1);

/// On Linux every address of 127.0.0.0/8 is the machine's own, and one that listens on 127.0.0.1 only is not found here.
const OTHER_LOOPBACK: &str = "127.0.0.2";

/// Said of a forward that the daemon has: its own proof goes over the server's loopback.
const NARROWED: &str =
    "the server listens on its loopback only where all addresses are asked for: see GatewayPorts there";

/// Asks for all of them; without a session only for what is here.
pub(super) async fn all(
    spec: &TunnelSpec,
    known: &DaemonView,
    session: Option<(&Session, IncomingChannels)>,
) -> ForwardResults {
    let mut facts = ForwardResults {
        forwards: spec.forwards.iter().map(|_| ForwardResult::default()).collect(),
        may_connect: None,
        shell: None,
        unfinished: false,
    };
    for (fact, forward) in facts.forwards.iter_mut().zip(&spec.forwards) {
        if forward.kind.side() == Side::Here {
            fact.listen = Some(here(spec, known, forward).await);
        } else if forward.connect != Connect::Socks {
            fact.target = Some(probe_here(&forward.connect, spec.session.dial.address_family, &Wanted::Accepts).await);
        }
    }
    if let Some((session, incoming)) = session {
        let remotes = RemoteForwards::spawn(incoming);
        let asker = ForwardChecker { spec, known, session, routes: remotes.routes() };
        facts.unfinished = tokio::time::timeout(ALL_WITHIN, asker.ask(&mut facts)).await.is_err();
        remotes.abort().await;
    }
    facts
}

async fn here(spec: &TunnelSpec, known: &DaemonView, forward: &Forward) -> ListenResult {
    // A look takes no program's socket away.
    let options = BindOptions { socket_unlink: false, ..spec.bind_options() };
    let failure = match can_bind(&forward.listen, options).await {
        Ok(free) => return ListenResult::Free(free),
        Err(failure) => failure,
    };
    match known.local(spec, forward) {
        Some(held)
            if held.listens_here(spec.outage.during_outage)
                || failure.message().contains(&format!("pid {} (", held.pid)) =>
        {
            ListenResult::Held(held)
        }
        Some(_) | None => ListenResult::Taken(failure),
    }
}

struct ForwardChecker<'a> {
    spec: &'a TunnelSpec,
    known: &'a DaemonView,
    session: &'a Session,
    routes: Routes,
}

impl ForwardChecker<'_> {
    async fn ask(&self, facts: &mut ForwardResults) {
        for (fact, forward) in facts.forwards.iter_mut().zip(&self.spec.forwards) {
            match (forward.kind, &forward.connect) {
                (ForwardKind::Local, target) => {
                    fact.target = Some(probe_local(self.session, target, &Wanted::Accepts).await)
                }
                (ForwardKind::Dynamic, _) => {
                    let any = self.may_connect().await;
                    fact.target = Some(any);
                }
                (ForwardKind::TunnelDevice, _) => {
                    let is_held = matches!(&fact.listen, Some(ListenResult::Held(held)) if held.is_up());
                    fact.device = Some(if is_held { Ok(()) } else { self.device(forward).await });
                }
                (ForwardKind::Remote, _) => {
                    let listening = self.remote(forward).await;
                    if let ListenResult::Refused(_) = &listening
                        && facts.may_connect.is_none()
                    {
                        facts.may_connect = allowed(&self.may_connect().await);
                    }
                    fact.listen = Some(listening);
                }
            }
            if matches!(forward.kind, ForwardKind::Local | ForwardKind::Dynamic) {
                let allowed = fact.target.as_ref().and_then(allowed);
                facts.may_connect = if allowed == Some(true) { allowed } else { facts.may_connect.or(allowed) };
            }
        }
        let takes_over = self.spec.on_remote_port_busy == OnRemotePortBusy::Takeover;
        if takes_over
            && let Some(forward) = self.spec.forwards.iter().find(|forward| forward.kind == ForwardKind::Remote)
        {
            facts.shell = Some(inspect(self.session, &forward.listen).await.map(drop));
        }
    }

    /// Has the server open its device for a moment.
    async fn device(&self, forward: &Forward) -> Result<(), Failure> {
        let (Listen::Device { mode, .. }, Connect::Device(unit)) = (&forward.listen, &forward.connect) else {
            return Ok(());
        };
        let opened = self.session.open_tunnel_device(*mode, *unit).await;
        opened.map_err(|error| error.failure(*mode, *unit))?.close().await;
        Ok(())
    }

    /// Asks for a connection that reaches no service.
    async fn may_connect(&self) -> ProbeResult {
        let silent = Connect::Tcp { host: SILENT.0.to_owned(), port: SILENT.1 };
        probe_local(self.session, &silent, &Wanted::Accepts).await
    }

    async fn remote(&self, forward: &Forward) -> ListenResult {
        if let Some(mut held) = self.known.remote(self.spec, forward) {
            if held.is_up() && held.message.is_none() && self.narrows(forward).await {
                held.message = Some(NARROWED.to_owned());
            }
            return ListenResult::Held(held);
        }
        if self.known.is_connecting(self.spec) {
            return ListenResult::NotAsked("the daemon logs in just now, and asks for it itself".to_owned());
        }
        if let Listen::Unix(_) = forward.listen {
            return self.socket(forward).await;
        }
        match self.listen(forward, forward.listen.clone()).await {
            Ok(port) => {
                let listen = with_port(&forward.listen, port);
                let route = RemoteListen::of(&listen);
                let reached = probe_remote(self.session, &self.routes, &route).await;
                let outside = self.outside(&listen, &route).await;
                self.cancel(&listen).await;
                ListenResult::Granted { port, reached, outside }
            }
            Err(error @ ForwardError::Refused { .. }) => {
                let holder = inspect(self.session, &forward.listen).await;
                let answers = match (&holder, &forward.listen) {
                    (Err(_), Listen::Tcp { port, .. }) if *port != 0 => self.answers(*port).await,
                    _ => None,
                };
                let any_port = self.any_port(forward).await;
                ListenResult::Refused(ListenRefusal { error, holder, answers, any_port })
            }
            Err(error @ (ForwardError::Timeout { .. } | ForwardError::SessionEnded)) => {
                ListenResult::Silent(error.to_string())
            }
        }
    }

    /// A unix socket there. It leaves a file, which would be in the way of the tunnel: so one that cannot be removed is not
    /// made.
    async fn socket(&self, forward: &Forward) -> ListenResult {
        let listen = &forward.listen;
        let holder = match inspect(self.session, listen).await {
            Ok(holder @ (PortHolder::Free | PortHolder::Stale)) => holder,
            Ok(holder) => return ListenResult::Refused(ListenRefusal::of(listen, Ok(holder))),
            Err(why) => {
                return ListenResult::NotAsked(format!(
                    "the socket would leave its file behind on the server, and the login cannot remove it: {why}"
                ));
            }
        };
        if holder == PortHolder::Stale && self.spec.on_remote_port_busy == OnRemotePortBusy::Takeover {
            return ListenResult::Stale;
        }
        match self.listen(forward, listen.clone()).await {
            Ok(port) => {
                let reached = probe_remote(self.session, &self.routes, &RemoteListen::of(listen)).await;
                self.cancel(listen).await;
                remove_socket_file(self.session, listen).await;
                ListenResult::Granted { port, reached, outside: None }
            }
            Err(ForwardError::Refused { .. }) => ListenResult::Refused(ListenRefusal::of(listen, Ok(holder))),
            Err(error @ (ForwardError::Timeout { .. } | ForwardError::SessionEnded)) => {
                ListenResult::Silent(error.to_string())
            }
        }
    }

    /// Has the server listen, with a route for our own connection there.
    async fn listen(&self, forward: &Forward, listen: Listen) -> Result<Option<u16>, ForwardError> {
        let target = RemoteTarget {
            forward: forward.to_string(),
            connect: forward.connect.clone(),
            family: self.spec.session.dial.address_family,
            permit: Arc::new(PermitRemoteOpen::default()),
            max_connections: 0,
            stats: Arc::new(ForwardStats::default()),
            cut: CancellationToken::new(),
        };
        let (routes, asked) = (self.routes.clone(), listen.clone());
        let granted = move |port| routes.add(RemoteListen::of(&with_port(&asked, port)), target);
        self.session.request_forward_then(&listen, granted).await
    }

    async fn cancel(&self, listen: &Listen) {
        if let Err(error) = self.session.cancel_forward(listen).await {
            tracing::debug!(%error, "cannot take a listener back");
        }
    }

    /// Whether what listens "on all" is found at another address of the server's, too: GatewayPorts narrows it in silence.
    async fn outside(&self, listen: &Listen, route: &RemoteListen) -> Option<ProbeResult> {
        let Listen::Tcp { bind, port } = listen else { return None };
        if !is_all(bind) {
            return None;
        }
        let peer = self.session.info().peer.map(|peer| peer.ip()).filter(|ip| !ip.to_canonical().is_loopback());
        let mut found = None;
        for host in peer.map(|ip| ip.to_string()).into_iter().chain([OTHER_LOOPBACK.to_owned()]) {
            let at = Connect::Tcp { host, port: *port };
            let finding = probe_remote_at(self.session, &self.routes, route, &at).await;
            let came = matches!(finding, ProbeResult::Up(_));
            found = Some(finding);
            if came {
                break;
            }
        }
        found
    }

    /// Whether the server does that, seen at a port that it chooses: a connection to the daemon's reaches the target.
    async fn narrows(&self, forward: &Forward) -> bool {
        let Listen::Tcp { bind, .. } = &forward.listen else { return false };
        let any = Listen::Tcp { bind: bind.clone(), port: 0 };
        if !is_all(bind) {
            return false;
        }
        let Ok(port) = self.listen(forward, any.clone()).await else { return false };
        let listen = with_port(&any, port);
        let outside = self.outside(&listen, &RemoteListen::of(&listen)).await;
        self.cancel(&listen).await;
        matches!(outside, Some(ProbeResult::Down(_)))
    }

    async fn answers(&self, port: u16) -> Option<bool> {
        let there = Connect::Tcp { host: SILENT.0.to_owned(), port };
        match probe_local(self.session, &there, &Wanted::Accepts).await {
            ProbeResult::Up(_) => Some(true),
            ProbeResult::Down(ProbeFailure { cause: ProbeFailureKind::Refused, .. }) => Some(false),
            ProbeResult::Down(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_) | ProbeResult::Nothing => None,
        }
    }

    /// Whether the server would listen at all, on a port that it chooses; given back at once.
    async fn any_port(&self, forward: &Forward) -> Option<bool> {
        let Listen::Tcp { bind, port } = &forward.listen else { return None };
        if *port == 0 {
            return None;
        }
        let any = Listen::Tcp { bind: bind.clone(), port: 0 };
        match self.session.request_forward(&any).await {
            Ok(port) => {
                self.cancel(&with_port(&any, port)).await;
                Some(true)
            }
            Err(ForwardError::Refused { .. }) => Some(false),
            Err(ForwardError::Timeout { .. } | ForwardError::SessionEnded) => None,
        }
    }
}

fn is_all(bind: &Bind) -> bool {
    match bind {
        Bind::Any => true,
        Bind::Address(address) => address == "0.0.0.0",
        Bind::Default => false,
    }
}

/// Whether policy lets a connection through, whatever became of it.
fn allowed(finding: &ProbeResult) -> Option<bool> {
    match finding {
        ProbeResult::Up(_)
        | ProbeResult::Down(ProbeFailure { cause: ProbeFailureKind::Refused | ProbeFailureKind::NoAnswer, .. }) => {
            Some(true)
        }
        ProbeResult::Down(ProbeFailure { cause: ProbeFailureKind::Prohibited, .. }) => Some(false),
        ProbeResult::Down(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_) | ProbeResult::Nothing => None,
    }
}
