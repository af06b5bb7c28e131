//! Asks the daemon. Blocking: a verb has nothing else to do meanwhile.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::history::Event;
use crate::protocol::{ErrorCode, Request, Response};
use crate::protocol::{EventsRequest, MAX_RESPONSE_BYTES, RequestLine, VERSION};

/// For an answer that takes a daemon no time: it is one that runs on a busy machine, or one that does not run at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same beside a time that the request has itself, which is to hold.
const PATIENCE_BESIDE_TIMEOUT: Duration = Duration::from_secs(3);

/// For an answer that files are read for. Longer than the daemon's own limits, so that it is the daemon that says what
/// took so long.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(90);

/// Longest line of an event: its message is bounded, its tunnel has a name of the config.
const MAX_EVENT_BYTES: u64 = 64 * 1024;

/// Why there is no answer. All of these are exit 3: no daemon answers.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no tunneld answers on `{}`: {source}", socket.display())]
    NoDaemon { socket: PathBuf, source: io::Error },
    /// A process listens, and says nothing.
    #[error("tunneld on `{}` does not answer: it is stopped, or it hangs", socket.display())]
    Silent { socket: PathBuf },
    /// A process listened, and no whole answer came.
    #[error("tunneld on `{}` went away before it answered: {source}", socket.display())]
    NoAnswer { socket: PathBuf, source: io::Error },
    /// The connection on which events were followed is closed.
    #[error("tunneld on `{}` has ended, or it cut this reader, which did not read for long", socket.display())]
    EventsEnded { socket: PathBuf },
    /// Upgraded, and not restarted.
    #[error("tunneld on `{}` is another version (control protocol {daemon}, this command speaks {VERSION})", socket.display())]
    OtherVersion {
        socket: PathBuf,
        /// The daemon's protocol.
        daemon: u32,
    },
}

impl ClientError {
    /// No process listens on the socket, or it has no file.
    pub fn is_absent(&self) -> bool {
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        matches!(self, Self::NoDaemon { source, .. } if absent.contains(&source.kind()))
    }

    /// The socket, or a folder on the way to it, is not for this user.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::NoDaemon { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoDaemon { .. } if self.is_denied() => "ask as root, or as the user that runs tunneld",
            Self::NoDaemon { .. } => "start it, or name its socket with --control-socket",
            Self::EventsEnded { .. } => "ask again: what was missed is kept while the daemon runs",
            Self::NoAnswer { .. } => "look into its log",
            Self::Silent { .. } => {
                "`ps -C tunneld -o pid,stat` shows it: one in state T goes on after `kill -CONT PID`, another one after \
                 `systemctl restart tunneld`; its log may say why"
            }
            Self::OtherVersion { .. } => "restart the daemon, so that both are of one version",
        }
    }
}

/// Sends one request and waits for the answer.
pub fn ask(socket: &Path, request: Request) -> Result<Response, ClientError> {
    DaemonExchange::begin(socket, request)?.answer(MAX_RESPONSE_BYTES as u64)
}

/// How long to wait for an answer.
fn patience(request: &Request) -> Duration {
    let beyond = match request {
        Request::Reload | Request::Plan { .. } => PATIENCE_FOR_FILES,
        Request::Wait { .. } | Request::Start { .. } | Request::Restart { .. } => PATIENCE_BESIDE_TIMEOUT,
        Request::Status { .. }
        | Request::Why { .. }
        | Request::Log { .. }
        | Request::History { .. }
        | Request::Events(_)
        | Request::Stopped { .. }
        | Request::Stop { .. }
        | Request::ResetFailed { .. } => PATIENCE,
    };
    request.own_time().saturating_add(beyond)
}

/// Asks for events, a line each as they come.
///
/// # Errors
/// The outer one: there is no answer. The inner one: the daemon refuses.
pub fn events(socket: &Path, asked: EventsRequest) -> Result<Result<EventLines, (ErrorCode, String)>, ClientError> {
    let follow = asked.follow;
    let mut exchange = DaemonExchange::begin(socket, Request::Events(asked))?;
    let answer = exchange.answer(MAX_EVENT_BYTES)?;
    if answer == Response::Done {
        if follow {
            // The next event may be days away.
            exchange.lines.get_ref().set_read_timeout(None).map_err(|source| exchange.no_answer(source))?;
        }
        return Ok(Ok(EventLines { exchange, follow }));
    }
    if let Response::Error { code, message } = answer {
        return Ok(Err((code, message)));
    }
    Err(exchange.no_answer(io::Error::other("its answer does not fit the question")))
}

/// A request that was sent, and the lines that come back.
#[derive(Debug)]
struct DaemonExchange {
    socket: PathBuf,
    lines: BufReader<UnixStream>,
    sent: io::Result<()>,
}

impl DaemonExchange {
    fn begin(socket: &Path, request: Request) -> Result<Self, ClientError> {
        let (socket, patience) = (socket.to_owned(), patience(&request));
        let mut stream = match connect(&socket, patience) {
            Ok(stream) => stream,
            Err(error) if is_timeout(&error) => return Err(ClientError::Silent { socket }),
            Err(source) => return Err(ClientError::NoDaemon { socket, source }),
        };
        let sent = send(&mut stream, request);
        Ok(Self { socket, lines: BufReader::new(stream), sent })
    }

    fn answer(&mut self, longest: u64) -> Result<Response, ClientError> {
        let line = match (self.line(longest), std::mem::replace(&mut self.sent, Ok(()))) {
            (Ok(Some(line)), _) => Ok(line),
            // A daemon that refuses us answers and closes without reading: its answer matters, not our broken pipe.
            (_, Err(error)) | (Err(error), Ok(())) => Err(error),
            (Ok(None), Ok(())) => Err(cut_off()),
        };
        read_answer(&self.socket, &line.map_err(|source| self.no_answer(source))?)
    }

    /// The next line; `None` at the end.
    fn line(&mut self, longest: u64) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.lines.by_ref().take(longest).read_until(b'\n', &mut line)?;
        match (line.is_empty(), line.ends_with(b"\n")) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(line)),
            (false, false) => Err(cut_off()),
        }
    }

    fn no_answer(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        if is_timeout(&source) { ClientError::Silent { socket } } else { ClientError::NoAnswer { socket, source } }
    }
}

/// Each step waits for `patience`: a daemon that takes no connections has room for some.
fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

/// Of a socket.
fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

fn send(stream: &mut UnixStream, request: Request) -> io::Result<()> {
    let mut text = serde_json::to_vec(&RequestLine { version: VERSION, request })?;
    text.push(b'\n');
    stream.write_all(&text)
}

/// Events as they come; ends with those that are kept, or, where they are followed, with an error.
#[derive(Debug)]
pub struct EventLines {
    exchange: DaemonExchange,
    follow: bool,
}

impl EventLines {
    fn event(&mut self) -> io::Result<Option<Event>> {
        let line = self.exchange.line(MAX_EVENT_BYTES)?;
        line.map(|line| serde_json::from_slice(&line)).transpose().map_err(io::Error::from)
    }
}

impl Iterator for EventLines {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        let ended = |exchange: &DaemonExchange| Some(Err(ClientError::EventsEnded { socket: exchange.socket.clone() }));
        match self.event() {
            Ok(Some(event)) => Some(Ok(event)),
            Ok(None) if !self.follow => None,
            Ok(None) => ended(&self.exchange),
            // As a reader that is cut finds the end: within a line.
            Err(error) if self.follow && error.kind() == io::ErrorKind::UnexpectedEof => ended(&self.exchange),
            Err(source) => Some(Err(self.exchange.no_answer(source))),
        }
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off")
}

fn read_answer(socket: &Path, line: &[u8]) -> Result<Response, ClientError> {
    /// The answer is read only when the version is ours.
    #[derive(Deserialize)]
    struct ResponseEnvelope {
        version: u32,
        response: serde_json::Value,
    }
    let broken = |error: serde_json::Error| ClientError::NoAnswer { socket: socket.to_owned(), source: error.into() };
    let outer: ResponseEnvelope = serde_json::from_slice(line).map_err(broken)?;
    let other = ClientError::OtherVersion { socket: socket.to_owned(), daemon: outer.version };
    if outer.version != VERSION {
        return Err(other);
    }
    let response = serde_json::from_value(outer.response).map_err(broken)?;
    let mismatch = matches!(response, Response::Error { code: ErrorCode::VersionMismatch, .. });
    if mismatch { Err(other) } else { Ok(response) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_daemon_is_reported_with_the_socket_path() {
        let error = ask(Path::new("/nonexistent/control.sock"), Request::Reload).unwrap_err();
        assert!(matches!(error, ClientError::NoDaemon { .. }));
        assert!(error.to_string().contains("`/nonexistent/control.sock`"), "{error}");
    }

    #[test]
    fn daemon_that_hangs_is_not_waited_for_longer_than_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let _listens = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let began = tunnel_engine::clock::now();
        let wait = Request::Wait { names: Vec::new(), timeout_ms: 1 };
        let error = ask(&path, wait).unwrap_err();
        assert!(
            matches!(error, ClientError::Silent { .. }) && error.to_string().contains("does not answer"),
            "{error}"
        );
        assert!(began.elapsed() < PATIENCE_BESIDE_TIMEOUT * 2);
        assert!(patience(&Request::Reload) > patience(&Request::Status { names: Vec::new() }));
    }

    #[test]
    fn a_daemon_of_another_version_is_named_as_such() {
        let line = br#"{"version":99,"response":{"answer":"something new"}}"#;
        let error = read_answer(Path::new("/s"), line).unwrap_err();
        assert!(matches!(error, ClientError::OtherVersion { daemon: 99, .. }));
    }

    #[test]
    fn an_answer_of_our_version_is_read() {
        let line = br#"{"version":1,"response":{"answer":"done"}}"#;
        assert_eq!(read_answer(Path::new("/s"), line).unwrap(), Response::Done);
        assert!(read_answer(Path::new("/s"), b"{}").is_err());
    }
}
