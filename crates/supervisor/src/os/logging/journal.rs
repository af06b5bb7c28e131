//! Events for journald, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram an event, with the
//! event's fields.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use serde_json::Value;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter as _;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;
use super::queue::{Flush, LineQueue, start};

const SOCKET: &str = "/run/systemd/journal/socket";

const IDENTIFIER: &str = "tunneld";

/// Sends each event to journald.
pub(super) struct JournalEntries(LineQueue);

/// # Errors
/// There is no journald.
pub(super) fn entries() -> io::Result<(JournalEntries, Flush)> {
    let (queue, flush) = start(JournalSocket::open(SOCKET)?, lost)?;
    Ok((JournalEntries(queue), flush))
}

impl<S> Layer<S> for JournalEntries
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let (metadata, fields) = (event.metadata(), Fields::of(event, &context));
        let mut entry = begin(*metadata.level(), &fields.message);
        put(&mut entry, "TARGET", metadata.target());
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            put(&mut entry, "CODE_FILE", file);
            put(&mut entry, "CODE_LINE", &line.to_string());
        }
        put_fields(&mut entry, &fields);
        // The queue counts what it cannot take.
        let _ = self.0.make_writer().write_all(&entry);
    }
}

/// Each write is one event, and waits while journald reads nothing.
struct JournalSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl JournalSocket {
    fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // journald passes over what is empty. That its queue is full says that it is there.
        match socket.send_to(&[], &path) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
        socket.set_nonblocking(false)?;
        Ok(Self { socket, path })
    }
}

impl Write for JournalSocket {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // By name each time: a journald that was started anew may have another socket.
        self.socket.send_to(event, &self.path)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says that events were lost.
fn lost(count: u64) -> Vec<u8> {
    begin(Level::WARN, &format!("{count} log lines lost: journald did not read in time"))
}

fn begin(level: Level, message: &str) -> Vec<u8> {
    let mut entry = Vec::with_capacity(512);
    put(&mut entry, "PRIORITY", priority(level));
    put(&mut entry, "SYSLOG_IDENTIFIER", IDENTIFIER);
    put(&mut entry, "MESSAGE", message);
    entry
}

/// As syslog(3) has them: err, warning, notice, info, debug.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        Level::DEBUG => "6",
        Level::TRACE => "7",
    }
}

/// They keep their names, in capitals: `TUNNEL`, `KIND`. None of ours is one of the journal's own.
fn put_fields(entry: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in &fields.others {
        let name = name.to_ascii_uppercase().replace('.', "_");
        match value {
            Value::String(text) => put(entry, &name, text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                put(entry, &name, &value.to_string());
            }
        }
    }
}

/// With its length before it, so that a value may have line ends.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_has_its_fields_with_their_lengths() {
        let others = vec![("tunnel", "web-db".into()), ("attempt", 3.into())];
        let mut entry = begin(Level::WARN, "two\nlines");
        put_fields(&mut entry, &Fields { message: String::new(), others });
        let expected = b"PRIORITY\n\x01\0\0\0\0\0\0\x004\nSYSLOG_IDENTIFIER\n\x07\0\0\0\0\0\0\0tunneld\n\
            MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nTUNNEL\n\x06\0\0\0\0\0\0\0web-db\n\
            ATTEMPT\n\x01\0\0\0\0\0\0\x003\n";
        assert_eq!(entry, expected, "{}", String::from_utf8_lossy(&entry));
    }
    #[test]
    fn journald_that_does_not_read_blocks_no_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert_eq!(JournalSocket::open(&path).err().map(|error| error.kind()), Some(ErrorKind::NotFound));
        let journald = UnixDatagram::bind(&path).unwrap();
        let others = UnixDatagram::unbound().unwrap();
        others.set_nonblocking(true).unwrap();
        while others.send_to(b"MESSAGE=of another program\n", &path).is_ok() {}
        let (queue, flush) = start(JournalSocket::open(&path).unwrap(), lost).unwrap();
        for _ in 0..1000 {
            queue.make_writer().write_all(b"MESSAGE=of ours\n").unwrap();
        }
        let mut entry = [0; 64];
        let mut ours = 0;
        while ours < 1000 {
            let read = journald.recv(&mut entry).unwrap();
            ours += usize::from(&entry[..read] == b"MESSAGE=of ours\n");
        }
        drop(flush);
    }
}
