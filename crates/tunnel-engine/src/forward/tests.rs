//! For the tests of forwards: channels and sessions in memory, with a far side that the test plays.

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::traits::{ChannelOpener, Incoming};
use crate::session::{
    ChannelGone, ChannelRead, ChannelWrite, Inbound, OpenError, Originator, RejectReason, RemoteListen,
};
use crate::spec::Connect;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FarEvent {
    Data(Bytes),
    Eof,
    Close,
}

/// The far end of a channel.
pub(super) struct FarChannel {
    pub(super) say: mpsc::Sender<Inbound>,
    pub(super) hear: mpsc::Receiver<FarEvent>,
}

pub(super) struct NearReader(mpsc::Receiver<Inbound>, Option<Inbound>);

pub(super) struct NearWriter(mpsc::Sender<FarEvent>);

/// A channel whose queues hold `depth` pieces each way.
pub(super) fn channel(depth: usize) -> ((NearReader, NearWriter), FarChannel) {
    let (say, said) = mpsc::channel(depth);
    let (told, hear) = mpsc::channel(depth);
    ((NearReader(said, None), NearWriter(told)), FarChannel { say, hear })
}

impl FarChannel {
    pub(super) async fn send(&self, bytes: &[u8]) {
        self.say.send(Inbound::Data(Bytes::copy_from_slice(bytes))).await.expect("the near side listens");
    }

    pub(super) async fn end(&self, end: Inbound) {
        self.say.send(end).await.expect("the near side listens");
    }

    /// All bytes up to the end, and which end it is; `None` when the near side was dropped.
    pub(super) async fn hear_all(&mut self) -> (Vec<u8>, Option<FarEvent>) {
        let mut all = Vec::new();
        loop {
            match self.hear.recv().await {
                Some(FarEvent::Data(bytes)) => all.extend_from_slice(&bytes),
                end => return (all, end),
            }
        }
    }
}

impl ChannelRead for NearReader {
    async fn read(&mut self) -> Inbound {
        if let Some(last) = &self.1 {
            return last.clone();
        }
        let said = self.0.recv().await.unwrap_or(Inbound::Lost);
        if matches!(said, Inbound::Closed | Inbound::Lost) {
            self.1 = Some(said.clone());
        }
        said
    }
}

impl ChannelWrite for NearWriter {
    async fn write(&self, bytes: Bytes) -> Result<(), ChannelGone> {
        self.0.send(FarEvent::Data(bytes)).await.map_err(|_| ChannelGone)
    }

    async fn eof(&self) -> Result<(), ChannelGone> {
        self.0.send(FarEvent::Eof).await.map_err(|_| ChannelGone)
    }

    async fn close(&self) {
        // A far side that hears nothing any more (its queue is full, or gone) needs no goodbye.
        let _ = self.0.try_send(FarEvent::Close);
    }
}

/// A session whose opens the test answers.
#[derive(Clone)]
pub(super) struct FakeSession(mpsc::Sender<FakeOpening>);

pub(super) type NearChannel = (NearReader, NearWriter);

/// A channel being opened. Dropping it ends the session under it.
pub(super) struct FakeOpening {
    pub(super) target: Connect,
    pub(super) origin: Originator,
    answer: oneshot::Sender<Result<NearChannel, OpenError>>,
}

pub(super) fn session() -> (FakeSession, mpsc::Receiver<FakeOpening>) {
    let (opens, opening) = mpsc::channel(1024);
    (FakeSession(opens), opening)
}

impl FakeOpening {
    pub(super) fn confirm(self) -> FarChannel {
        let (near, far) = channel(64);
        self.answer.send(Ok(near)).ok().expect("a task waits for the channel");
        far
    }

    pub(super) fn refuse(self, error: OpenError) {
        self.answer.send(Err(error)).ok().expect("a task waits for the channel");
    }
}

impl ChannelOpener for FakeSession {
    type Reader = NearReader;
    type Writer = NearWriter;

    async fn open(&self, target: &Connect, origin: &Originator) -> Result<NearChannel, OpenError> {
        let (answer, answered) = oneshot::channel();
        let opening = FakeOpening { target: target.clone(), origin: origin.clone(), answer };
        self.0.send(opening).await.map_err(|_| OpenError::SessionEnded)?;
        answered.await.unwrap_or(Err(OpenError::SessionEnded))
    }
}

/// A connection from the server, and the answer to it.
pub(super) struct FakeIncoming {
    listen: RemoteListen,
    origin: Originator,
    near: NearChannel,
    answer: oneshot::Sender<Result<(), RejectReason>>,
}

pub(super) fn incoming(
    listen: RemoteListen,
) -> (FakeIncoming, FarChannel, oneshot::Receiver<Result<(), RejectReason>>) {
    let (near, far) = channel(64);
    let (answer, answered) = oneshot::channel();
    (FakeIncoming { listen, origin: Originator::unknown(), near, answer }, far, answered)
}

impl Incoming for FakeIncoming {
    type Reader = NearReader;
    type Writer = NearWriter;

    fn listen(&self) -> &RemoteListen {
        &self.listen
    }

    fn origin(&self) -> &Originator {
        &self.origin
    }

    fn accept(self) -> Result<NearChannel, ChannelGone> {
        self.answer.send(Ok(())).map_err(|_| ChannelGone)?;
        Ok(self.near)
    }

    fn reject(self, reason: RejectReason) {
        self.answer.send(Err(reason)).expect("the server waits");
    }
}

/// Two ends of a TCP connection over loopback.
pub(super) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (connected.expect("connected"), accepted.expect("accepted").0)
}

/// All bytes up to the end of the stream.
pub(super) async fn read_all(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.map(|_| all)
}

/// Says `request`, ends, and reads the whole answer.
pub(super) async fn ask(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    stream.shutdown().await?;
    read_all(stream).await
}

/// True when the peer was reset, not ended.
pub(super) fn was_reset(read: &std::io::Result<Vec<u8>>) -> bool {
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
}
