//! The sessions of a tunnel: the attempt, the main one, the one that is to replace it, the standbys, and those that
//! only finish what they carry.
//!
//! ```text
//!   Open ─► Attempt ─► main ───────────────► new connections, remote listeners
//!             │          │  a reason (`replace_reason`)
//!             │          ▼
//!   a sequence of hosts  Replacement ─► main; the old one ─► retired: its connections to their end
//! ```
//! Each is a plain value with its [`SessionId`]; the driver has the sessions themselves under the same numbers.

mod hosts;
mod login;
mod replace_reason;
mod replacement;
mod standby;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::session::{Path, SessionInfo};
use tunnel_engine::spec::Destination;

use super::core::{Effects, Retire, TunnelEffect};
use crate::config::TunnelSpec;
use crate::history::Moment;
use crate::lifecycle::SessionId;
use crate::plan::ServingSession;

pub(super) use hosts::{HostRecords, HostSequence};
pub(super) use login::{LoginAttempt, PendingLogin};
pub(super) use replace_reason::ReplaceReason;
pub(super) use replacement::{DRAIN, Replacement};
pub(super) use standby::Standby;

use replacement::MAX_RETIRED;

/// What is known of all of them.
pub(super) struct TunnelSessions {
    pub(super) attempt: Option<LoginAttempt>,
    /// The one that remote listeners are on.
    pub(super) main: Option<LiveSession>,
    pub(super) replacement: Option<Replacement>,
    pub(super) standby: Standby,
    /// Sessions that only finish what they carry, the oldest first.
    pub(super) retired: VecDeque<SessionId>,
    /// Replaced sessions that are about to retire, each with its successor, which waits for its remote listeners to be
    /// taken back.
    leaving: Vec<(SessionId, Retire)>,
    /// Closed sessions whose remote listeners may not be free yet.
    ports_held: u32,
    /// The host in use, or tried last.
    pub(super) server: Destination,
    pub(super) hosts: HostRecords,
    /// The hosts that are left for the start of this number.
    pub(super) sequence: Option<(SessionId, HostSequence)>,
    pub(super) last_up: Option<Instant>,
    /// Logins that have been asked for, and have not ended.
    logins: Vec<SessionId>,
    doubted: replace_reason::SoonDoubted,
    seed: u64,
    /// Spreads the logins of standbys.
    random: fastrand::Rng,
}

#[derive(Debug)]
pub(super) struct LiveSession {
    pub(super) id: SessionId,
    pub(super) info: Arc<SessionInfo>,
    pub(super) server: Destination,
    pub(super) connected_at: SystemTime,
    /// The machine has been told. Until then, with exit_on_forward_failure, a refused forward is a failed start.
    pub(super) settled: bool,
    /// The hosts that follow where that start fails.
    pub(super) next_hosts: HostSequence,
    /// It took over from another, which may hold a remote port for a while yet: no reason to give it up.
    pub(super) took_over: bool,
    /// Its host was chosen because it is preferred to the one before.
    pub(super) is_return: bool,
    /// Its host does not allow what the one before did.
    pub(super) is_unfit: bool,
    /// What it was made for, where that is an earlier config.
    pub(super) outdated: Option<Arc<ServingSession>>,
    /// Why the last login for the config of now failed.
    pub(super) successor_failed: Option<String>,
    /// The server answered a question on it.
    pub(super) proven: bool,
    since: Instant,
    pub(super) path: Path,
    /// That the path is in doubt was logged.
    pub(super) doubt_told: bool,
}

impl TunnelSessions {
    pub(super) fn new(server: Destination, seed: u64) -> Self {
        Self {
            attempt: None,
            main: None,
            replacement: None,
            standby: Standby::default(),
            retired: VecDeque::new(),
            leaving: Vec::new(),
            ports_held: 0,
            server,
            hosts: HostRecords::with_draw(fastrand::Rng::with_seed(seed).f64()),
            sequence: None,
            last_up: None,
            logins: Vec::new(),
            doubted: replace_reason::SoonDoubted::default(),
            seed,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The main one, and those beside it.
    pub(super) fn living(&self) -> impl Iterator<Item = &LiveSession> {
        self.main.iter().chain(self.standby.living())
    }

    /// The main one, once the machine knows of it.
    pub(super) fn settled(&self) -> Option<&LiveSession> {
        self.main.as_ref().filter(|live| live.settled)
    }

    pub(super) fn main_id(&self) -> Option<SessionId> {
        self.main.as_ref().map(|live| live.id)
    }

    pub(super) fn is_main(&self, session: SessionId) -> bool {
        self.main.as_ref().is_some_and(|live| live.id == session)
    }

    pub(super) fn living_mut(&mut self, session: SessionId) -> Option<&mut LiveSession> {
        let main = self.main.as_mut().filter(|live| live.id == session);
        main.or_else(|| self.standby.living_mut().find(|live| live.id == session))
    }

    /// Tells the listeners which sessions there are for new connections.
    pub(super) fn serve(&self, effects: &mut Effects) {
        let serving = self.living().filter(|live| live.takes_more()).map(|live| live.id);
        effects.push(TunnelEffect::Serve(serving.collect()));
    }

    /// A session carries from now on, in the place of the main one, which is given out.
    pub(super) fn go_live(&mut self, mut live: LiveSession, effects: &mut Effects) -> Option<LiveSession> {
        self.server.clone_from(&live.server);
        effects.push(TunnelEffect::Keep(live.id));
        // The machine knows of the one before.
        (live.settled, live.took_over) = (self.main.is_some(), self.main.is_some());
        self.main.replace(live)
    }

    /// The login of an attempt is under way.
    pub(super) fn begin(&mut self, login: PendingLogin) {
        self.server.clone_from(&login.server);
        self.attempt = Some(LoginAttempt::LoggingIn(login));
    }

    /// The hosts that are left for this start, else all of them.
    pub(super) fn sequence_for(&mut self, start: SessionId, spec: &TunnelSpec, now: Instant) -> HostSequence {
        match self.sequence.take() {
            Some((next, hosts)) if next == start => hosts,
            Some(_) | None => self.all_hosts(spec, now),
        }
    }

    /// The main one is lost, or given up. A login that was to replace it goes on: the next start takes it over.
    pub(super) fn take_main(&mut self, now: Instant, effects: &mut Effects) -> Option<LiveSession> {
        let live = self.main.take()?;
        self.serve(effects);
        if live.settled {
            self.last_up = Some(now);
        }
        Some(live)
    }

    /// A standby that answers takes the place of the main one, which is given out. `None`: there is none.
    pub(super) fn promote(&mut self, now: Instant, effects: &mut Effects) -> Option<LiveSession> {
        self.main.as_ref()?;
        let mut next = self.standby.take_clear(now)?;
        next.took_over = true;
        self.server.clone_from(&next.server);
        let old = self.main.replace(next);
        self.serve(effects);
        old
    }

    /// The main one comes up with this server in use; `returning` to a better one.
    pub(super) fn in_use(&mut self, returning: bool, spec: &TunnelSpec, now: Instant) {
        let place = self.place(spec);
        self.hosts.in_use(place, returning, now);
    }

    /// Of all hosts of the config, in order of preference, the one in use; the last for one that is not named any more.
    fn place(&self, spec: &TunnelSpec) -> usize {
        let mut hosts = spec.servers().map(|spec| &spec.destination);
        hosts.position(|host| *host == self.server).unwrap_or_else(|| spec.servers().count().saturating_sub(1))
    }

    /// The hosts of the config in the order in which they are tried.
    fn all_hosts(&self, spec: &TunnelSpec, now: Instant) -> HostSequence {
        HostSequence::new(self.host_order(spec, now))
    }

    /// All but the one in use.
    fn other_hosts(&self, spec: &TunnelSpec, now: Instant) -> HostSequence {
        let mut places = self.host_order(spec, now);
        let in_use = self.place(spec);
        places.retain(|place| *place != in_use);
        HostSequence::new(places)
    }

    fn host_order(&self, spec: &TunnelSpec, now: Instant) -> Vec<usize> {
        let hosts: Vec<&Destination> = spec.servers().map(|spec| &spec.destination).collect();
        self.hosts.order(&hosts, now)
    }

    /// A session that was replaced only finishes what it carries.
    pub(super) fn retire(&mut self, replaced: Retire, effects: &mut Effects) {
        if self.retired.len() >= MAX_RETIRED
            && let Some(oldest) = self.retired.pop_front()
        {
            effects.push(TunnelEffect::EndRetired(oldest));
        }
        self.retired.push_back(replaced.session);
        effects.push(TunnelEffect::Retire(Box::new(replaced)));
    }

    /// A replaced session retires when its listeners have been taken back, for which its successor waits.
    pub(super) fn hand_over(&mut self, replaced: Retire, successor: SessionId) {
        self.leaving.push((successor, replaced));
    }

    /// The listeners of a replaced session have been taken back. Gives it out, and its successor.
    pub(super) fn handed_over(&mut self, session: SessionId) -> Option<(SessionId, Retire)> {
        let at = self.leaving.iter().position(|(_, replaced)| replaced.session == session)?;
        Some(self.leaving.swap_remove(at))
    }

    /// A session is being closed; its remote ports are not free yet.
    pub(super) const fn hold_ports(&mut self) {
        self.ports_held += 1;
    }

    /// One that was being closed has given its remote ports back.
    pub(super) const fn release_ports(&mut self) {
        self.ports_held = self.ports_held.saturating_sub(1);
    }

    /// The server has yet to learn that the remote ports of a session before are free.
    pub(super) const fn are_ports_held(&self) -> bool {
        self.ports_held > 0
    }

    /// The operator or the network says that now is a good time.
    pub(super) fn retry_now(&mut self, now: Instant) {
        self.hosts.retry_now(now);
        self.standby.retry_now(now);
        if let Some(replacement) = &mut self.replacement {
            replacement.retry_now(now);
        }
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.main.as_ref().is_some_and(LiveSession::is_doubtful)
    }

    /// What the session that is up was made for, where the config wants another one.
    pub(super) fn serving(&self) -> Option<&Arc<ServingSession>> {
        self.main.as_ref()?.outdated.as_ref()
    }

    /// The session that is up is not the one that the config wants.
    pub(super) fn is_outdated(&self) -> bool {
        self.serving().is_some()
    }

    /// The session that is up is not the one that the config wants: what becomes of it.
    pub(super) fn outdated_note(&self) -> Option<String> {
        let live = self.main.as_ref().filter(|live| live.outdated.is_some())?;
        let again = self.blocked_replacement().map_or("", |_| ", and is made again as soon as its files change");
        let failed = live.successor_failed.as_ref().map(|why| format!("; its last login failed{again}: {why}"));
        Some(format!(
            "the session of before the config change serves on until the one for the new config is up{}",
            failed.unwrap_or_default()
        ))
    }

    /// What a person should know about the sessions, of which `wanted` should be up, at each forward that has nothing of
    /// its own to tell.
    pub(super) fn note(&self, wanted: u32) -> Option<String> {
        let live = self.main.as_ref()?;
        if let Path::Doubtful { why, .. } = live.path {
            let server = live.server.host_port();
            return Some(format!(
                "the path to {server} is in doubt: it {}; another session is being opened",
                why.as_str()
            ));
        }
        if live.outdated.is_some() {
            return Some("carried by the session of before the config change".to_owned());
        }
        let up = 1 + self.standby.living().filter(|standby| standby.takes_more()).count();
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        (live.settled && up < wanted).then(|| format!("{up} of {wanted} sessions are up"))
    }
}

impl LiveSession {
    pub(super) fn new(login: &PendingLogin, info: Arc<SessionInfo>, now: Moment) -> Self {
        Self {
            id: login.session,
            info,
            server: login.server.clone(),
            connected_at: now.wall,
            settled: false,
            next_hosts: HostSequence::default(),
            took_over: false,
            is_return: false,
            is_unfit: false,
            outdated: None,
            successor_failed: None,
            proven: false,
            since: now.awake,
            path: Path::Clear,
            doubt_told: false,
        }
    }

    /// New connections may use it.
    pub(super) fn takes_more(&self) -> bool {
        self.settled && self.path == Path::Clear
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.path != Path::Clear
    }

    /// When it is as old as `session_lifetime` lets it become.
    fn expires(&self, lifetime: Option<Duration>, seed: u64) -> Option<Instant> {
        lifetime.and_then(|lifetime| replace_reason::expiry(self.since, lifetime, draw(seed, self.id)))
    }
}

/// In `0.0..1.0`, the same each time for one session of one tunnel.
fn draw(seed: u64, session: SessionId) -> f64 {
    fastrand::Rng::with_seed(seed ^ session.as_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15)).f64()
}
