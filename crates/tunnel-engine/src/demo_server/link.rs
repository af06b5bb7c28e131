//! The wire between client and server: two byte pipes with knobs. Works under tokio's paused clock.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};

use super::faults::{Faults, Flow};
use crate::clock;

/// What the pipe between the link and russh's server holds.
pub(super) const PIPE_BYTES: usize = 256 * 1024;

/// Bytes on their way in one direction. Far more than any path holds, because russh's server does not read while it
/// writes: two busy ends would wait for each other for ever once both wires were full. What a client may have under
/// way is our window times its channels, so more than a hundred channels fit.
const WIRE_BYTES: usize = 256 * 1024 * 1024;

/// Pieces on their way in one direction, however small.
const WIRE_PIECES: usize = 16 * 1024;

/// One read.
const READ_BYTES: usize = 64 * 1024;

/// Carries bytes between `client` and `server` until the server has closed or one side has broken. A client that
/// has said all it had to say still hears the server out.
pub(super) async fn carry(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    let (client_read, client_write) = tokio::io::split(client);
    let (server_read, server_write) = tokio::io::split(server);
    let to_server = DelayedWire { faults: faults.clone(), flow: |faults| faults.link.to_server };
    let to_client = DelayedWire { faults, flow: |faults| faults.link.to_client };
    tokio::select! {
        end = to_client.carry(server_read, client_write) => end,
        broken = async {
            match to_server.carry(client_read, server_write).await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        } => Err(broken),
    }
}

struct DelayedWire {
    faults: watch::Receiver<Faults>,
    flow: fn(&Faults) -> Flow,
}

struct DelayedPiece {
    bytes: Bytes,
    due: Instant,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl DelayedWire {
    async fn carry(self, from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let (put, take) = mpsc::channel(WIRE_PIECES);
        tokio::try_join!(self.fill(from, put), empty(take, to))?;
        Ok(())
    }

    async fn fill(mut self, mut from: impl AsyncRead + Unpin, wire: mpsc::Sender<DelayedPiece>) -> io::Result<()> {
        let room = std::sync::Arc::new(Semaphore::new(WIRE_BYTES));
        let mut buffer = BytesMut::new();
        loop {
            let (flow, delay) = self.settings();
            buffer.reserve(READ_BYTES);
            let read = tokio::select! {
                biased;
                changed = self.faults.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
                },
                read = from.read_buf(&mut buffer), if flow != Flow::Stop => read?,
            };
            if read == 0 {
                return Ok(());
            }
            let bytes = buffer.split().freeze();
            if flow == Flow::Discard {
                continue;
            }
            let permits = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let Ok(permit) = room.clone().acquire_many_owned(permits).await else { return Ok(()) };
            let piece = DelayedPiece { bytes, due: clock::now() + delay, _room: permit };
            if wire.send(piece).await.is_err() {
                return Ok(());
            }
        }
    }

    fn settings(&mut self) -> (Flow, Duration) {
        let faults = self.faults.borrow_and_update();
        ((self.flow)(&faults), faults.link.delay)
    }
}

async fn empty(mut wire: mpsc::Receiver<DelayedPiece>, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(piece) = wire.recv().await {
        if piece.due > clock::now() {
            tokio::time::sleep_until(piece.due.into()).await;
        }
        to.write_all(&piece.bytes).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::DuplexStream;

    use crate::demo_server::LinkFaults;

    fn link() -> (DuplexStream, DuplexStream, watch::Sender<Faults>) {
        let (client, client_end) = tokio::io::duplex(1024);
        let (server, server_end) = tokio::io::duplex(1024);
        let faults = watch::Sender::new(Faults::default());
        crate::task::detached(carry(client_end, server_end, faults.subscribe()));
        (client, server, faults)
    }

    fn order(faults: &watch::Sender<Faults>, link: LinkFaults) {
        faults.send_modify(|faults| faults.link = link);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_byte_takes_its_time_and_keeps_its_order() {
        let (mut client, mut server, faults) = link();
        order(&faults, LinkFaults::delayed(Duration::from_millis(25)));
        let started = clock::now();
        client.write_all(b"one").await.unwrap();
        client.write_all(b"two").await.unwrap();
        let mut read = [0; 6];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!((&read, clock::now() - started), (b"onetwo", Duration::from_millis(25)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_link_keeps_what_a_discarding_one_loses() {
        let (mut client, mut server, faults) = link();
        order(&faults, LinkFaults::BLACKHOLE);
        client.write_all(b"lost").await.unwrap();
        tokio::time::timeout(Duration::from_secs(1), server.read_u8()).await.unwrap_err();
        order(&faults, LinkFaults::FROZEN);
        client.write_all(b"kept").await.unwrap();
        tokio::time::timeout(Duration::from_secs(1), server.read_u8()).await.unwrap_err();
        order(&faults, LinkFaults::default());
        let mut read = [0; 4];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"kept");
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_into_a_stopped_link_waits_in_the_end() {
        let (mut client, _server, faults) = link();
        order(&faults, LinkFaults::FROZEN);
        let flood = client.write_all(&[0; 1025]);
        tokio::time::timeout(Duration::from_secs(60), flood).await.unwrap_err();
    }

    #[tokio::test]
    async fn each_direction_ends_by_itself() {
        let (mut client, mut server, _faults) = link();
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}
