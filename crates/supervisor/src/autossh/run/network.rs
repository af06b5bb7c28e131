//! A changed network, for a tunnel that wants to hear of it. autossh sleeps on.

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::os::network::{self, NetworkChange};

/// Listens to the kernel.
pub(super) struct Network {
    changed: watch::Sender<u64>,
    events: mpsc::Receiver<NetworkChange>,
    _watcher: AbortOnDropHandle<()>,
}

impl Network {
    /// What is heard is counted in `changed`.
    pub(super) fn listen(changed: watch::Sender<u64>) -> Self {
        let (watcher, events) = network::watch();
        Self { changed, events, _watcher: watcher }
    }

    /// Until something changed; for ever without a netlink socket.
    pub(super) async fn heard(network: Option<&mut Self>) {
        if let Some(network) = network
            && network.events.recv().await.is_some()
        {
            network.changed.send_modify(|changes| *changes += 1);
            return;
        }
        std::future::pending().await
    }
}
