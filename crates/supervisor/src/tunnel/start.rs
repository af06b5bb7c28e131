//! One login, from the first packet to the session: with the connection that a knock brought, and anew when the
//! network changes meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tunnel_engine::clock;
use tunnel_engine::dial::{Dialer, Link, Prepared};
use tunnel_engine::failure::Failure;
use tunnel_engine::session::{IncomingChannels, Session};
use tunnel_engine::spec::SessionSpec;

use super::handle::Context;
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
            Door::First { .. } if Door::of(spec).as_ref() == Some(&door) => rest.starting_with(link),
            Door::Behind(_) if Door::behind(spec).as_ref() == Some(&door) => {
                Some(Box::new(Prepared::new(link, rest.clone())))
            }
            Door::First { .. } | Door::Behind(_) => None,
        }
    }
}

/// Names are resolved, and the way is chosen, anew when the network changes meanwhile.
pub(super) async fn session(spec: &SessionSpec, context: &Context) -> Result<(Session, IncomingChannels), Failure> {
    let mut network = context.network.clone();
    network.mark_unchanged();
    let prepared = context.ready_link.take(spec, &context.dialer);
    let mut dialer: &dyn Dialer = prepared.as_deref().unwrap_or(&*context.dialer);
    let mut times_anew = 0;
    loop {
        tokio::select! {
            biased;
            opened = Session::open(spec, dialer) => return opened,
            Ok(()) = network.changed(), if times_anew < MOST_TIMES_ANEW => times_anew += 1,
        }
        dialer = &*context.dialer;
    }
}
