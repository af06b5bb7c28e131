//! A server behind a jump host: one login at the jump host, whose session is kept and asked for the server again and
//! again. Each answer costs the jump host a connection attempt and no login.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tunnel_engine::backoff::{Backoff, JUMP_LOGIN, JUMP_QUESTION, REACHABILITY};
use tunnel_engine::clock;
use tunnel_engine::dial::{Dialer, JumpHost, Link, Prepared};
use tunnel_engine::failure::{Failure, Unreached};
use tunnel_engine::spec::{Destination, Route, SessionSpec};

use super::{Endpoint, ReachabilityShared, first_hop, probe_endpoint};

/// Questions that the jump host has not answered yet. Where packets to the server are lost, its kernel goes on with each
/// for two minutes, and all of them may be answered together: each that is not used is one more connection that the
/// server sees come and go.
const MAX_UNANSWERED: usize = 4;

/// A server, and the way to the jump host in front of it. Tunnels with the same of both are served by one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpTarget {
    jump: Arc<SessionSpec>,
    target: Destination,
}

impl JumpTarget {
    pub(super) fn new(jump: &SessionSpec, target: &Destination) -> Self {
        Self { jump: Arc::new(jump.clone()), target: target.clone() }
    }
}

/// By the names: specs that differ in other keys are rare, and told apart by `Eq`.
impl Hash for JumpTarget {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.jump.destination.hash(state);
        self.target.hash(state);
    }
}

/// Asks until the server is back; `None` when no tunnel waits any more.
pub(super) async fn watch(shared: &ReachabilityShared, endpoint: &Endpoint, behind: &JumpTarget) -> Option<Link> {
    let mut logins = 0;
    let mut dialer = None;
    loop {
        match login(shared, behind, dialer.take()).await {
            Ok(host) => {
                if let Some(link) = ask(shared, endpoint, &host, &behind.target).await? {
                    return Some(link);
                }
            }
            // The jump host went away too.
            Err(failure) if failure.unreached() == Some(Unreached::Directly) => {
                let link = probe_endpoint(shared, endpoint, first_hop(&behind.jump)?).await?;
                dialer = shared.dialer.starting_with(Ok(link));
                continue;
            }
            Err(failure) if failure.unreached() == Some(Unreached::BehindJump) => {
                // And so did its own, or it cannot be reached from there.
                let Route::Jump(before) = &behind.jump.dial.via else { return None };
                let link =
                    Box::pin(watch(shared, endpoint, &JumpTarget::new(before, &behind.jump.destination))).await?;
                dialer = Some(Box::new(Prepared::new(Ok(link), shared.dialer.clone())));
                continue;
            }
            Err(failure) => tracing::debug!(%failure, "cannot ask a jump host for the server behind it"),
        }
        shared.interval(endpoint, clock::now())?;
        let again = clock::now() + JUMP_LOGIN.drawn(logins, fastrand::f64());
        logins += 1;
        tokio::time::sleep_until(again.into()).await;
    }
}

async fn login(
    shared: &ReachabilityShared,
    behind: &JumpTarget,
    dialer: Option<Box<dyn Dialer>>,
) -> Result<JumpHost, Failure> {
    let permit = shared.governor.permit(&behind.jump, None).await;
    let host = JumpHost::open(&behind.jump, dialer.as_deref().unwrap_or(&*shared.dialer)).await;
    permit.finish(&behind.jump.destination.host_port(), host.as_ref().map(drop).map_err(Failure::kind));
    host
}

/// Asks over one session. `None`: no tunnel waits any more. `Some(None)`: the session has ended.
async fn ask(
    shared: &ReachabilityShared,
    endpoint: &Endpoint,
    host: &JumpHost,
    target: &Destination,
) -> Option<Option<Link>> {
    let mut unanswered = FuturesUnordered::new();
    let mut next = clock::now();
    loop {
        tokio::select! {
            biased;
            Some(answer) = unanswered.next() => match answer {
                Ok(link) => return Some(Some(link)),
                Err(_) if host.has_ended() => return Some(None),
                Err(_) => {}
            },
            () = tokio::time::sleep_until(next.into()), if unanswered.len() < MAX_UNANSWERED => {
                let now = clock::now();
                let interval = shared.interval(endpoint, now)?.max(REACHABILITY.first);
                unanswered.push(host.connect(target));
                // A server that does not even refuse is asked less often: see MAX_UNANSWERED.
                let before = u32::try_from(unanswered.len()).unwrap_or(u32::MAX).saturating_sub(1);
                let backoff = Backoff { first: interval, longest: interval.saturating_mul(8), ..JUMP_QUESTION };
                next = now + backoff.drawn(before, fastrand::f64());
            }
        }
    }
}
