//! Who to log in as, and where.

use std::fmt;

use super::numeric_host;
use crate::services;

/// User, host and port of an SSH server, as in `user@host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// Login name on the server.
    pub user: String,
    /// Name or address, without brackets. Resolved anew at every start.
    pub host: String,
    /// TCP port; ssh's default is 22.
    pub port: u16,
}

impl Destination {
    /// The port of ssh(1) when none is named.
    pub const DEFAULT_PORT: u16 = 22;

    /// The longest login name, in bytes: every line of the log about the server has it.
    pub const MAX_USER: usize = 255;

    /// Reads `[user@]host[:port]` or `ssh://[user@]host[:port]`, IPv6 addresses in brackets, as ssh's
    /// `-J` and destinations do. `default_user` stands in for a missing user, port 22 for a missing port.
    ///
    /// # Errors
    /// What no resolver or login could take.
    pub fn parse(text: &str, default_user: &str) -> Result<Self, DestinationError> {
        Self::parse_or(text, default_user, Self::DEFAULT_PORT)
    }

    /// The same with another port for a text that names none.
    ///
    /// # Errors
    /// As [`Destination::parse`].
    pub fn parse_or(text: &str, default_user: &str, default_port: u16) -> Result<Self, DestinationError> {
        let text = text.strip_prefix("ssh://").map_or(text, |rest| rest.trim_end_matches('/'));
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (user, rest),
            None => (default_user, text),
        };
        let (host, port) = split_host_port(rest, default_port)?;
        if user.is_empty() {
            return Err(DestinationError::EmptyUser);
        }
        if user.len() > Self::MAX_USER {
            return Err(DestinationError::LongUser);
        }
        if !Self::is_host(host) {
            return Err(DestinationError::BadHost(host.to_owned()));
        }
        Ok(Self { user: user.to_owned(), host: host.to_owned(), port })
    }

    /// Whether a resolver could take it, and no program takes it for an option.
    pub fn is_host(text: &str) -> bool {
        (1..=MAX_HOST).contains(&text.len())
            && !text.starts_with('-')
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    }

    /// The host as ssh goes on with it: an address in its usual spelling, anything else as it is.
    pub fn canonical_host(&self) -> String {
        numeric_host(&self.host).unwrap_or_else(|| self.host.clone())
    }

    /// `host:port`, the host in brackets where it holds a colon.
    pub fn host_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The longest host name, as the system's resolver has it (`NI_MAXHOST`, getnameinfo(3)).
const MAX_HOST: usize = 1024;

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.host_port())
    }
}

fn split_host_port(text: &str, default_port: u16) -> Result<(&str, u16), DestinationError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(DestinationError::UnclosedBracket)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, parse_port(port)?)),
            None if after.is_empty() => Ok((host, default_port)),
            None => Err(DestinationError::UnclosedBracket),
        };
    }
    match text.split_once(':') {
        // More than one colon: a bare IPv6 address, which has no room for a port.
        Some((_, port)) if port.contains(':') => Ok((text, default_port)),
        Some((host, port)) => Ok((host, parse_port(port)?)),
        None => Ok((text, default_port)),
    }
}

fn parse_port(text: &str) -> Result<u16, DestinationError> {
    services::port(text).filter(|port| *port != 0).ok_or_else(|| DestinationError::BadPort(text.to_owned()))
}

/// Why a destination could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Nothing before the `@`.
    #[error("the user before `@` is empty")]
    EmptyUser,
    /// Too long for any server.
    #[error("the user is longer than {} bytes", Destination::MAX_USER)]
    LongUser,
    /// No host, or one that no resolver could take.
    #[error("`{0}` is not a host name or address")]
    BadHost(String),
    /// Not a number from 1 to 65535, nor the name of a TCP service.
    #[error("`{0}` is not a port from 1 to 65535, nor a service in /etc/services")]
    BadPort(String),
    /// `[` without `]`, or text other than `:port` after it.
    #[error("an IPv6 address is written as `[address]:port`")]
    UnclosedBracket,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        Destination::parse(text, "me").map_or_else(|e| format!("error: {e}"), |d| d.to_string())
    }

    #[test]
    fn a_destination_is_read_as_ssh_reads_it() {
        assert_eq!(parse("host"), "me@host:22");
        assert_eq!(parse("you@host:2222"), "you@host:2222");
        assert_eq!(parse("host:ssh"), "me@host:22");
        assert_eq!(parse("ssh://you@host:2222/"), "you@host:2222");
        assert_eq!(parse("you@[fe80::1]:2222"), "you@[fe80::1]:2222");
        assert_eq!(parse("::1"), "me@[::1]:22");
        assert_eq!(Destination::parse_or("[::1]", "me", 2222).unwrap().to_string(), "me@[::1]:2222");
        assert_eq!(Destination::parse_or("you@host:1", "me", 2222).unwrap().to_string(), "you@host:1");
        assert_eq!(parse("DOMAIN\\a@b@host"), "DOMAIN\\a@b@host:22");
    }

    #[test]
    fn a_bad_destination_says_what_is_wrong() {
        assert_eq!(parse("host:0"), "error: `0` is not a port from 1 to 65535, nor a service in /etc/services");
        assert_eq!(parse("@host"), "error: the user before `@` is empty");
        assert_eq!(parse(&format!("{}@host", "u".repeat(256))), "error: the user is longer than 255 bytes");
        assert_eq!(parse("-oProxyCommand=x"), "error: `-oProxyCommand=x` is not a host name or address");
        assert!(parse(&"h".repeat(MAX_HOST + 1)).ends_with("is not a host name or address"));
        assert_eq!(parse("[::1"), "error: an IPv6 address is written as `[address]:port`");
    }
}
