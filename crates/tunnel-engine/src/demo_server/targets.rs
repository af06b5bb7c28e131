//! Where channels lead: real loopback sockets, and targets in memory by name.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use russh::ChannelOpenFailure;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::connection;
use super::relay::TargetStream;
use super::server::{DemoShared, Server, lock};
use crate::{lookup, task};

/// What a pipe to a target in memory holds.
pub(super) const TARGET_PIPE_BYTES: usize = 64 * 1024;

/// Names of a server in memory for itself.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "localhost"];

/// One write of a source.
const SOURCE_PIECE: usize = 32 * 1024;

/// A target in memory. Those without data are there by their lower-case names, whatever the port.
#[derive(Clone)]
pub enum Target {
    /// Sends back what it gets.
    Echo,
    /// Reads to the end, then answers with the number of bytes (8, big-endian) and ends.
    Sink,
    /// Sends as many MiB as the port says, of [`Target::source_byte`], and ends. Reads nothing.
    Source,
    /// Refuses every connection.
    Refuse,
    /// The server refuses for it, with this reason code (RFC 4254 section 5.1) and these words.
    RefuseWith(u32, String),
    /// Takes the connection, and neither reads nor writes.
    Hang,
    /// Takes the connection, and resets it at the first byte.
    Reset,
    /// Another server in memory.
    Server(ServerTarget),
    /// Hands the far end of each connection to the test. Refuses when the test takes none.
    Hand(mpsc::Sender<DuplexStream>),
}

/// A server in memory, as a target; made by [`Target::server`].
#[derive(Clone)]
pub struct ServerTarget(std::sync::Weak<DemoShared>);

impl Target {
    /// Another server, to be jumped to. It is not kept alive: once it has gone, connections are refused.
    pub fn server(server: &Server) -> Self {
        Self::Server(ServerTarget(server.weak()))
    }

    /// The byte at `position` of what [`Target::Source`] sends: neighbours differ, and so do packets.
    pub const fn source_byte(position: u64) -> u8 {
        (position % 251) as u8
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "echo" => Self::Echo,
            "sink" => Self::Sink,
            "source" => Self::Source,
            "refuse" => Self::Refuse,
            "hang" => Self::Hang,
            "reset" => Self::Reset,
            _ => return None,
        })
    }
}

/// Why a target gives no connection.
pub(super) fn connect_failed(text: &str) -> ChannelOpenFailure {
    const CONNECT_FAILED: u32 = 2;
    ChannelOpenFailure::Other { code: CONNECT_FAILED, reason: text.to_owned() }
}

pub(super) struct Targets {
    named: Mutex<HashMap<String, Target>>,
    /// Names that are no targets are real hosts.
    pub(super) real: bool,
}

pub(super) type Connected = Result<Box<dyn TargetStream>, ChannelOpenFailure>;

impl Targets {
    pub(super) fn new(named: HashMap<String, Target>, real: bool) -> Self {
        Self { named: Mutex::new(named), real }
    }

    pub(super) fn set(&self, name: &str, target: Target) {
        lock(&self.named).insert(name.to_owned(), target);
    }

    pub(super) async fn connect_tcp(&self, host: &str, port: u16) -> Connected {
        if let Some(target) = self.find(host) {
            return memory(target, port);
        }
        if !self.real {
            return Err(connect_failed("Name or service not known"));
        }
        let mut last = connect_failed("Name or service not known");
        let addresses = lookup::TARGETS.addresses(host, port).await.map_err(|error| connect_failed(&text(&error)))?;
        for address in addresses {
            match connect_loopback(address).await {
                Ok(stream) => return Ok(Box::new(stream)),
                Err(refusal) => last = refusal,
            }
        }
        Err(last)
    }

    pub(super) async fn connect_unix(&self, path: &str) -> Connected {
        if let Some(target) = self.find(path) {
            return memory(target, 0);
        }
        if !self.real {
            return Err(connect_failed("open failed"));
        }
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(_) => Err(connect_failed("open failed")),
        }
    }

    pub(super) fn remove(&self, name: &str) {
        lock(&self.named).remove(name);
    }

    fn find(&self, name: &str) -> Option<Target> {
        lock(&self.named).get(name).cloned().or_else(|| Target::named(name))
    }
}

impl DemoShared {
    /// A target, or in memory the port of a listener that a client asked for.
    pub(super) async fn connect_tcp(&self, host: &str, port: u16) -> Connected {
        if self.in_memory() && LOOPBACK.contains(&host) && self.targets.find(host).is_none() {
            return self.connect_own(&port.to_string(), "Connection refused");
        }
        self.targets.connect_tcp(host, port).await
    }

    /// The same for unix sockets.
    pub(super) async fn connect_unix(&self, path: &str) -> Connected {
        if self.in_memory() && self.targets.find(path).is_none() {
            return self.connect_own(path, "open failed");
        }
        self.targets.connect_unix(path).await
    }

    fn connect_own(&self, name: &str, refusal: &str) -> Connected {
        match self.ports.connect(name) {
            Some(stream) => Ok(Box::new(stream)),
            None => Err(connect_failed(refusal)),
        }
    }
}

async fn connect_loopback(address: SocketAddr) -> Result<TcpStream, ChannelOpenFailure> {
    if !address.ip().to_canonical().is_loopback() {
        return Err(ChannelOpenFailure::AdministrativelyProhibited);
    }
    let stream = TcpStream::connect(address).await.map_err(|error| connect_failed(&text(&error)))?;
    stream.set_nodelay(true).map_err(|error| connect_failed(&text(&error)))?;
    Ok(stream)
}

/// The error as sshd says it: without Rust's `(os error 111)`.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn memory(target: Target, port: u16) -> Connected {
    let (ours, theirs) = tokio::io::duplex(TARGET_PIPE_BYTES);
    match target {
        Target::Refuse => return Err(connect_failed("Connection refused")),
        Target::RefuseWith(code, reason) => return Err(ChannelOpenFailure::Other { code, reason }),
        Target::Hand(takers) => takers.try_send(theirs).map_err(|_| connect_failed("Connection refused"))?,
        Target::Server(ServerTarget(server)) => {
            let server: Arc<DemoShared> = server.upgrade().ok_or_else(|| connect_failed("Connection refused"))?;
            // Its loop comes back here when it jumps on; the box ends the type's recursion.
            let life: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(connection::serve(server, theirs, None));
            task::detached(life);
        }
        Target::Reset => return Ok(Box::new(Resetting::default())),
        Target::Echo | Target::Sink | Target::Source | Target::Hang => {
            // Ends with the channel, which holds the other end of the pipe.
            task::detached(async move { play(target, theirs, port).await });
        }
    }
    Ok(Box::new(ours))
}

async fn play(target: Target, mut stream: DuplexStream, port: u16) -> io::Result<()> {
    match target {
        Target::Echo => {
            let (mut read, mut write) = tokio::io::split(stream);
            tokio::io::copy(&mut read, &mut write).await?;
            write.shutdown().await
        }
        Target::Sink => {
            let count = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            stream.write_u64(count).await?;
            stream.shutdown().await
        }
        Target::Source => source(stream, u64::from(port) * 1024 * 1024).await,
        Target::Hang => std::future::pending().await,
        Target::Refuse | Target::RefuseWith(..) | Target::Reset | Target::Server(_) | Target::Hand(_) => Ok(()),
    }
}

async fn source(mut stream: DuplexStream, bytes: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes {
        let end = bytes.min(sent + SOURCE_PIECE as u64);
        let piece: Vec<u8> = (sent..end).map(Target::source_byte).collect();
        stream.write_all(&piece).await?;
        sent = end;
    }
    stream.shutdown().await
}

/// A target that resets its connection at the first byte it gets.
#[derive(Default)]
struct Resetting {
    hit: bool,
    reader: Option<Waker>,
}

impl TargetStream for Resetting {}

impl AsyncRead for Resetting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.hit {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Resetting {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.hit = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
