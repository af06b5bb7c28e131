//! Waiting for addresses that cannot be bound, most often because another program holds them. Hundreds of forwards may
//! wait for days, so a try that changes nothing is one system call, and all of them happen in one wakeup.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::{SockAddr, Socket};

use super::{BindOptions, Bound, SocketStore, addresses, tcp};
use crate::backoff::LISTENER;
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::spec::Listen;

/// How often: the holder may have gone, the address may have come up.
pub(in crate::forward) const TRY_EVERY: Duration = LISTENER.first;

/// After so long a failure that stays the same is given back all the same, to be counted and told.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// How long an address may be in use before it is told: another forward of this process, from which a reload moved it to
/// this one, closes its sockets as soon as its loop turns, and so does a daemon that ends.
const RELEASED_WITHIN: Duration = Duration::from_millis(500);

/// Users are refused meanwhile.
const RELEASE_LOOK: Duration = Duration::from_millis(5);

/// When the next try after `now` is.
pub(in crate::forward) fn next_try(now: Instant) -> Instant {
    clock::tick_before(now + TRY_EVERY, TRY_EVERY)
}

impl Bound {
    /// As [`Bound::take_or_bind`], and waits a moment for addresses that are in use: a reload moves them from one forward
    /// to another.
    ///
    /// # Errors
    /// Those of [`Bound::bind`].
    pub async fn once_released(
        listen: &Listen,
        options: BindOptions,
        store: Arc<dyn SocketStore>,
    ) -> Result<Self, Failure> {
        let is_in_use = |failure: &Failure| failure.kind() == FailureKind::ListenInUse;
        // Who has it is looked for once it is not released.
        let in_use = Failure::new(FailureKind::ListenInUse, "in use");
        let until = clock::now() + RELEASED_WITHIN;
        let mut part: Option<Self> = None;
        while clock::now() < until {
            if let Some(bound) = &mut part {
                bound.complete(clock::now()).await;
            } else {
                match Self::take_or_bind(listen, options, store.clone(), Some(&in_use)).await {
                    Ok(bound) => part = Some(bound),
                    Err(failure) if is_in_use(&failure) => {}
                    Err(failure) => return Err(failure),
                }
            }
            if let Some(bound) = part.take_if(|bound| !bound.missing().is_some_and(is_in_use)) {
                return Ok(bound);
            }
            tokio::time::sleep_until((clock::now() + RELEASE_LOOK).into()).await;
        }
        match part {
            Some(bound) => Ok(bound),
            None => Self::take_or_bind(listen, options, store, None).await,
        }
    }

    /// As [`Bound::take_or_bind`], which has `failed` before: tried each second until it succeeds or fails in another
    /// way; and once a minute the failure is given back as it is.
    ///
    /// # Errors
    /// Those of [`Bound::bind`].
    pub async fn when_free(
        listen: &Listen,
        options: BindOptions,
        store: Arc<dyn SocketStore>,
        failed: &Failure,
    ) -> Result<Self, Failure> {
        let told_again = clock::now() + TOLD_AGAIN;
        let mut waiting = UnboundSockets::for_listen(listen, options).await;
        loop {
            tokio::time::sleep_until(next_try(clock::now()).into()).await;
            // Who holds it is looked for when it is told again.
            let known = (clock::now() < told_again).then_some(failed);
            if known.is_some() && waiting.as_ref().is_some_and(UnboundSockets::is_unchanged) {
                continue;
            }
            // A socket of these may have got its address now.
            drop(waiting.take());
            match Self::take_or_bind(listen, options, store.clone(), known).await {
                Err(failure) if failure == *failed && known.is_some() => {
                    waiting = UnboundSockets::for_listen(listen, options).await;
                }
                result @ (Ok(_) | Err(_)) => return result,
            }
        }
    }
}

/// Unbound sockets for addresses that cannot be bound: a bind that fails leaves the socket as it was.
pub(super) struct UnboundSockets {
    sockets: Vec<(Socket, SockAddr, Errno)>,
}

impl UnboundSockets {
    /// `None` where one of the addresses can be bound now, or the sockets cannot be had.
    pub(super) fn for_addresses(wanted: &[SocketAddr]) -> Option<Self> {
        let refused = |address: &SocketAddr| {
            let (socket, address) = (tcp::socket(*address).ok()?, SockAddr::from(*address));
            let errno = refusal(&socket, &address)?;
            Some((socket, address, errno))
        };
        wanted.iter().map(refused).collect::<Option<Vec<_>>>().map(|sockets| Self { sockets })
    }

    async fn for_listen(listen: &Listen, options: BindOptions) -> Option<Self> {
        match listen {
            Listen::Tcp { bind, port } => Self::for_addresses(&addresses::of(bind, *port, options).await.ok()?),
            Listen::Unix(_) | Listen::Device { .. } => None,
        }
    }

    /// Every address is refused for the same reason as before. Otherwise this is of no use any more.
    pub(super) fn is_unchanged(&self) -> bool {
        self.sockets.iter().all(|(socket, address, before)| refusal(socket, address) == Some(*before))
    }
}

fn refusal(socket: &Socket, address: &SockAddr) -> Option<Errno> {
    let error = socket.bind(address).err()?;
    Some(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::forward::bind::NoStore;
    use crate::spec::Bind;

    fn held() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn a_held_address_is_waited_for_until_it_is_free() {
        let (holder, address) = held();
        let waiting = UnboundSockets::for_addresses(&[address]).unwrap();
        assert!(waiting.is_unchanged() && waiting.is_unchanged());
        drop(holder);
        assert!(!waiting.is_unchanged());
        drop(waiting);
        assert!(UnboundSockets::for_addresses(&[address]).is_none(), "there is nothing to wait for");
    }

    #[tokio::test]
    async fn address_that_is_given_up_soon_is_bound_without_a_failure() {
        let (holder, address) = held();
        let listen = Listen::Tcp { bind: Bind::Address("127.0.0.1".to_owned()), port: address.port() };
        let released = Bound::once_released(&listen, BindOptions::default(), Arc::new(NoStore));
        let mut released = std::pin::pin!(released);
        let early = tokio::time::timeout(RELEASED_WITHIN / 4, &mut released).await;
        assert!(early.is_err(), "it is waited for");
        drop(holder);
        let bound = released.await.expect("bound, without a failure");
        assert_eq!(bound.addresses().len(), 1);
    }

    #[tokio::test]
    async fn an_address_is_bound_soon_after_its_release() {
        let (holder, address) = held();
        let listen = Listen::Tcp { bind: Bind::Address("127.0.0.1".to_owned()), port: address.port() };
        let options = BindOptions::default();
        let failed = Bound::bind(&listen, options).await.map(|_| ()).unwrap_err();
        let free = Bound::when_free(&listen, options, Arc::new(NoStore), &failed);
        let mut free = std::pin::pin!(free);
        let early = tokio::time::timeout(TRY_EVERY * 2, &mut free).await;
        assert!(early.is_err(), "it is held");
        drop(holder);
        let bound = tokio::time::timeout(TRY_EVERY * 2, free).await.expect("soon").expect("bound");
        assert_eq!(bound.addresses().len(), 1);
    }
}
