//! The text forms of a forward: what ssh(1) takes after `-L`, `-R` and `-D`, and the two words of ssh_config(5).
//!
//! `${NAME}` is not expanded here: that needs an environment, and is done by the reader of the text.

mod error;
mod lex;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

pub use error::ForwardParseError;
use lex::{lex, lex_argument};

use super::{Bind, Connect, Forward, ForwardKind, Listen, Side};
use crate::services;

/// The longest host name that ssh takes (NI_MAXHOST less its end).
const MAX_HOST: usize = 1024;

impl Forward {
    /// The longest path, in bytes, that fits into a `sockaddr_un` with its end.
    pub const MAX_UNIX_PATH: usize = 107;

    /// Reads a forward in one word (`[bind:]port:host:port` and its forms with unix sockets) or in two
    /// (`listen connect`, as in ssh_config). A remote forward without a connect address is reverse SOCKS.
    ///
    /// # Errors
    /// What ssh(1) refuses; an empty host to connect to.
    pub fn parse(kind: ForwardKind, text: &str) -> Result<Self, ForwardParseError> {
        if kind == ForwardKind::TunnelDevice {
            return Self::parse_device(text);
        }
        let words = lex(text)?;
        let (listen, connect) = match words.as_slice() {
            [] => return Err(ForwardParseError::Empty),
            [fields] => one_word(kind, fields).map_err(|error| error.or_bare_ipv6(fields))?,
            [listen, connect] if kind != ForwardKind::Dynamic => (listen_of(kind, listen)?, connect_of(kind, connect)?),
            [_, _] => return Err(ForwardParseError::ConnectOfDynamic),
            _ => return Err(ForwardParseError::TooManyWords),
        };
        Ok(Self { kind, listen, connect, max_connections: None })
    }

    /// Reads an argument of `-L`, `-R` or `-D`: one word, in which a blank parts nothing.
    ///
    /// # Errors
    /// What ssh(1) refuses, and a host with a blank: ssh reads `-R "2222 h:22"` as SOCKS at port 22 of `2222 h`.
    pub fn parse_argument(kind: ForwardKind, text: &str) -> Result<Self, ForwardParseError> {
        let fields = lex_argument(text)?;
        let (listen, connect) = one_word(kind, &fields).map_err(|error| {
            let has_blank = |field: &String| !is_path(field) && field.contains(char::is_whitespace);
            if fields.iter().any(has_blank) { ForwardParseError::Shape(kind) } else { error.or_bare_ipv6(&fields) }
        })?;
        Ok(Self { kind, listen, connect, max_connections: None })
    }
}

impl Listen {
    /// Reads `port`, `bind:port` or `/path`. `kind` says on which side it listens: only a server may choose the
    /// port (port 0).
    ///
    /// # Errors
    /// Any other text.
    pub fn parse(kind: ForwardKind, text: &str) -> Result<Self, ForwardParseError> {
        listen_of(kind, &single_word(text)?)
    }
}

impl Connect {
    /// Reads `host:port` or `/path`. `kind` is only used to name the right form in an error.
    ///
    /// # Errors
    /// Any other text.
    pub fn parse(kind: ForwardKind, text: &str) -> Result<Self, ForwardParseError> {
        connect_of(kind, &single_word(text)?)
    }
}

fn single_word(text: &str) -> Result<Vec<String>, ForwardParseError> {
    let mut words = lex(text)?;
    match (words.pop(), words.is_empty()) {
        (None, _) => Err(ForwardParseError::Empty),
        (Some(fields), true) => Ok(fields),
        (Some(_), false) => Err(ForwardParseError::TooManyWords),
    }
}

fn one_word(kind: ForwardKind, fields: &[String]) -> Result<(Listen, Connect), ForwardParseError> {
    let connect_fields = match (kind, fields) {
        (ForwardKind::Dynamic, _) => 0,
        (_, [_, .., last]) if is_path(last) => 1,
        (_, [_, _, _, ..]) => 2,
        // `port`, `bind:port` and `/path` alone.
        (ForwardKind::Remote, _) => 0,
        (ForwardKind::Local | ForwardKind::TunnelDevice, _) => return Err(ForwardParseError::Shape(kind)),
    };
    let (listen, connect) = fields.split_at(fields.len() - connect_fields);
    let listen = listen_fields(kind, listen)?;
    Ok((listen, if connect.is_empty() { Connect::Socks } else { connect_fields_of(kind, connect)? }))
}

fn listen_of(kind: ForwardKind, fields: &[String]) -> Result<Listen, ForwardParseError> {
    listen_fields(kind, fields).map_err(|error| error.or_bare_ipv6(fields))
}

fn connect_of(kind: ForwardKind, fields: &[String]) -> Result<Connect, ForwardParseError> {
    connect_fields_of(kind, fields).map_err(|error| error.or_bare_ipv6(fields))
}

fn listen_fields(kind: ForwardKind, fields: &[String]) -> Result<Listen, ForwardParseError> {
    match fields {
        [path] if is_path(path) => Ok(Listen::Unix(unix_path(path)?)),
        [port] => Ok(Listen::Tcp { bind: Bind::Default, port: listen_port(kind, port)? }),
        [bind, port] if !is_path(bind) && !is_path(port) => {
            let port = listen_port(kind, port)?;
            let bind = match bind.as_str() {
                "" | "*" => Bind::Any,
                address => Bind::Address(host(address)?),
            };
            Ok(Listen::Tcp { bind, port })
        }
        _ => Err(ForwardParseError::Shape(kind)),
    }
}

fn connect_fields_of(kind: ForwardKind, fields: &[String]) -> Result<Connect, ForwardParseError> {
    match fields {
        [path] if is_path(path) => Ok(Connect::Unix(unix_path(path)?)),
        [host_text, port_text] if !is_path(host_text) && !is_path(port_text) => {
            let port = port(port_text)?;
            if host_text.is_empty() {
                return Err(ForwardParseError::EmptyHost);
            }
            if port == 0 {
                return Err(ForwardParseError::ConnectPortZero);
            }
            Ok(Connect::Tcp { host: host(host_text)?, port })
        }
        _ => Err(ForwardParseError::Shape(kind)),
    }
}

/// ssh's rule: whatever holds a slash.
fn is_path(field: &str) -> bool {
    field.contains('/')
}

fn unix_path(text: &str) -> Result<PathBuf, ForwardParseError> {
    if text.len() > Forward::MAX_UNIX_PATH {
        return Err(ForwardParseError::PathTooLong(text.to_owned()));
    }
    if text.chars().any(char::is_control) {
        return Err(ForwardParseError::BadPath(text.to_owned()));
    }
    Ok(PathBuf::from(text))
}

fn listen_port(kind: ForwardKind, text: &str) -> Result<u16, ForwardParseError> {
    match port(text)? {
        0 if kind.side() == Side::Here => Err(ForwardParseError::ListenPortZero),
        port => Ok(port),
    }
}

fn port(text: &str) -> Result<u16, ForwardParseError> {
    services::port(text).ok_or_else(|| {
        if services::is_name(text) {
            ForwardParseError::UnknownService(text.to_owned())
        } else {
            ForwardParseError::BadPort(text.to_owned())
        }
    })
}

fn host(text: &str) -> Result<String, ForwardParseError> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "[]\\*".contains(c);
    // A colon that is not part of an address comes from brackets around something else.
    let literal = text.split_once('%').map_or(text, |(address, _zone)| address);
    let bad_colon = text.contains(':') && literal.parse::<Ipv6Addr>().is_err();
    if text.len() > MAX_HOST || text.starts_with('-') || text.chars().any(odd) || bad_colon {
        return Err(ForwardParseError::BadHost(text.to_owned()));
    }
    Ok(text.to_owned())
}

impl ForwardParseError {
    /// The better explanation where fields that make no sense are the pieces of an IPv6 address without brackets.
    fn or_bare_ipv6(self, fields: &[String]) -> Self {
        let misread = match &self {
            Self::Shape(_) | Self::BadPort(_) | Self::UnknownService(_) => true,
            Self::Empty
            | Self::TooManyWords
            | Self::ConnectOfDynamic
            | Self::BadBrackets
            | Self::DanglingEscape
            | Self::ListenPortZero
            | Self::ConnectPortZero
            | Self::EmptyHost
            | Self::BadHost(_)
            | Self::PathTooLong(_)
            | Self::BadPath(_)
            | Self::BareIpv6(_)
            | Self::BadDevice(_) => false,
        };
        match find_bare_ipv6(fields) {
            Some(address) if misread => Self::BareIpv6(address),
            _ => self,
        }
    }
}

/// An address that was cut at its colons: the shortest run of fields that is one, so that the ports stay outside.
fn find_bare_ipv6(fields: &[String]) -> Option<IpAddr> {
    const FEWEST_PIECES: usize = 3; // `::1` is cut into "", "" and "1"
    const MAX_PIECES: usize = 8; // the groups of an address that `::` does not shorten
    (FEWEST_PIECES..=fields.len().min(MAX_PIECES))
        .flat_map(|pieces| fields.windows(pieces))
        .filter(|run| run.last().is_some_and(|piece| !piece.is_empty()))
        .find_map(|run| run.join(":").parse().ok())
}
