//! One login, from the first packet to the session: with the connection of a probe, and anew when the
//! network changes meanwhile.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tunnel_engine::clock;
use tunnel_engine::dial::{Dialer, Dialing, Link, Prepared};
use tunnel_engine::examine::LoginRecorder;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{IncomingChannels, Session};
use tunnel_engine::spec::{Route, SessionSpec};

use super::core::LoginFailure;
use super::file_stamps::{FileStamps, WatchedFiles};
use super::handle::Context;
use super::stamp_batch::look;
use crate::servers::reachability::Endpoint;

/// A network that changes more often during one start does not get better by another dial.
const MAX_RESTAMPS: u32 = 5;

/// A connection that has waited for its login for longer may have been given up by the server.
const FRESH: Duration = Duration::from_secs(2);

/// A connection that waits for the tunnel's next login.
#[derive(Clone, Default)]
pub(crate) struct OpenedLink(Arc<Mutex<Option<(Endpoint, Link, Instant)>>>);

impl OpenedLink {
    pub(super) fn put(&self, endpoint: Endpoint, link: Link) {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace((endpoint, link, clock::now()));
        drop(before);
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// A dialer that begins with the link, when it leads to an address on the route of `spec`. A link that does not, or
    /// is old, is closed.
    fn take(&self, spec: &SessionSpec, rest: &Arc<dyn Dialer>) -> Option<Box<dyn Dialer>> {
        let (endpoint, link, since) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if clock::now().saturating_duration_since(since) > FRESH {
            return None;
        }
        match &endpoint {
            Endpoint::First { .. } if Endpoint::of(spec).as_ref() == Some(&endpoint) => rest.starting_with(Ok(link)),
            Endpoint::Behind(_) if Endpoint::behind(spec).as_ref() == Some(&endpoint) => {
                Some(Box::new(Prepared::new(Ok(link), rest.clone())))
            }
            Endpoint::First { .. } | Endpoint::Behind(_) => None,
        }
    }
}

/// How the files that a login reads looked before it read them. A server that is away is dialled again and again, and
/// costs no look.
#[derive(Clone)]
struct StampsBefore {
    watched: Arc<WatchedFiles>,
    seen: Arc<Mutex<Option<FileStamps>>>,
}

impl StampsBefore {
    /// `None`: there was no need for one.
    fn take(&self) -> Option<FileStamps> {
        self.seen().take()
    }

    async fn look(&self) {
        if self.seen().is_none()
            && let Some(look) = look(self.watched.clone()).await
        {
            self.seen().get_or_insert(look);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Option<FileStamps>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks when the server has been reached, before any file is read.
struct StampingDialer {
    dialer: Arc<dyn Dialer>,
    first_look: StampsBefore,
}

impl Dialer for StampingDialer {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(async move {
            // On the other ways, files are read for the first machine.
            if !matches!(spec.dial.via, Route::Direct) {
                self.first_look.look().await;
            }
            let link = self.dialer.dial(spec, deadline).await?;
            self.first_look.look().await;
            Ok(link)
        })
    }

    fn logged_in(&self, spec: &SessionSpec, peer: SocketAddr) {
        self.dialer.logged_in(spec, peer);
    }

    fn login_failed(&self, spec: &SessionSpec, peer: SocketAddr, failure: Failure) -> Failure {
        self.dialer.login_failed(spec, peer, failure)
    }

    fn recorder(&self) -> LoginRecorder {
        self.dialer.recorder()
    }
}

/// A session that has just been authenticated.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) incoming: IncomingChannels,
}

/// How a login ended.
pub(super) struct LoginEnd {
    pub(super) result: Result<Opened, LoginFailure>,
    /// How the files that it reads looked before; `None` where the server was not reached.
    pub(super) files: Option<FileStamps>,
}

/// What a dial of this server would be told now, as another has just been told it. A start that knows has nothing to wait
/// for, and costs hundreds of tunnels whose server is away no job.
pub(super) fn known_refusal(spec: &SessionSpec, context: &Context) -> Option<LoginFailure> {
    let dials = matches!(spec.dial.via, Route::Direct) && context.ready_link.is_empty();
    let failure = dials.then(|| context.reachability.refused(spec)).flatten()?;
    Some(LoginFailure { failure, asked: None })
}

/// One login: the server's turn first, then all of it before `connect_timeout`.
pub(super) async fn log_in(
    spec: SessionSpec,
    context: Context,
    files: WatchedFiles,
    last_up: Option<Instant>,
    scheduled: bool,
) -> LoginEnd {
    let permit = context.governor.permit_at(&context.place, &spec, last_up).await;
    let first_look = StampsBefore { watched: Arc::new(files), seen: Arc::default() };
    let result = session(&spec, &context, scheduled, &first_look).await;
    let outcome = match &result {
        Ok(_) => Some(Ok(())),
        // The absence of a server says nothing of it, nor does a shortage here.
        Err(failure) => {
            let answered = failure.unreached().is_none() && failure.kind() != FailureKind::ResourceShortage;
            answered.then(|| Err(failure.kind()))
        }
    };
    let asked = outcome.and_then(|outcome| permit.finish(&spec.destination.host_port(), outcome));
    let result = result.map(|(session, incoming)| Opened { session, incoming });
    LoginEnd { result: result.map_err(|failure| LoginFailure { failure, asked }), files: first_look.take() }
}

/// Names are resolved, and the way is chosen, anew when the network changes meanwhile. `scheduled`: nothing but the
/// clock asked for it, so that what another tunnel has just been told by the server is as good as an answer of its own.
async fn session(
    spec: &SessionSpec,
    context: &Context,
    scheduled: bool,
    first_look: &StampsBefore,
) -> Result<(Session, IncomingChannels), Failure> {
    let mut network = context.network.clone();
    network.mark_unchanged();
    let looking = |dialer| StampingDialer { dialer, first_look: first_look.clone() };
    let known = || {
        let refused = context.reachability.refused(spec).filter(|_| scheduled)?;
        context.dialer.starting_with(Err(refused))
    };
    let link = context.ready_link.take(spec, &context.dialer);
    let known = link.is_none().then(known).flatten();
    let dials = link.is_none() && known.is_none();
    let mut dialer = match link.or(known) {
        Some(prepared) => looking(Arc::from(prepared)),
        None => looking(context.dialer.clone()),
    };
    let mut times_anew = 0;
    loop {
        tokio::select! {
            biased;
            opened = Session::open(spec, &dialer) => {
                match &opened {
                    Ok(_) => context.reachability.note_reached(spec),
                    Err(failure) if dials || times_anew > 0 => context.reachability.note_refused(spec, failure),
                    Err(_) => {}
                }
                return opened;
            }
            Ok(()) = network.changed(), if times_anew < MAX_RESTAMPS => times_anew += 1,
        }
        dialer = looking(context.dialer.clone());
    }
}
