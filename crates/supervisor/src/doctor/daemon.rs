//! What a running daemon knows: which tunnels live, what they hold, and what servers asked it to wait for.

use std::time::Duration;

use nix::unistd::{Uid, User, geteuid};
use tunnel_engine::clock;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::{Forward, SessionSpec};

use super::check::{ACCOUNT, Check, TURN};
use crate::config::{DuringOutage, TunnelSpec};
use crate::lifecycle::{ForwardPhase, Phase, Want};
use crate::protocol::status::{Status, TunnelStatus};
use crate::tunnel::names_in_config;
use crate::word::Word;

/// A wait that a server asked for is waited out up to here; for a longer one there is no login at all.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The daemon's view, when there is one.
#[derive(Debug, Clone, Default)]
pub struct DaemonView {
    status: Option<Status>,
    /// Whom the daemon's process belongs to.
    runs_as: Option<u32>,
    /// One may run, and does not answer this user.
    refused: bool,
}

/// What the daemon holds of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaemonForward {
    /// The daemon's process.
    pub(super) pid: u32,
    pub(super) state: Word<ForwardPhase>,
    pub(super) message: Option<String>,
    /// Kind of the failure that `message` tells.
    pub(super) failure_kind: Option<Word<FailureKind>>,
}

impl DaemonView {
    /// What a daemon answered to `status`.
    pub fn of(status: Option<Status>) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let process = status.as_ref().and_then(|status| std::fs::metadata(format!("/proc/{}", status.pid)).ok());
        Self { status, runs_as: process.map(|process| process.uid()), refused: false }
    }

    /// This user has no right to ask.
    pub fn refused() -> Self {
        Self { refused: true, ..Self::default() }
    }

    /// Whether files and ports are seen here as the daemon sees them.
    pub(super) fn account(&self) -> Option<Check> {
        let Some(status) = &self.status else {
            let why = match self.refused {
                true => {
                    "this user may not ask the daemon (root and the daemon's user may): the config is examined as this user"
                }
                false => "no daemon answers: the config is examined as this user",
            };
            return Some(Check::skip(ACCOUNT, name_of(geteuid()), why));
        };
        let (here, there) = (geteuid(), Uid::from_raw(self.runs_as?));
        let (us, them) = (name_of(here), name_of(there));
        if here == there {
            return Some(Check::pass(ACCOUNT, us, format!("the daemon (pid {}) runs as the same user", status.pid)));
        }
        let message = format!(
            "the daemon (pid {}) runs as `{them}`, so that keys, files and ports may look otherwise to it",
            status.pid
        );
        let action = format!("run `sudo -u {them} tunneld doctor --config {}`", status.config);
        Some(Check::fail(ACCOUNT, us, message, action))
    }

    /// The daemon's word on this very tunnel.
    fn tunnel(&self, spec: &TunnelSpec) -> Option<(&Status, &TunnelStatus)> {
        let status = self.status.as_ref()?;
        let tunnel = status.tunnels.iter().find(|tunnel| tunnel.name == spec.name)?;
        let same = spec.servers().any(|server| server.destination.to_string() == tunnel.server);
        same.then_some((status, tunnel))
    }

    /// What the daemon holds for a listen address here: its listeners outlive sessions.
    pub(super) fn local(&self, spec: &TunnelSpec, forward: &Forward) -> Option<DaemonForward> {
        let (status, tunnel) = self.tunnel(spec)?;
        let wanted = tunnel.want == Want::Up && !matches!(tunnel.phase.known(), Some(Phase::Failed | Phase::Stopped));
        held(status, tunnel, spec, forward).filter(|_| wanted)
    }

    /// It logs in at this moment, and asks for the remote ports itself right after.
    pub(super) fn is_connecting(&self, spec: &TunnelSpec) -> bool {
        self.tunnel(spec).is_some_and(|(_, tunnel)| tunnel.phase == Phase::Connecting)
    }

    /// What it holds on the server: only while it has a session.
    pub(super) fn remote(&self, spec: &TunnelSpec, forward: &Forward) -> Option<DaemonForward> {
        let (status, tunnel) = self.tunnel(spec)?;
        held(status, tunnel, spec, forward).filter(|_| tunnel.session.is_some())
    }

    /// Returns when a login may be tried, with a check where it was waited for.
    ///
    /// # Errors
    /// The check that says why there is to be no login.
    pub(super) async fn wait_for_turn(&self, spec: &SessionSpec) -> Result<Option<Check>, Check> {
        let Some((wait, tunnel)) = self.asked_to_wait(spec) else { return Ok(None) };
        let server = spec.destination.host_port();
        if wait > MAX_WAIT {
            let message = format!(
                "the server asked the daemon to wait, `{}` for {} s more, so there is no login now: {}",
                tunnel.name,
                wait.as_secs(),
                tunnel.last_failure.as_ref().map_or("", |failure| failure.message.as_str())
            );
            let hint = tunnel.last_failure.as_ref().map_or("", |failure| failure.hint.as_str());
            return Err(Check::fail(TURN, server, message, format!("{hint}; examine it again when the wait is over")));
        }
        tokio::time::sleep_until((clock::now() + wait).into()).await;
        let message = format!("waited for {} s, as the server asked the daemon to", wait.as_secs());
        Ok(Some(Check::pass(TURN, server, message)))
    }

    fn asked_to_wait(&self, spec: &SessionSpec) -> Option<(Duration, &TunnelStatus)> {
        let server = spec.destination.host_port();
        let there = |tunnel: &&TunnelStatus| tunnel.server.rsplit_once('@').is_some_and(|(_, at)| at == server);
        let waits = self.status.iter().flat_map(|status| &status.tunnels).filter(there).filter_map(|tunnel| {
            let kind = tunnel.last_failure.as_ref()?.kind.known()?;
            let held_back = matches!(kind, FailureKind::ServerBusy | FailureKind::Penalized);
            let wait = tunnel.next_start_ms.filter(|_| held_back && tunnel.session.is_none())?;
            Some((Duration::from_millis(wait), tunnel))
        });
        waits.max_by_key(|(wait, _)| *wait)
    }
}

fn name_of(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

impl DaemonForward {
    pub(super) fn is_up(&self) -> bool {
        self.state == ForwardPhase::Up
    }

    /// Its listener here could not be bound, or not on each of its addresses.
    pub(super) fn cannot_listen(&self) -> bool {
        let kind = self.failure_kind.as_ref().and_then(Word::known);
        matches!(kind, Some(FailureKind::ListenInUse | FailureKind::ListenDenied))
    }

    /// Whether its listener here is bound, as far as the daemon tells: it is bound once, before the first session, and
    /// kept through whatever becomes of sessions and targets.
    pub(super) fn listens_here(&self, during_outage: DuringOutage) -> bool {
        match self.state.known() {
            Some(ForwardPhase::Up | ForwardPhase::Stale | ForwardPhase::Unverified) => true,
            Some(ForwardPhase::Pending) => during_outage != DuringOutage::Refuse,
            Some(ForwardPhase::Down) => self.failure_kind.is_some() && !self.cannot_listen(),
            None => false,
        }
    }
}

/// By its name: status shows real addresses, where the config may have names or none.
fn held(status: &Status, tunnel: &TunnelStatus, spec: &TunnelSpec, forward: &Forward) -> Option<DaemonForward> {
    let at = spec.forwards.iter().position(|known| known == forward)?;
    let name = names_in_config(&spec.forwards).into_iter().nth(at)?;
    let found = tunnel.forwards.iter().find(|known| known.name == name)?;
    Some(DaemonForward {
        pid: status.pid,
        state: found.state.clone(),
        message: found.message.clone(),
        failure_kind: found.failure_kind.clone(),
    })
}

#[cfg(test)]
mod tests {
    use tunnel_engine::spec::ForwardKind;

    use super::*;
    use crate::protocol::status::{ForwardStatus, example};
    use crate::tunnel::test_support::tunnel_spec;

    fn waiting(kind: &str, ms: u64) -> DaemonView {
        let mut tunnel = example::tunnel("other", "backoff", false);
        let spec = tunnel_spec("t", &[]);
        tunnel.server = format!("other@{}", spec.session.destination.host_port());
        tunnel.last_failure = Some(example::failure(kind, "it said no"));
        tunnel.next_start_ms = Some(ms);
        DaemonView { status: Some(example::status(vec![tunnel])), ..DaemonView::default() }
    }

    #[test]
    fn listener_is_the_daemons_own_whatever_became_of_its_target() {
        let forward = |state: &str, kind: Option<FailureKind>| {
            let (state, failure_kind) = (Word::read(state), kind.map(Into::into));
            DaemonForward { pid: 7, state, message: None, failure_kind }
        };
        let hold = |state, kind| forward(state, kind).listens_here(DuringOutage::Hold);
        assert!(hold("up", None) && hold("pending", None), "bound before there is a session");
        assert!(hold("down", Some(FailureKind::ProbeFailed)), "its target refused a user");
        assert!(!hold("down", Some(FailureKind::ListenInUse)) && !hold("down", Some(FailureKind::ListenDenied)));
        assert!(!hold("down", None), "a daemon of an earlier version tells no kind");
        assert!(!forward("pending", None).listens_here(DuringOutage::Refuse), "closed until there is a session");
    }

    #[test]
    fn forward_is_known_by_its_name() {
        let mut spec = tunnel_spec("t", &[]);
        spec.forwards = ["0:localhost:22", "2222:localhost:22", "[::1]:2222:localhost:22"]
            .map(|text| Forward::parse(ForwardKind::Remote, text).unwrap())
            .into();
        let mut tunnel = example::tunnel("t", "connected", true);
        tunnel.server = spec.session.destination.to_string();
        let there = [
            ("-R [::1]:2222", "[::1]:2222", "down"),
            ("-R 0:localhost:22", "localhost:40001", "pending"),
            ("-R 2222", "localhost:2222", "up"),
        ];
        tunnel.forwards = there
            .map(|(name, listen, state)| ForwardStatus {
                kind: ForwardKind::Remote.into(),
                listen: listen.to_owned(),
                connect: Some("localhost:22".to_owned()),
                ..example::forward(name, state)
            })
            .into();
        let known = DaemonView::of(Some(example::status(vec![tunnel])));
        let state = |at: usize| known.local(&spec, &spec.forwards[at]).map(|held| held.state);
        assert_eq!(names_in_config(&spec.forwards), ["-R 0:localhost:22", "-R 2222", "-R [::1]:2222"]);
        assert_eq!(state(0), Some(ForwardPhase::Pending.into()), "not the one that goes to the same place");
        assert_eq!(state(1), Some(ForwardPhase::Up.into()));
        assert_eq!(state(2), Some(ForwardPhase::Down.into()), "not the one of the same port");
    }

    #[test]
    fn daemon_that_may_not_be_asked_is_not_said_to_be_away() {
        let told = |known: DaemonView| known.account().map(|check| check.message).unwrap_or_default();
        assert!(told(DaemonView::refused()).starts_with("this user may not ask the daemon"));
        assert!(told(DaemonView::of(None)).starts_with("no daemon answers"));
    }

    #[test]
    fn other_account_is_examined_with_the_daemons_config() {
        let (status, runs_as) = (Some(example::status(Vec::new())), Some(geteuid().as_raw() + 1));
        let known = DaemonView { status, runs_as, refused: false };
        let action = known.account().and_then(|check| check.action).expect("an action");
        let config = &example::status(Vec::new()).config;
        assert!(action.ends_with(&format!("tunneld doctor --config {config}`")), "{action}");
    }

    #[tokio::test(start_paused = true)]
    async fn wait_that_a_server_asked_for_is_kept() {
        let spec = tunnel_spec("t", &[]).session;
        let (began, busy) = (clock::now(), waiting("server_busy", 7_000));
        assert!(busy.wait_for_turn(&spec).await.is_ok_and(|check| check.is_some()));
        assert!(clock::now() - began >= Duration::from_secs(7));
        let refusal = waiting("penalized", 600_000).wait_for_turn(&spec).await.expect_err("no login");
        assert!(refusal.message.contains("600 s") && refusal.message.contains("it said no"), "{refusal:?}");
        let began = clock::now();
        assert_eq!(waiting("connect_refused", 600_000).wait_for_turn(&spec).await, Ok(None));
        assert_eq!(clock::now(), began, "other waits are the daemon's own");
    }
}
