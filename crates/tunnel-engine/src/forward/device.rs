//! A tunnel device: a network device of this machine whose packets go to one of the server's. It is opened once, and
//! stays, with its addresses and routes, through reconnects; packets that are sent meanwhile are lost.

mod open;
mod serve;

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

pub use open::OpenDevice;
pub use serve::DeviceRequest;

use super::bind::SocketStore;
use super::stats::ForwardStats;
use super::traits::DeviceOpener;
use crate::failure::Failure;
use crate::spec::DeviceUnit;
use crate::task;

/// State of a tunnel device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceState {
    /// It is being opened.
    Opening,
    /// It cannot be opened here. Tried again each second.
    Failed(Failure),
    /// It is there, and the server has no device for it: there is no session, or the server has yet to answer.
    Waiting {
        /// Name of the device on this machine.
        name: String,
    },
    /// It is there, and the server gives it none. Asked again each second; each minute where its policy forbids it.
    Refused {
        /// Name of the device on this machine.
        name: String,
        /// The reason.
        failure: Failure,
    },
    /// It carries packets.
    Up {
        /// Name of the device on this machine.
        name: String,
    },
}

impl DeviceState {
    /// Its name here, while it is there.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Opening | Self::Failed(_) => None,
            Self::Waiting { name } | Self::Refused { name, .. } | Self::Up { name } => Some(name),
        }
    }

    /// Why it does not carry packets, where something is in the way.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Refused { failure, .. } => Some(failure),
            Self::Opening | Self::Waiting { .. } | Self::Up { .. } => None,
        }
    }
}

/// A running tunnel device. Dropping it closes it: one that was not there before ends with it.
pub struct DeviceForward {
    state: watch::Receiver<DeviceState>,
    look: Arc<Notify>,
    remote: watch::Sender<DeviceUnit>,
    _task: AbortOnDropHandle<()>,
}

impl DeviceForward {
    /// Opens the device, and carries its packets over whichever session there is.
    pub fn spawn<O: DeviceOpener>(
        wish: DeviceRequest,
        sessions: watch::Receiver<Option<O>>,
        store: Arc<dyn SocketStore>,
        stats: Arc<ForwardStats>,
    ) -> Self {
        let (report, state) = watch::channel(DeviceState::Opening);
        let look = Arc::<Notify>::default();
        let (remote, asked) = watch::channel(wish.remote);
        let task = serve::DeviceTask { wish, remote: asked, store, sessions, look: look.clone(), state: report, stats };
        Self { state, look, remote, _task: task::owned(task.run()) }
    }

    /// The present state.
    pub fn state(&self) -> watch::Ref<'_, DeviceState> {
        self.state.borrow()
    }

    /// To wait for changes of [`DeviceForward::state`] after now.
    pub fn changes(&self) -> DeviceChanges {
        let mut state = self.state.clone();
        state.mark_unchanged();
        DeviceChanges { state }
    }

    /// Asks the server for another of its devices from now on.
    pub fn retarget(&self, remote: DeviceUnit) {
        self.remote.send_if_modified(|asked| std::mem::replace(asked, remote) != remote);
    }

    /// Now is a good time to try again what waits.
    pub fn look(&self) {
        self.look.notify_one();
    }
}

/// Tells each change of a device's state once.
pub struct DeviceChanges {
    state: watch::Receiver<DeviceState>,
}

impl DeviceChanges {
    /// Returns itself after the next change; `None` when the device is closed.
    pub async fn next(mut self) -> Option<Self> {
        self.state.changed().await.ok().map(|()| self)
    }
}
