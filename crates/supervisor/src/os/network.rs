//! What happens to this machine's network, as few events, however much it flaps.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::{clock, task};

use super::netlink::Netlink;
use super::resume::{CHECK_INTERVAL, Wakefulness};

/// Changes come in bursts: an address, its routes, the link. They are one change.
const SETTLE: Duration = Duration::from_millis(100);

/// A link that flaps is reported this often at most: each time every session is asked and every wait ended.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Changes that wait for the supervisor. One is as good as many.
const QUEUE: usize = 1;

/// The way to any server may be another one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkChange {
    /// What was seen last, for the log.
    pub what: &'static str,
}

/// Tells of changes from now on, until the handle is dropped.
pub fn watch() -> (AbortOnDropHandle<()>, mpsc::Receiver<NetworkChange>) {
    let (sender, changes) = mpsc::channel(QUEUE);
    let netlink = match Netlink::open() {
        Ok(netlink) => Some(netlink),
        Err(error) => {
            tracing::warn!(%error, "cannot hear of network changes from the kernel (netlink): a changed link, address or route is noticed later");
            None
        }
    };
    let wakefulness = Wakefulness::new(clock::boot(), clock::now());
    (task::owned(NetworkWatcher { netlink, wakefulness }.run(sender)), changes)
}

struct NetworkWatcher {
    netlink: Option<Netlink>,
    wakefulness: Wakefulness,
}

impl NetworkWatcher {
    async fn run(mut self, sender: mpsc::Sender<NetworkChange>) {
        loop {
            let mut what = self.next().await;
            let settled = clock::now() + SETTLE;
            while let Ok(more) = tokio::time::timeout_at(settled.into(), self.next()).await {
                what = more;
            }
            clock::beat();
            match sender.try_send(NetworkChange { what }) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
            tokio::time::sleep_until((clock::now() + AT_MOST_EVERY).into()).await;
        }
    }

    async fn next(&mut self) -> &'static str {
        loop {
            clock::beat();
            let next_check = clock::now() + CHECK_INTERVAL;
            tokio::select! {
                received = receive(self.netlink.as_mut()) => match received {
                    Ok(what) => return what,
                    Err(error) => {
                        tracing::warn!(%error, "the kernel tells no more of network changes");
                        self.netlink = None;
                    }
                },
                () = tokio::time::sleep_until(next_check.into()) => {
                    if self.wakefulness.check(clock::boot(), clock::now()).is_some() {
                        return "this machine has slept";
                    }
                }
            }
        }
    }
}

async fn receive(netlink: Option<&mut Netlink>) -> std::io::Result<&'static str> {
    match netlink {
        Some(netlink) => netlink.next().await.map(super::netlink::RouteEvent::as_str),
        None => std::future::pending().await,
    }
}
