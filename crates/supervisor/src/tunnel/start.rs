//! One login, from the first packet to the session: with the connection that a knock brought, and anew when the
//! network changes meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tunnel_engine::clock;
use tunnel_engine::dial::{Dialer, Dialing, Link, Prepared};
use tunnel_engine::examine::Recorder;
use tunnel_engine::failure::Failure;
use tunnel_engine::session::{IncomingChannels, Session};
use tunnel_engine::spec::{SessionSpec, Via};

use super::files::{Look, Watched};
use super::handle::Context;
use super::together::look;
use crate::supervise::knocker::Door;

/// A network that changes more often during one start does not get better by another dial.
const MOST_TIMES_ANEW: u32 = 5;

/// A connection that has waited for its login for longer may have been given up by the server.
const FRESH: Duration = Duration::from_secs(2);

/// A connection that waits for the tunnel's next login.
#[derive(Clone, Default)]
pub(crate) struct ReadyLink(Arc<Mutex<Option<(Door, Link, Instant)>>>);

impl ReadyLink {
    pub(super) fn put(&self, door: Door, link: Link) {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace((door, link, clock::now()));
        drop(before);
    }

    /// A dialer that begins with the link, when it leads to an address on the route of `spec`. A link that does not, or
    /// is old, is closed.
    fn take(&self, spec: &SessionSpec, rest: &Arc<dyn Dialer>) -> Option<Box<dyn Dialer>> {
        let (door, link, since) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if clock::now().saturating_duration_since(since) > FRESH {
            return None;
        }
        match &door {
            Door::First { .. } if Door::of(spec).as_ref() == Some(&door) => rest.starting_with(Ok(link)),
            Door::Behind(_) if Door::behind(spec).as_ref() == Some(&door) => {
                Some(Box::new(Prepared::new(Ok(link), rest.clone())))
            }
            Door::First { .. } | Door::Behind(_) => None,
        }
    }
}

/// How the files that a login reads looked before it read them. A server that is away is dialled again and again, and
/// costs no look.
#[derive(Clone)]
pub(super) struct FirstLook(Arc<FirstLookAt>);

struct FirstLookAt {
    watched: Arc<Watched>,
    seen: Mutex<Option<Look>>,
}

impl FirstLook {
    pub(super) fn at(watched: Watched) -> Self {
        Self(Arc::new(FirstLookAt { watched: Arc::new(watched), seen: Mutex::default() }))
    }

    /// `None`: there was no need for one.
    pub(super) fn take(&self) -> Option<Look> {
        self.seen().take()
    }

    async fn look(&self) {
        if self.seen().is_none()
            && let Some(look) = look(self.0.watched.clone()).await
        {
            self.seen().get_or_insert(look);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Look>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks when the server has been reached, before any file is read.
struct Looking {
    dialer: Arc<dyn Dialer>,
    first_look: FirstLook,
}

impl Dialer for Looking {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(async move {
            // On the other ways, files are read for the first machine.
            if !matches!(spec.dial.via, Via::Direct) {
                self.first_look.look().await;
            }
            let link = self.dialer.dial(spec, deadline).await?;
            self.first_look.look().await;
            Ok(link)
        })
    }

    fn recorder(&self) -> Recorder {
        self.dialer.recorder()
    }
}

/// Names are resolved, and the way is chosen, anew when the network changes meanwhile. `scheduled`: nothing but the
/// clock asked for it, so that what another tunnel has just been told by the server is as good as an answer of its own.
pub(super) async fn session(
    spec: &SessionSpec,
    context: &Context,
    scheduled: bool,
    first_look: &FirstLook,
) -> Result<(Session, IncomingChannels), Failure> {
    let mut network = context.network.clone();
    network.mark_unchanged();
    let looking = |dialer| Looking { dialer, first_look: first_look.clone() };
    let known = || {
        let refused = context.knocker.refused(spec).filter(|_| scheduled)?;
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
                    Ok(_) => context.knocker.note_reached(spec),
                    Err(failure) if dials || times_anew > 0 => context.knocker.note_refused(spec, failure),
                    Err(_) => {}
                }
                return opened;
            }
            Ok(()) = network.changed(), if times_anew < MOST_TIMES_ANEW => times_anew += 1,
        }
        dialer = looking(context.dialer.clone());
    }
}
