//! The sessions that new connections of local listeners may use: the one with the fewest connections is asked first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;
use tunnel_engine::forward::{ChannelOpener, DeviceOpener};
use tunnel_engine::session::{
    ChannelReader, ChannelWriter, DeviceChannel, DeviceError, OpenError, Originator, Session,
};
use tunnel_engine::spec::{Connect, DeviceMode, DeviceUnit};

#[derive(Clone)]
pub(super) struct Member {
    pub(super) session: Session,
    /// Cancelled when another took over from it because it does not answer: an open that waits there goes elsewhere.
    /// Nothing has been sent for it yet.
    pub(super) withdrawn: CancellationToken,
}

/// A cheap handle on sessions of one tunnel.
#[derive(Clone)]
pub(super) struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    members: Box<[Member]>,
    turn: AtomicUsize,
}

impl Pool {
    /// `None` where there is no session.
    pub(super) fn of(members: Vec<Member>) -> Option<Self> {
        let inner = Inner { members: members.into_boxed_slice(), turn: AtomicUsize::new(0) };
        (!inner.members.is_empty()).then(|| Self { inner: Arc::new(inner) })
    }

    fn order(&self) -> Vec<usize> {
        let loads: Vec<usize> = self.inner.members.iter().map(|member| *member.session.channels().borrow()).collect();
        order(&loads, self.inner.turn.fetch_add(1, Ordering::Relaxed))
    }
}

/// Places in the order in which they are asked: fewest connections first, among equals in turn.
fn order(loads: &[usize], turn: usize) -> Vec<usize> {
    let count = loads.len();
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by_key(|place| (loads[*place], (place + count - turn % count) % count));
    places
}

impl ChannelOpener for Pool {
    type Reader = ChannelReader;
    type Writer = ChannelWriter;

    async fn open(&self, target: &Connect, origin: &Originator) -> Result<(ChannelReader, ChannelWriter), OpenError> {
        for place in self.order() {
            let Some(member) = self.inner.members.get(place) else { continue };
            let opened = tokio::select! {
                opened = member.session.open(target, origin) => opened,
                () = member.withdrawn.cancelled() => Err(OpenError::SessionEnded),
            };
            match opened {
                Err(OpenError::SessionEnded) => {}
                Ok(_) | Err(_) => return opened,
            }
        }
        Err(OpenError::SessionEnded)
    }
}

/// A device's packets stay on one session, the tunnel's main one.
impl DeviceOpener for Pool {
    type Channel = DeviceChannel;

    fn is_same(&self, other: &Self) -> bool {
        let first = |pool: &Self| pool.inner.members.first().map(|member| member.session.clone());
        first(self).zip(first(other)).is_some_and(|(one, two)| one.is_same(&two))
    }

    async fn open_device(&self, mode: DeviceMode, unit: DeviceUnit) -> Result<DeviceChannel, DeviceError> {
        match self.inner.members.first() {
            Some(member) => member.session.open_tunnel_device(mode, unit).await,
            None => Err(DeviceError::SessionEnded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn least_loaded_session_is_asked_first() {
        assert_eq!(order(&[2, 0, 1], 0), [1, 2, 0]);
        assert_eq!(order(&[0, 0, 0], 0), [0, 1, 2]);
        assert_eq!(order(&[0, 0, 0], 1), [1, 2, 0]);
        assert_eq!(order(&[0, 0, 0], 5), [2, 0, 1]);
        assert_eq!(order(&[5], 7), [0]);
    }
}
