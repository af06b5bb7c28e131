//! The task of one tunnel device: keeps it open, and carries its packets over the session that there is.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::DeviceState;
use super::open::{AsyncDevice, OpenDevice};
use crate::backoff::{DEVICE, DEVICE_DENIED, DEVICE_REFUSED};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::forward::bind::{SocketStore, next_try};
use crate::forward::stats::ForwardStats;
use crate::forward::traits::{DeviceOpener, PacketChannel};
use crate::session::{DeviceError, PacketOutcome};
use crate::spec::{DeviceMode, DeviceUnit};

/// The longest packet that a device can have.
const MAX_PACKET: usize = 64 * 1024;

/// The devices of a forward.
#[derive(Debug, Clone)]
pub struct DeviceRequest {
    /// Name of the tunnel, for the socket store.
    pub tunnel: String,
    /// Packets or Ethernet frames.
    pub mode: DeviceMode,
    /// The device of this machine.
    pub local: DeviceUnit,
    /// The one on the server, at first.
    pub remote: DeviceUnit,
}

pub(super) struct DeviceTask<O> {
    pub(super) wish: DeviceRequest,
    pub(super) remote: watch::Receiver<DeviceUnit>,
    pub(super) store: Arc<dyn SocketStore>,
    pub(super) sessions: watch::Receiver<Option<O>>,
    pub(super) look: Arc<Notify>,
    pub(super) state: watch::Sender<DeviceState>,
    pub(super) stats: Arc<ForwardStats>,
}

/// Why packets are no longer carried.
enum ServeEnd {
    /// The device here is gone.
    Device(io::Error),
    /// The server has closed its own, or the session has ended.
    Channel,
    /// There is another session, or another device is asked for.
    Session,
}

impl<O: DeviceOpener> DeviceTask<O> {
    pub(super) async fn run(mut self) {
        loop {
            let device = self.open().await;
            let error = self.serve(&device).await;
            let name = device.name.as_str();
            tracing::warn!(device = name, %error, "the device {name} is gone: it is opened again");
            let words = format!("the device `{name}` is gone: {error}");
            self.set_state(DeviceState::Failed(Failure::new(FailureKind::ListenInUse, words).with_source(error)));
            drop(device);
            self.pause(next_try(clock::now())).await;
        }
    }

    async fn open(&self) -> AsyncDevice {
        loop {
            let kept = self.store.device(&self.wish.tunnel, self.wish.mode, self.wish.local);
            let opened =
                kept.map_or_else(|| OpenDevice::open(self.wish.mode, self.wish.local), Ok).and_then(|device| {
                    AsyncDevice::new(device).map_err(|error| {
                        Failure::new(FailureKind::ListenDenied, format!("the device cannot be used: {error}"))
                            .with_hint("restart tunneld: it has the right to open a device at its start only")
                    })
                });
            match opened {
                Ok(device) => return device,
                Err(failure) => self.set_state(DeviceState::Failed(failure)),
            }
            self.pause(next_try(clock::now())).await;
        }
    }

    /// Until the device is gone.
    async fn serve(&mut self, device: &AsyncDevice) -> io::Error {
        let name = || device.name.clone();
        // Requests in a row.
        let mut refused = 0_u32;
        loop {
            let Some(session) = self.sessions.borrow_and_update().clone() else {
                self.set_state(DeviceState::Waiting { name: name() });
                wait_for_change(&mut self.sessions).await;
                continue;
            };
            let remote = *self.remote.borrow_and_update();
            if !matches!(&*self.state.borrow(), DeviceState::Refused { .. }) {
                self.set_state(DeviceState::Waiting { name: name() });
            }
            let opened = tokio::select! {
                opened = session.open_device(self.wish.mode, remote) => opened,
                _ = another(&mut self.sessions, &mut self.remote, &session) => continue,
            };
            let channel = match opened {
                Ok(channel) => channel,
                // The tunnel hears of it, too, and has another session then, or none.
                Err(DeviceError::SessionEnded) => {
                    self.pause_with(&session, DEVICE.first).await;
                    continue;
                }
                Err(error) => {
                    self.stats.fail();
                    let failure = error.failure(self.wish.mode, remote);
                    let forbidden = failure.kind() == FailureKind::RemoteForwardDenied;
                    self.set_state(DeviceState::Refused { name: name(), failure });
                    let wait = (if forbidden { DEVICE_DENIED } else { DEVICE_REFUSED }).drawn(refused, fastrand::f64());
                    // Another session, and an operator who asks, begin the row anew.
                    refused = if self.pause_with(&session, wait).await { 0 } else { refused.saturating_add(1) };
                    continue;
                }
            };
            // What was sent while nothing could carry it is no longer expected by its receiver.
            device.drain();
            refused = 0;
            self.set_state(DeviceState::Up { name: name() });
            let end = {
                let _active = self.stats.begin();
                self.stats.opened();
                tokio::select! {
                    end = carry(device, &channel, &self.stats) => end,
                    // A session that is in doubt, or winds down, carries what it has.
                    () = replaced(&mut self.sessions, &mut self.remote, &session) => ServeEnd::Session,
                }
            };
            self.set_state(DeviceState::Waiting { name: name() });
            match end {
                ServeEnd::Device(error) => return error,
                // The next session asks the same server for the same device.
                ServeEnd::Session => channel.close().await,
                // By the server, or with the session, of which the tunnel hears, too.
                ServeEnd::Channel => {
                    if !self.pause_with(&session, DEVICE.first).await {
                        let failure = Failure::new(FailureKind::ClosedByServer, "the server closed its tunnel device");
                        let failure = failure.with_hint("look whether the device was removed there");
                        self.set_state(DeviceState::Refused { name: name(), failure });
                        self.pause_with(&session, DEVICE.first).await;
                    }
                }
            }
        }
    }

    fn set_state(&self, state: DeviceState) {
        self.state.send_if_modified(|told| {
            let news = *told != state;
            if news {
                *told = state;
            }
            news
        });
    }

    /// Until then, or until now is a good time to try again.
    async fn pause(&self, until: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.look.notified() => {}
        }
    }

    /// As [`DeviceTask::pause`], and no longer than while this session is the one to use; whether it was not.
    async fn pause_with(&mut self, session: &O, wait: Duration) -> bool {
        if !self.sessions.borrow().as_ref().is_some_and(|now| now.is_same(session)) {
            return true;
        }
        let until = clock::now() + wait;
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => false,
            () = self.look.notified() => false,
            _ = another(&mut self.sessions, &mut self.remote, session) => true,
        }
    }
}

/// Both ways, until one of them ends.
async fn carry<C: PacketChannel>(device: &AsyncDevice, channel: &C, stats: &ForwardStats) -> ServeEnd {
    let to_server = async {
        let mut buffer = vec![0; MAX_PACKET];
        loop {
            let length = match device.recv(&mut buffer).await {
                Ok(length) => length,
                Err(error) => return ServeEnd::Device(error),
            };
            match channel.send(buffer.get(..length).unwrap_or_default()).await {
                Ok(PacketOutcome::Sent) => stats.add_out(length),
                Ok(PacketOutcome::Dropped) => {}
                Err(_) => return ServeEnd::Channel,
            }
        }
    };
    let from_server = async {
        while let Some(packet) = channel.recv().await {
            if device.send(&packet) {
                stats.add_in(packet.len());
            }
        }
        ServeEnd::Channel
    };
    tokio::select! {
        end = to_server => end,
        end = from_server => end,
    }
}

/// Returns when another session is to be used than this, or another device of the server's.
async fn replaced<O: DeviceOpener>(
    sessions: &mut watch::Receiver<Option<O>>,
    remote: &mut watch::Receiver<DeviceUnit>,
    session: &O,
) {
    while let SessionChange::Gone = another(sessions, remote, session).await {}
}

enum SessionChange {
    /// The session takes nothing new, and may again.
    Gone,
    /// There is another, or another device of the server's is asked for.
    Replaced,
}

/// As [`replaced`], and when there is no session to use.
async fn another<O: DeviceOpener>(
    sessions: &mut watch::Receiver<Option<O>>,
    remote: &mut watch::Receiver<DeviceUnit>,
    session: &O,
) -> SessionChange {
    loop {
        tokio::select! {
            () = wait_for_change(sessions) => match sessions.borrow_and_update().as_ref() {
                Some(now) if now.is_same(session) => {}
                Some(_) => return SessionChange::Replaced,
                None => return SessionChange::Gone,
            },
            () = wait_for_change(remote) => return SessionChange::Replaced,
        }
    }
}

/// Its owner ends the task before there can be no more changes.
async fn wait_for_change<T>(value: &mut watch::Receiver<T>) {
    if value.changed().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
