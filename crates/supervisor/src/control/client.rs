//! Asks the daemon. Blocking: a verb has nothing else to do meanwhile.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::protocol::{MAX_RESPONSE_BYTES, RequestLine, VERSION};
use super::{ErrorCode, Request, Response};

/// How long the daemon may take beyond what the request itself allows. Longer than its own limits, so that it is
/// the daemon that says what took so long.
const PATIENCE: Duration = Duration::from_secs(90);

/// Why there is no answer. All of these are exit 3: for whoever asks, no daemon answers.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no tunneld answers on `{}`: {source}", socket.display())]
    NoDaemon {
        /// The control socket.
        socket: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// Somebody listened, and then no whole answer came.
    #[error("tunneld on `{}` went away before it answered: {source}", socket.display())]
    NoAnswer {
        /// The control socket.
        socket: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Upgraded, and not restarted.
    #[error("tunneld on `{}` is another version (control protocol {daemon}, this command speaks {VERSION})", socket.display())]
    OtherVersion {
        /// The control socket.
        socket: PathBuf,
        /// The daemon's protocol.
        daemon: u32,
    },
}

impl ClientError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoDaemon { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "ask as root, or as the user that runs tunneld"
            }
            Self::NoDaemon { .. } => "start it, or name its socket with --control-socket",
            Self::NoAnswer { .. } => "look into its log",
            Self::OtherVersion { .. } => "restart the daemon, so that both are of one version",
        }
    }
}

/// Sends one request and waits for the answer.
pub fn ask(socket: &Path, request: Request) -> Result<Response, ClientError> {
    let patience = request.own_time().saturating_add(PATIENCE);
    let stream =
        UnixStream::connect(socket).map_err(|source| ClientError::NoDaemon { socket: socket.to_owned(), source })?;
    let line = exchange(stream, request, patience)
        .map_err(|source| ClientError::NoAnswer { socket: socket.to_owned(), source })?;
    read_answer(socket, &line)
}

fn exchange(mut stream: UnixStream, request: Request, patience: Duration) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(&RequestLine { version: VERSION, request })?;
    text.push(b'\n');
    // A daemon that refuses us answers and closes without reading: its answer matters, not our broken pipe.
    let sent = stream.write_all(&text);
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_RESPONSE_BYTES as u64)).read_until(b'\n', &mut line)?;
    match (line.ends_with(b"\n"), sent) {
        (true, _) => Ok(line),
        (false, Err(error)) => Err(error),
        (false, Ok(())) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off")),
    }
}

fn read_answer(socket: &Path, line: &[u8]) -> Result<Response, ClientError> {
    /// The answer is read only when the version is ours.
    #[derive(Deserialize)]
    struct Outer {
        version: u32,
        response: serde_json::Value,
    }
    let broken = |error: serde_json::Error| ClientError::NoAnswer { socket: socket.to_owned(), source: error.into() };
    let outer: Outer = serde_json::from_slice(line).map_err(broken)?;
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
    fn nobody_at_the_socket_is_said_with_its_path() {
        let error = ask(Path::new("/nonexistent/control.sock"), Request::Reload).unwrap_err();
        assert!(matches!(error, ClientError::NoDaemon { .. }));
        assert!(error.to_string().contains("`/nonexistent/control.sock`"), "{error}");
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
