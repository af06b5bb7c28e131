//! A small HTTP/1.1 client: one request a connection, the answer as it came.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::net::connect;
use crate::patience::PATIENCE;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The header, without the status line.
    pub header: String,
    /// What follows it.
    pub body: String,
}

impl Answer {
    /// Of a header field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.header.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (status, header) = head.split_once("\r\n").unwrap_or((head, ""));
        let code = status.split(' ').nth(1)?.parse().ok()?;
        Some(Self { code, header: header.to_owned(), body: body.to_owned() })
    }
}

/// Asks for `path` on a port of 127.0.0.1; `None` where nothing answers.
pub fn get(port: u16, path: &str) -> Option<Answer> {
    request(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"))
}

/// Sends these bytes to a port of 127.0.0.1, and reads the answer to its end.
pub fn request(port: u16, text: &str) -> Option<Answer> {
    let stream: TcpStream = connect(port).ok()?;
    exchange(stream, text)
}

/// As [`get`], over a unix socket.
pub fn get_unix(path: &Path, what: &str) -> Option<Answer> {
    let stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    exchange(stream, &format!("GET {what} HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n"))
}

fn exchange(mut stream: impl Read + Write, text: &str) -> Option<Answer> {
    // A server that refuses the request may close before it has read all of it.
    let _ = stream.write_all(text.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    Answer::parse(&bytes)
}
