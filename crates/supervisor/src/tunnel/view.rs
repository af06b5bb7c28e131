//! What one tunnel tells of itself: a snapshot, which is plain data, and beside it the live counters, which are read
//! when a status is asked for.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{ForwardCounts, ForwardStats, RefusedConnection};
use tunnel_engine::session::{JumpHostInfo, Session, SessionInfo, is_post_quantum};
use tunnel_engine::spec::{Connect, ForwardKey, ForwardKind};

use super::forward_names::names;
use super::forwards::ForwardId;
use super::report::{FailureCounts, rounded};
use super::state::ForwardState;
use crate::config::TunnelSpec;
use crate::history::Traffic;
use crate::history::rfc3339;
use crate::lifecycle::{Phase, SessionId, Want};
use crate::plan::ServingSession;
use crate::protocol::status::{
    FailureStatus, ForwardStatus, JumpHostStatus, RefusedStatus, SessionStatus, TunnelStatus,
};
use crate::servers::governor::{Governor, QueueEntry};
use crate::servers::reachability::probe_interval;

/// One tunnel, as it is now. Readers are woken up when something in it differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub name: String,
    pub want: Want,
    pub phase: Phase,
    /// Up as configured, with every forward.
    pub ready: bool,
    /// Since when in this phase.
    pub since: SystemTime,
    /// Since when `ready` is what it is.
    pub ready_since: SystemTime,
    /// Starts since the last reset.
    pub starts: u64,
    /// Starts since the tunnel is known.
    pub starts_total: u64,
    /// Starts in a row that did not last; 0 while a session is up.
    pub attempts: u32,
    /// `user@host:port`.
    pub server: String,
    pub session: Option<SessionView>,
    pub last_failure: Option<FailureView>,
    pub(super) failures: FailureCounts,
    /// When the next start is due by itself, or the next login that is to replace a session of before a reload.
    pub next_start: Option<Instant>,
    /// The session is one of before a reload: what becomes of it.
    pub(super) outdated: Option<String>,
    /// What that session was made for.
    pub serving: Option<Arc<ServingSession>>,
    /// The server is asked whether it is back, and has been away since then.
    pub watched_since: Option<Instant>,
    /// In the config's order.
    pub forwards: Vec<ForwardView>,
    /// Every local listener has been bound, or has failed to, once.
    pub listeners_tried: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SessionView {
    pub(super) id: SessionId,
    pub info: Arc<SessionInfo>,
    pub connected_at: SystemTime,
}

/// A snapshot, and what to read beside it. What is read changes without a wake-up.
#[derive(Clone)]
pub struct TunnelView {
    snapshot: Arc<Snapshot>,
    gauges: Arc<Gauges>,
}

/// What is counted and measured of a tunnel all the time.
pub(super) struct Gauges {
    /// Of the main session, for its round trip.
    pub(super) session: Option<Session>,
    /// By forward.
    pub(super) forwards: Vec<(ForwardId, Arc<ForwardStats>)>,
    /// To read from what a start waits for.
    pub(super) start: (Governor, QueueEntry),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureView {
    pub failure: Failure,
    pub at: SystemTime,
    /// A file of ssh_config that changed since: what it says now was not tried.
    pub outdated: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ForwardView {
    pub(super) id: ForwardId,
    /// What makes it the same one across a reload.
    pub key: ForwardKey,
    pub kind: ForwardKind,
    /// The listen address in use, with an allocated port.
    pub listen: String,
    pub connect: Connect,
    pub state: ForwardState,
    /// What a person should know about it.
    pub message: Option<String>,
    /// When a port that another session or program holds is looked at again.
    pub(super) next_look: Option<Instant>,
}

impl Snapshot {
    /// Before the first event.
    pub(super) fn at_rest(spec: &TunnelSpec, now: SystemTime) -> Self {
        Self {
            name: spec.name.clone(),
            want: Want::Down,
            phase: Phase::Stopped,
            ready: false,
            since: now,
            ready_since: now,
            starts: 0,
            starts_total: 0,
            attempts: 0,
            server: spec.session.destination.to_string(),
            session: None,
            last_failure: None,
            failures: FailureCounts::default(),
            next_start: None,
            outdated: None,
            serving: None,
            watched_since: None,
            forwards: Vec::new(),
            listeners_tried: false,
        }
    }
}

impl Deref for TunnelView {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl TunnelView {
    pub(super) fn new(snapshot: Arc<Snapshot>, gauges: Gauges) -> Self {
        Self { snapshot, gauges: Arc::new(gauges) }
    }

    /// Whether it was made of this very snapshot.
    pub(super) fn is_of(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
    }

    /// What is counted of the forward at this place, in the config's order.
    pub fn counts(&self, place: usize) -> ForwardCounts {
        self.forwards.get(place).and_then(|forward| self.stats(forward)).map(|stats| stats.counts()).unwrap_or_default()
    }

    /// The last round trip of the main session.
    pub fn rtt(&self) -> Option<Duration> {
        self.gauges.session.as_ref().and_then(Session::rtt)
    }

    /// What is counted of the forward with this key.
    pub fn count(&self, key: &ForwardKey, counted: impl Fn(ForwardCounts) -> u64) -> u64 {
        let same = self.forwards.iter().filter(|forward| forward.key == *key);
        same.filter_map(|forward| self.stats(forward)).map(|stats| counted(stats.counts())).sum()
    }

    fn stats(&self, forward: &ForwardView) -> Option<&Arc<ForwardStats>> {
        self.gauges.forwards.iter().find(|(id, _)| *id == forward.id).map(|(_, stats)| stats)
    }
}

impl TunnelView {
    /// A reading, for `tunneld status`. Rates are known to the history, and whether it is enabled to the config.
    pub fn status(&self, now: Instant) -> TunnelStatus {
        TunnelStatus {
            name: self.name.clone(),
            enabled: true,
            want: self.want.into(),
            phase: self.phase.into(),
            ready: self.ready,
            since: rfc3339(self.since),
            ready_since: Some(rfc3339(self.ready_since)),
            starts: self.starts,
            starts_total: self.starts_total,
            attempts: u64::from(self.attempts),
            server: self.server.clone(),
            session: self.session.as_ref().map(|session| session.status(self.rtt())),
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
                .map(|(forward, name)| forward.status(name, self.stats(forward), now))
                .collect(),
        }
    }
}

impl TunnelView {
    /// Bytes of all forwards so far.
    pub fn traffic(&self) -> Traffic {
        let counts = self.forwards.iter().filter_map(|forward| self.stats(forward)).map(|stats| stats.counts());
        counts.fold(Traffic::default(), |sum, counts| Traffic {
            bytes_in: sum.bytes_in + counts.bytes_in,
            bytes_out: sum.bytes_out + counts.bytes_out,
        })
    }

    fn waits_for(&self, now: Instant) -> Option<String> {
        if self.phase == Phase::Connecting {
            return self.gauges.start.1.waits_for(&self.gauges.start.0, now);
        }
        if self.outdated.is_some() {
            return self.outdated.clone();
        }
        let away = now.saturating_duration_since(self.watched_since?);
        let every = probe_interval(away, Duration::ZERO).as_secs_f64();
        Some(format!("the server is asked every {every} s whether it is back"))
    }
}

impl SessionView {
    fn status(&self, rtt: Option<Duration>) -> SessionStatus {
        let info = &self.info;
        SessionStatus {
            peer: info.peer.map(|peer| peer.to_string()),
            software: info.software.clone(),
            kex: info.kex.clone(),
            post_quantum: Some(is_post_quantum(&info.kex)),
            cipher: info.cipher.clone(),
            host_key: info.host_key.clone(),
            auth: Some(info.auth.clone()),
            jump_hosts: info.jump_hosts.iter().map(jump_host_status).collect(),
            rtt_ms: rtt.map(|rtt| (rtt.as_secs_f64() * 1e6).round() / 1e3),
            connected_at: rfc3339(self.connected_at),
        }
    }
}

fn jump_host_status(host: &JumpHostInfo) -> JumpHostStatus {
    JumpHostStatus {
        server: host.server.clone(),
        software: host.software.clone(),
        kex: host.kex.clone(),
        post_quantum: is_post_quantum(&host.kex),
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
            kind: self.failure.kind().into(),
            permanent: self.failure.kind().is_permanent(),
            message: self.failure.message().to_owned(),
            hint: self.hint(),
            at: rfc3339(self.at),
        }
    }
}

impl ForwardView {
    fn status(&self, name: String, stats: Option<&Arc<ForwardStats>>, now: Instant) -> ForwardStatus {
        let counts = stats.map(|stats| stats.counts()).unwrap_or_default();
        ForwardStatus {
            name,
            kind: self.kind.into(),
            listen: self.listen.clone(),
            connect: match &self.connect {
                Connect::Socks => None,
                connect @ (Connect::Tcp { .. } | Connect::Unix(_) | Connect::Device(_)) => Some(connect.to_string()),
            },
            state: self.state.phase().into(),
            active: counts.active,
            opened: counts.opened,
            failed: counts.failed,
            held: counts.held,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            message: self.message_at(now).or_else(|| full(stats?)).or_else(|| self.refused_now(stats?)),
            failure_kind: self.state.failure().map(|failure| failure.kind().into()),
            last_refused: stats.map(|stats| stats.last_refused().iter().map(refused).collect()).unwrap_or_default(),
        }
    }
}

impl ForwardView {
    fn message_at(&self, now: Instant) -> Option<String> {
        let message = self.message.clone()?;
        let Some(at) = self.next_look else { return Some(message) };
        let wait = humantime::format_duration(rounded(at.saturating_duration_since(now))).to_string();
        Some(format!("{message}; it is looked at again in {wait}"))
    }

    /// What a SOCKS peer asks for says nothing about the forward, which stays up; it is told all the same.
    fn refused_now(&self, stats: &ForwardStats) -> Option<String> {
        let RefusedConnection { target, message, .. } = stats.refused_now()?;
        (self.connect == Connect::Socks).then(|| format!("the last connection, to {target}, was refused: {message}"))
    }
}

fn full(stats: &ForwardStats) -> Option<String> {
    let max = stats.full()?;
    Some(format!(
        "{max} connections are there, as many as max_connections allows: new ones wait until one of these ends"
    ))
}

fn refused(connection: &RefusedConnection) -> RefusedStatus {
    let RefusedConnection { at, target, code, message, .. } = connection;
    RefusedStatus { at: rfc3339(*at), target: target.to_string(), code: *code, message: message.clone() }
}
