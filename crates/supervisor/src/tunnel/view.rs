//! What one tunnel publishes of itself: facts, and the live counters behind them, read when somebody asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{ForwardStats, RefusedConnection};
use tunnel_engine::session::Session;
use tunnel_engine::spec::{Connect, ForwardKey, ForwardKind};

use super::failure_counts::FailureCounts;
use super::forward_names::names;
use super::state::ForwardState;
use crate::history::Traffic;
use crate::lifecycle::{Phase, Want};
use crate::supervise::governor::{Governor, QueueEntry};
use crate::supervise::reachability::probe_interval;
use crate::supervise::snapshot::{FailureStatus, ForwardStatus, RefusedStatus, SessionStatus, TunnelStatus};

/// One tunnel, as it is now.
#[derive(Clone)]
pub struct TunnelView {
    /// Its name.
    pub name: String,
    /// What is wanted.
    pub want: Want,
    /// Where it is.
    pub phase: Phase,
    /// Up as configured, with every forward.
    pub ready: bool,
    /// Since when in this phase.
    pub since: SystemTime,
    /// Starts since the last reset.
    pub starts: u64,
    /// Starts since the tunnel is known.
    pub starts_total: u64,
    /// Starts in a row that did not last; 0 while a session is up.
    pub attempts: u32,
    /// `user@host:port`.
    pub server: String,
    /// The living session.
    pub session: Option<SessionView>,
    /// The last failure.
    pub last_failure: Option<FailureView>,
    /// All of them, by kind.
    pub(super) failures: Arc<FailureCounts>,
    /// When the next start is due by itself.
    pub next_start: Option<Instant>,
    /// The server is asked whether it is back, and has been away since then.
    pub watched_since: Option<Instant>,
    /// To read from what a start waits for.
    pub(super) turn: (Governor, QueueEntry),
    /// In the config's order.
    pub forwards: Vec<ForwardView>,
    /// Every local listener has been bound, or has failed to, once.
    pub listeners_tried: bool,
}

/// The living session.
#[derive(Clone)]
pub struct SessionView {
    /// To read the round trip from.
    pub session: Session,
    /// Since when.
    pub connected_at: SystemTime,
}

/// A failure and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureView {
    /// What.
    pub failure: Failure,
    /// When.
    pub at: SystemTime,
    /// A file of ssh_config that changed since: what it says now was not tried.
    pub outdated: Option<PathBuf>,
}

/// One forward.
#[derive(Clone)]
pub struct ForwardView {
    /// What makes it the same one across a reload.
    pub key: ForwardKey,
    /// Its kind.
    pub kind: ForwardKind,
    /// The real address.
    pub listen: String,
    /// Where it leads.
    pub connect: Connect,
    /// How it is.
    pub state: ForwardState,
    /// What a person should know about it.
    pub message: Option<String>,
    /// Its counters.
    pub stats: Arc<ForwardStats>,
}

/// What readers are woken up for. Live counters, the round trip and what a start waits for are read when they are asked
/// for, and are no change.
impl PartialEq for TunnelView {
    fn eq(&self, other: &Self) -> bool {
        // Every field is named, so that a new one is decided upon.
        let Self {
            name,
            want,
            phase,
            ready,
            since,
            starts,
            starts_total,
            attempts,
            server,
            session,
            last_failure,
            failures: _,
            next_start,
            watched_since,
            turn: _,
            forwards,
            listeners_tried,
        } = self;
        *name == other.name
            && *want == other.want
            && *phase == other.phase
            && *ready == other.ready
            && *since == other.since
            && *starts == other.starts
            && *starts_total == other.starts_total
            && *attempts == other.attempts
            && *server == other.server
            && *session == other.session
            && *last_failure == other.last_failure
            && *next_start == other.next_start
            && *watched_since == other.watched_since
            && *forwards == other.forwards
            && *listeners_tried == other.listeners_tried
    }
}

impl PartialEq for SessionView {
    fn eq(&self, other: &Self) -> bool {
        let Self { session, connected_at } = self;
        session.is_same(&other.session) && *connected_at == other.connected_at
    }
}

impl PartialEq for ForwardView {
    fn eq(&self, other: &Self) -> bool {
        let Self { key, kind, listen, connect, state, message, stats } = self;
        *key == other.key
            && *kind == other.kind
            && *listen == other.listen
            && *connect == other.connect
            && *state == other.state
            && *message == other.message
            && Arc::ptr_eq(stats, &other.stats)
    }
}

impl TunnelView {
    /// A reading, for `tunneld status`. Rates are known to the history, and whether it is enabled to the config.
    pub fn status(&self, now: Instant) -> TunnelStatus {
        TunnelStatus {
            name: self.name.clone(),
            enabled: true,
            want: self.want.as_str().to_owned(),
            phase: self.phase.as_str().to_owned(),
            ready: self.ready,
            since: rfc3339(self.since),
            starts: self.starts,
            starts_total: self.starts_total,
            attempts: u64::from(self.attempts),
            server: self.server.clone(),
            session: self.session.as_ref().map(SessionView::status),
            last_failure: self.last_failure.as_ref().map(FailureView::status),
            failures: self.failures.by_kind(),
            next_start_ms: self
                .next_start
                .map(|at| u64::try_from(at.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX)),
            waits_for: self.waits_for(now),
            rate_in: None,
            rate_out: None,
            forwards: self
                .forwards
                .iter()
                .zip(names(&self.forwards))
                .map(|(forward, name)| forward.status(name))
                .collect(),
        }
    }
}

impl TunnelView {
    /// Bytes of all forwards so far.
    pub fn traffic(&self) -> Traffic {
        self.forwards.iter().map(|forward| forward.stats.counts()).fold(Traffic::default(), |sum, counts| Traffic {
            bytes_in: sum.bytes_in + counts.bytes_in,
            bytes_out: sum.bytes_out + counts.bytes_out,
        })
    }

    fn waits_for(&self, now: Instant) -> Option<String> {
        if self.phase == Phase::Connecting {
            return self.turn.1.waits_for(&self.turn.0, now);
        }
        let away = now.saturating_duration_since(self.watched_since?);
        let every = probe_interval(away, Duration::ZERO).as_secs_f64();
        Some(format!("the server is asked every {every} s whether it is back"))
    }
}

impl SessionView {
    fn status(&self) -> SessionStatus {
        let info = self.session.info();
        SessionStatus {
            peer: info.peer.map(|peer| peer.to_string()),
            software: info.software.clone(),
            kex: info.kex.clone(),
            post_quantum: Some(info.is_post_quantum()),
            cipher: info.cipher.clone(),
            host_key: info.host_key.clone(),
            auth: Some(info.auth.clone()),
            rtt_ms: self.session.rtt().map(|rtt| (rtt.as_secs_f64() * 1e6).round() / 1e3),
            connected_at: rfc3339(self.connected_at),
        }
    }
}

impl FailureView {
    fn hint(&self) -> String {
        let hint = self.failure.hint();
        match &self.outdated {
            Some(file) => {
                format!("`{}` has changed since: `tunneld reload` reads it again; else {hint}", file.display())
            }
            None => hint.to_owned(),
        }
    }

    fn status(&self) -> FailureStatus {
        FailureStatus {
            kind: self.failure.kind().as_str().to_owned(),
            permanent: self.failure.kind().is_permanent(),
            message: self.failure.message().to_owned(),
            hint: self.hint(),
            at: rfc3339(self.at),
        }
    }
}

impl ForwardView {
    /// Connections carried now.
    pub fn active(&self) -> u64 {
        self.stats.counts().active
    }

    fn status(&self, name: String) -> ForwardStatus {
        let counts = self.stats.counts();
        ForwardStatus {
            name,
            kind: self.kind.as_str().to_owned(),
            listen: self.listen.clone(),
            connect: match &self.connect {
                Connect::Socks => None,
                connect @ (Connect::Tcp { .. } | Connect::Unix(_) | Connect::Device(_)) => Some(connect.to_string()),
            },
            state: self.state.as_str().to_owned(),
            active: counts.active,
            opened: counts.opened,
            failed: counts.failed,
            held: counts.held,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            message: self.message.clone().or_else(|| self.refused_now()),
            last_refused: self.stats.last_refused().iter().map(refused).collect(),
        }
    }
}

impl ForwardView {
    /// What a SOCKS peer asks for says nothing about the forward, which stays up; it is told all the same.
    fn refused_now(&self) -> Option<String> {
        let RefusedConnection { target, message, .. } = self.stats.refused_now()?;
        (self.connect == Connect::Socks).then(|| format!("the last connection, to {target}, was refused: {message}"))
    }
}

fn refused(connection: &RefusedConnection) -> RefusedStatus {
    let RefusedConnection { at, target, code, message, .. } = connection;
    RefusedStatus { at: rfc3339(*at), target: target.to_string(), code: *code, message: message.clone() }
}

/// As status and logs write a time.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
