//! Why a forward could not be read, and what to write instead.

use std::net::IpAddr;

use crate::spec::ForwardKind;

/// Why a forward could not be read. `Display` says what is wrong, [`ForwardParseError::hint`] what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardParseError {
    /// Nothing but blanks.
    #[error("the forward is empty")]
    Empty,
    /// The number of fields, or the places of the paths among them, fits no form.
    #[error("this is not a {} forward", .0.as_str())]
    Shape(ForwardKind),
    /// More than `listen connect`.
    #[error("a forward has at most two words: where it listens, and where it connects to")]
    TooManyWords,
    /// A SOCKS client names the connect address.
    #[error("a dynamic forward has no connect address")]
    ConnectOfDynamic,
    /// `::1:80:…`: the colons of the address cannot be told from those of the forward.
    #[error("the IPv6 address `{0}` needs brackets")]
    BareIpv6(IpAddr),
    /// `[` without `]`, or something else than `:` after `]`.
    #[error("a `[` must be closed by `]`, followed by `:` or the end")]
    BadBrackets,
    /// `\` at the end.
    #[error("a backslash at the end stands for nothing")]
    DanglingEscape,
    /// Not a number from 0 to 65535.
    #[error("`{0}` is not a port")]
    BadPort(String),
    /// A word where a port belongs, and no TCP service of `/etc/services` has that name.
    #[error("`{0}` is not a port: no service of that name is in /etc/services")]
    UnknownService(String),
    /// Port 0 where tunneld listens.
    #[error("a forward that listens on this machine cannot have port 0")]
    ListenPortZero,
    /// Port 0 to connect to.
    #[error("port 0 cannot be connected to")]
    ConnectPortZero,
    /// Nothing where the host to connect to belongs.
    #[error("the host to connect to is empty")]
    EmptyHost,
    /// No resolver could take it.
    #[error("`{0}` is not a host name or address")]
    BadHost(String),
    /// Longer than the kernel takes.
    #[error("the path of the unix socket is longer than 107 bytes: `{0}`")]
    PathTooLong(String),
    /// Control characters.
    #[error("`{}` is not the path of a unix socket", .0.escape_debug())]
    BadPath(String),
    /// Neither `any` nor a number that a device can have.
    #[error("`{0}` is not a tunnel device")]
    BadDevice(String),
}

impl ForwardParseError {
    /// How to write it.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty | Self::TooManyWords => examples(ForwardKind::Local).to_owned(),
            Self::Shape(kind) => examples(*kind).to_owned(),
            Self::ConnectOfDynamic => examples(ForwardKind::Dynamic).to_owned(),
            Self::BareIpv6(address) => format!("write `[{address}]`, as in `[::1]:5432:db:5432`"),
            Self::BadBrackets => "brackets hold an IPv6 address, as in `[::1]:5432:db:5432`".to_owned(),
            Self::DanglingEscape => "write `\\\\` for a backslash".to_owned(),
            Self::BadPort(_) | Self::ConnectPortZero => "a port is a number from 1 to 65535".to_owned(),
            Self::UnknownService(_) => "write the port as a number from 1 to 65535".to_owned(),
            Self::ListenPortZero => {
                "choose a port from 1 to 65535; only a remote forward can let the server choose".to_owned()
            }
            Self::EmptyHost => "name it, for example `localhost`: it is looked up on the side that connects".to_owned(),
            Self::BadHost(_) => "write a name, an IPv4 address, or an IPv6 address in brackets".to_owned(),
            Self::PathTooLong(_) => "the kernel takes no longer one: move the socket to a shorter path".to_owned(),
            Self::BadPath(_) => "remove the control characters".to_owned(),
            Self::BadDevice(_) => examples(ForwardKind::TunnelDevice).to_owned(),
        }
    }
}

fn examples(kind: ForwardKind) -> &'static str {
    match kind {
        ForwardKind::Local => {
            "write `[bind:]port:host:port`, as in `3307:127.0.0.1:3306`; a path with a slash is a unix socket"
        }
        ForwardKind::Remote => {
            "write `[bind:]port:host:port`, as in `2222:localhost:22`, or `[bind:]port` for reverse SOCKS; \
             a path with a slash is a unix socket"
        }
        ForwardKind::Dynamic => "write `[bind:]port`, as in `1080` or `127.0.0.1:1080`, or the path of a unix socket",
        ForwardKind::TunnelDevice => {
            "write `local:remote`, each `any` or the number of a device, as in `any:any` or `0:1`; `ethernet:` before it for layer 2"
        }
    }
}
