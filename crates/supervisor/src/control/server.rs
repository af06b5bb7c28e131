//! Answers on the control socket. A client can cost us one slot, one bounded line and one bounded wait; whatever it
//! says, nothing but its own connection ends.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::forward::PathWatcher;
use tunnel_engine::log_limit::{LogLimiter, PEER_INTERVAL};
use tunnel_engine::{clock, task};

use super::binding::{self, SharedFile};
use super::events::{self, MAX_FOLLOWERS};
use super::socket::ControlSocket;
use crate::history::Recorder;
use crate::os::limits;
use crate::os::reserve::Reserve;
use crate::protocol::{Command, ErrorCode, Request, Response};
use crate::protocol::{EventsRequest, MAX_REQUEST_BYTES, RefusedRequest, ResponseLine, VERSION, parse_request};

/// Clients at once; one more is told `busy`. Each `tunneld wait` holds one.
const MAX_CLIENTS: usize = 128;

/// How long a client may take to send its line.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to read its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the supervisor may take: a reload reads files, which may be on a slow disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause after a failed accept (no file descriptor left): long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The running server. Dropping it ends every connection and removes the socket's file.
#[derive(Debug)]
pub struct ControlServer {
    _accepting: AbortOnDropHandle<()>,
    _binding: AbortOnDropHandle<()>,
    _file: SharedFile,
}

impl ControlServer {
    /// Answers from now on. Requests go to `commands`; events are read from `history`; `watcher` tells of a lost file.
    ///
    /// # Errors
    /// The runtime did not take the socket.
    pub fn start(
        socket: ControlSocket,
        commands: mpsc::Sender<Command>,
        history: Recorder,
        watcher: PathWatcher,
    ) -> io::Result<Self> {
        let listener = UnixListener::from_std(socket.listener)?;
        let shared = ServerShared {
            commands,
            history,
            followers: Semaphore::new(MAX_FOLLOWERS),
            log: Mutex::new(LogLimiter::new(PEER_INTERVAL)),
        };
        let file: SharedFile = Arc::new(Mutex::new(socket.file));
        let (bound, again) = mpsc::channel(1);
        Ok(Self {
            _accepting: task::owned(accept(listener, again, Arc::new(shared))),
            _binding: task::owned(binding::keep(Arc::downgrade(&file), watcher, bound)),
            _file: file,
        })
    }
}

struct ServerShared {
    commands: mpsc::Sender<Command>,
    history: Recorder,
    followers: Semaphore,
    log: Mutex<LogLimiter>,
}

/// `again`: listeners that take the place of the last.
async fn accept(mut listener: UnixListener, mut again: mpsc::Receiver<UnixListener>, shared: Arc<ServerShared>) {
    let slots = Arc::new(Semaphore::new(MAX_CLIENTS));
    // Dropped with this task, and its clients with it.
    let mut clients = JoinSet::new();
    let mut reserve = Reserve::default();
    loop {
        tokio::select! {
            accepted = next_client(&listener, &mut reserve) => match accepted {
                Ok(stream) => {
                    let slot = slots.clone().try_acquire_owned().ok();
                    clients.spawn(serve(stream, slot, shared.clone()));
                }
                Err(error) => {
                    if let Some(suppressed) = admit(&shared.log, &error.to_string()) {
                        tracing::warn!(%error, suppressed, "cannot accept on the control socket");
                    }
                    tokio::time::sleep_until((clock::now() + ACCEPT_PAUSE).into()).await;
                }
            },
            Some(bound) = again.recv() => {
                listener = bound;
                // Its descriptors are duplicates of the one that is lost, which ends with them.
                reserve = Reserve::default();
            }
            Some(left) = clients.join_next() => {
                if let Ok(Some(socket)) = left {
                    reserve.keep(socket, &listener);
                }
            }
        }
    }
}

/// The next client; on a descriptor of the reserve, where no other is left.
async fn next_client(listener: &UnixListener, reserve: &mut Reserve) -> io::Result<UnixStream> {
    reserve.refill(listener);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if limits::is_out_of_open_files(&error) && reserve.release() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Without a slot the client only hears that we are busy. Gives the descriptor back.
async fn serve(
    mut stream: UnixStream,
    slot: Option<OwnedSemaphorePermit>,
    shared: Arc<ServerShared>,
) -> Option<OwnedFd> {
    let response = match (may_ask(&stream, &shared.log), slot.is_some()) {
        (Err(refused), _) => Some(refused.into()),
        (Ok(()), false) => {
            let busy =
                format!("the daemon is busy: {MAX_CLIENTS} clients ask it already, and each waits for its answer");
            Some(Response::error(ErrorCode::Busy, busy))
        }
        (Ok(()), true) => converse(&mut stream, &shared).await,
    };
    if let Some(response) = response {
        match timeout(WRITE_TIMEOUT, send(&mut stream, response)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a control client went away before its answer"),
            Err(_) => tracing::debug!("a control client did not read its answer"),
        }
    }
    stream.into_std().ok().map(OwnedFd::from)
}

/// `None`: the client has gone.
async fn converse(stream: &mut UnixStream, shared: &ServerShared) -> Option<Response> {
    let line = match timeout(READ_TIMEOUT, read_line(stream)).await {
        Ok(Ok(line)) if line.is_empty() => return None,
        Ok(Ok(line)) => line,
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot read from a control client");
            return None;
        }
        Err(_) => return Some(Response::error(ErrorCode::BadRequest, "no request came in time")),
    };
    match parse_request(&line) {
        Ok(Request::Events(asked)) => send_events(stream, asked, shared).await,
        Ok(request) => ask(stream, request, &shared.commands).await,
        Err(refused) => Some(refused.into()),
    }
}

/// The supervisor says whether the request is fine; the events do not come by way of it.
async fn send_events(stream: &mut UnixStream, asked: EventsRequest, shared: &ServerShared) -> Option<Response> {
    let place = asked.follow.then(|| shared.followers.try_acquire());
    if let Some(Err(_)) = place {
        return Some(Response::error(ErrorCode::Busy, format!("{MAX_FOLLOWERS} clients follow the events already")));
    }
    let answer = ask(stream, Request::Events(asked.clone()), &shared.commands).await?;
    if answer != Response::Done {
        return Some(answer);
    }
    if let Err(error) = events::stream(stream, &shared.history, &asked).await {
        tracing::debug!(%error, "a reader of events is cut");
    }
    None
}

async fn ask(stream: &UnixStream, request: Request, commands: &mpsc::Sender<Command>) -> Option<Response> {
    let patience = request.own_time().saturating_add(ANSWER_TIMEOUT);
    tracing::debug!(verb = request.verb(), "control request");
    let answer = async {
        let (reply, answer) = oneshot::channel();
        let stopping = || Response::error(ErrorCode::Stopping, "the daemon is stopping");
        match commands.send(Command { request, reply }).await {
            Ok(()) => answer.await.unwrap_or_else(|_| stopping()),
            Err(_) => stopping(),
        }
    };
    tokio::select! {
        answer = timeout(patience, answer) => Some(answer.unwrap_or_else(|_| {
            Response::error(ErrorCode::Failed, "the daemon did not answer in time")
        })),
        () = gone(stream) => None,
    }
}

/// Up to the first newline, or all there is.
async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    // One byte more than allowed tells a line that is too long from one that just fits.
    BufReader::new(stream.take(MAX_REQUEST_BYTES as u64 + 1)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

/// Returns when the client has closed its end; not when it only said that it sends no more.
pub(super) async fn gone(stream: &UnixStream) {
    let mut scrap = [0; 256];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut scrap) {
            Ok(0) => break,
            // One request a connection: what follows it is ignored.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    let closed = stream.ready(Interest::READABLE | Interest::WRITABLE).await;
    if closed.is_ok_and(|state| !state.is_write_closed()) {
        // It still listens. That it closes later is noticed when the answer cannot be written.
        std::future::pending().await
    }
}

async fn send(stream: &mut UnixStream, response: Response) -> io::Result<()> {
    stream.write_all(&answer_line(response)?).await?;
    stream.shutdown().await
}

pub(super) fn answer_line(response: Response) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(&ResponseLine { version: VERSION, response })?;
    text.push(b'\n');
    Ok(text)
}

fn admit(log: &Mutex<LogLimiter>, event: &str) -> Option<u64> {
    log.lock().unwrap_or_else(PoisonError::into_inner).admit(event, clock::now())
}

fn may_ask(stream: &UnixStream, log: &Mutex<LogLimiter>) -> Result<(), RefusedRequest> {
    let refusal = |why: &str| {
        if let Some(suppressed) = admit(log, why) {
            tracing::warn!(why, suppressed, "refused a control client");
        }
        RefusedRequest { code: ErrorCode::Denied, message: "only root and the daemon's own user may ask".to_owned() }
    };
    match stream.peer_cred() {
        Ok(peer) if permitted(peer.uid(), nix::unistd::geteuid().as_raw()) => Ok(()),
        Ok(peer) => Err(refusal(&format!("it runs as uid {}", peer.uid()))),
        Err(error) => Err(refusal(&format!("it is not known who it is: {error}"))),
    }
}

const fn permitted(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

#[cfg(test)]
mod tests;
