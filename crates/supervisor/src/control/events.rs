//! Answers `Request::Events`: a line that says the request is fine, then a line an event. A follower costs one slot, and
//! the place of one reader in the stream; one that does not read is cut.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tunnel_engine::clock;

use super::server::{answer_line, gone};
use crate::history::{Event, Recorder};
use crate::protocol::EventsRequest;
use crate::protocol::Response;

/// Followers at once. Fewer than the clients of the socket, so that other requests always find a slot.
pub(super) const MAX_FOLLOWERS: usize = 32;

/// A follower that takes nothing for so long is cut. Its socket and its place in the stream hold events until then.
const STALLED: Duration = Duration::from_secs(30);

/// Until the end of what is kept, or, with `follow`, of the client.
pub(super) async fn stream(stream: &mut UnixStream, recorder: &Recorder, asked: &EventsRequest) -> io::Result<()> {
    let (kept, following) = recorder.events(asked.follow);
    write(stream, &answer_line(Response::Done)?).await?;
    let since = asked.within_s.and_then(|seconds| clock::wall().checked_sub(Duration::from_secs(seconds)));
    for event in kept.iter().filter(|event| since.is_none_or(|since| since <= event.at)) {
        send(stream, event, asked).await?;
    }
    let Some(mut following) = following else { return stream.shutdown().await };
    loop {
        let event = tokio::select! {
            event = following.recv() => event,
            () = gone(stream) => return Ok(()),
        };
        match event {
            Ok(event) => send(stream, &event, asked).await?,
            Err(RecvError::Lagged(missed)) => send(stream, &Event::dropped(missed, clock::wall()), asked).await?,
            Err(RecvError::Closed) => return stream.shutdown().await,
        }
    }
}

async fn send(stream: &mut UnixStream, event: &Event, asked: &EventsRequest) -> io::Result<()> {
    if !event.concerns(&asked.names) {
        return Ok(());
    }
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    write(stream, &line).await
}

async fn write(stream: &mut UnixStream, line: &[u8]) -> io::Result<()> {
    let written = timeout(STALLED, stream.write_all(line)).await;
    written.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::EventName;

    #[tokio::test(start_paused = true)]
    async fn reader_that_takes_nothing_is_cut() {
        let (mut ours, _theirs) = UnixStream::pair().unwrap();
        let recorder = Recorder::default();
        (0..4000).for_each(|_| recorder.push(Event::of_daemon(EventName::Network, &"x".repeat(300), clock::wall())));
        let before = clock::now();
        let end = stream(&mut ours, &recorder, &EventsRequest { follow: true, ..EventsRequest::default() }).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(clock::now() - before, STALLED);
    }
}
