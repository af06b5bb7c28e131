//! Listening sockets that live longer than this process: the interface to a service manager that keeps them. It holds a
//! duplicate of each socket, so the kernel queues connections while tunneld does not run.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::ListenAddress;
use crate::forward::OpenDevice;
use crate::spec::{DeviceMode, DeviceUnit};

/// Where listening sockets survive this process.
pub trait SocketStore: Send + Sync {
    /// The listening socket of an earlier process for this address, if there is one.
    fn take(&self, address: &ListenAddress) -> Option<OwnedFd>;

    /// A socket was bound here: keep a duplicate of it.
    fn keep(&self, address: &ListenAddress, socket: BorrowedFd<'_>);

    /// A socket is being closed here: give up its duplicate, or say that it stays.
    fn close(&self, address: &ListenAddress) -> CloseMode;

    /// The tunnel's network device, if it was opened while this process had the right to; it may be asked for again.
    fn device(&self, _tunnel: &str, _mode: DeviceMode, _unit: DeviceUnit) -> Option<OpenDevice> {
        None
    }
}

/// What closing a listening socket means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseMode {
    /// New connections are refused.
    ForGood,
    /// A later process will accept again: connections go on to queue, a unix socket's file stays.
    ForNow,
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoStore;

impl SocketStore for NoStore {
    fn take(&self, _: &ListenAddress) -> Option<OwnedFd> {
        None
    }

    fn keep(&self, _: &ListenAddress, _: BorrowedFd<'_>) {}

    fn close(&self, _: &ListenAddress) -> CloseMode {
        CloseMode::ForGood
    }
}
