//! What forwards need of a session, as traits: so that they can be tested without SSH.

use std::future::Future;

use bytes::Bytes;

use crate::session::{
    Channel, ChannelGone, ChannelRead, ChannelReader, ChannelWrite, ChannelWriter, DeviceChannel, DeviceError,
    IncomingChannel, OpenError, Originator, PacketOutcome, RejectReason, RemoteListen, Session,
};
use crate::spec::{Connect, DeviceMode, DeviceUnit};

/// Opens channels to a target. Implemented by [`Session`].
pub trait ChannelOpener: Clone + Send + Sync + 'static {
    /// Read half of its channels.
    type Reader: ChannelRead + 'static;
    /// Write half of its channels.
    type Writer: ChannelWrite + 'static;

    /// See [`Session::open_direct`].
    fn open(
        &self,
        target: &Connect,
        origin: &Originator,
    ) -> impl Future<Output = Result<(Self::Reader, Self::Writer), OpenError>> + Send;
}

impl ChannelOpener for Session {
    type Reader = ChannelReader;
    type Writer = ChannelWriter;

    async fn open(&self, target: &Connect, origin: &Originator) -> Result<(ChannelReader, ChannelWriter), OpenError> {
        let Channel { reader, writer } = self.open_direct(target, origin).await?;
        Ok((reader, writer))
    }
}

/// A connection that the server accepted for us. Implemented by [`IncomingChannel`].
pub trait Incoming: Send + 'static {
    /// Read half of its channel.
    type Reader: ChannelRead + 'static;
    /// Write half of its channel.
    type Writer: ChannelWrite + 'static;

    /// The server's listener that accepted it.
    fn listen(&self) -> &RemoteListen;
    /// The originator of the connection.
    fn origin(&self) -> &Originator;
    /// See [`IncomingChannel::accept`].
    fn accept(self) -> Result<(Self::Reader, Self::Writer), ChannelGone>;
    /// See [`IncomingChannel::reject`].
    fn reject(self, reason: RejectReason);
}

impl Incoming for IncomingChannel {
    type Reader = ChannelReader;
    type Writer = ChannelWriter;

    fn listen(&self) -> &RemoteListen {
        &self.listen
    }

    fn origin(&self) -> &Originator {
        &self.origin
    }

    fn accept(self) -> Result<(ChannelReader, ChannelWriter), ChannelGone> {
        let Channel { reader, writer } = Self::accept(self)?;
        Ok((reader, writer))
    }

    fn reject(self, reason: RejectReason) {
        Self::reject(self, reason);
    }
}

/// What opens tunnel devices of a server. Implemented by [`Session`].
pub trait DeviceOpener: Clone + Send + Sync + 'static {
    /// The way to a device of the server.
    type Channel: PacketChannel;

    /// Whether this asks on the same session.
    fn is_same(&self, other: &Self) -> bool;
    /// See [`Session::open_tunnel_device`].
    fn open_device(
        &self,
        mode: DeviceMode,
        unit: DeviceUnit,
    ) -> impl Future<Output = Result<Self::Channel, DeviceError>> + Send;
}

/// Packets to and from a device of the server. Implemented by [`DeviceChannel`].
pub trait PacketChannel: Send + Sync + 'static {
    /// See [`DeviceChannel::recv`].
    fn recv(&self) -> impl Future<Output = Option<Bytes>> + Send;
    /// See [`DeviceChannel::send`].
    fn send(&self, packet: &[u8]) -> impl Future<Output = Result<PacketOutcome, ChannelGone>> + Send;
    /// See [`DeviceChannel::close`].
    fn close(self) -> impl Future<Output = ()> + Send;
}

impl DeviceOpener for Session {
    type Channel = DeviceChannel;

    fn is_same(&self, other: &Self) -> bool {
        Self::is_same(self, other)
    }

    async fn open_device(&self, mode: DeviceMode, unit: DeviceUnit) -> Result<DeviceChannel, DeviceError> {
        self.open_tunnel_device(mode, unit).await
    }
}

impl PacketChannel for DeviceChannel {
    async fn recv(&self) -> Option<Bytes> {
        Self::recv(self).await
    }

    async fn send(&self, packet: &[u8]) -> Result<PacketOutcome, ChannelGone> {
        Self::send(self, packet).await
    }

    async fn close(self) {
        Self::close(self).await;
    }
}
