//! One forward: what ssh's `-L`, `-R`, `-D` and `-w` ask for. The text forms are in `forward_parse`.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use super::{DeviceMode, DeviceUnit};

/// Which option of ssh(1) a forward is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForwardKind {
    /// `-L`, LocalForward: listens here, connects from the server.
    Local,
    /// `-R`, RemoteForward: listens on the server, connects from here.
    Remote,
    /// `-D`, DynamicForward: listens here, speaks SOCKS, connects from the server.
    Dynamic,
    /// `-w`, Tunnel: packets of a network device here and one on the server.
    TunnelDevice,
}

impl ForwardKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Local, Self::Remote, Self::Dynamic, Self::TunnelDevice];

    /// `local`, `remote`, `dynamic` or `tunnel_device`: the word used in status, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Dynamic => "dynamic",
            Self::TunnelDevice => "tunnel_device",
        }
    }

    /// ssh's option for it.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Local => "-L",
            Self::Remote => "-R",
            Self::Dynamic => "-D",
            Self::TunnelDevice => "-w",
        }
    }

    /// The side whose address space the listen address belongs to.
    pub const fn side(self) -> Side {
        match self {
            Self::Local | Self::Dynamic | Self::TunnelDevice => Side::Here,
            Self::Remote => Side::Server,
        }
    }
}

/// The machine of a listen address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// On the machine that runs tunneld.
    Here,
    /// On the SSH server.
    Server,
}

impl Side {
    /// The opposite side.
    pub const fn other(self) -> Self {
        match self {
            Self::Here => Self::Server,
            Self::Server => Self::Here,
        }
    }
}

/// A checked forward.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Forward {
    /// `-L`, `-R`, `-D` or `-w`.
    pub kind: ForwardKind,
    /// Where connections are accepted.
    pub listen: Listen,
    /// The connect address.
    pub connect: Connect,
    /// Connections at once; over it, accept waits. `None`: the tunnel's own limit.
    pub max_connections: Option<u32>,
}

/// What makes two forwards of one tunnel the same one across a reload: its listen address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardKey {
    /// Here or on the server.
    pub side: Side,
    /// The listen address.
    pub listen: Listen,
}

impl Forward {
    /// The listen address together with the side it lives on.
    pub fn key(&self) -> ForwardKey {
        ForwardKey { side: self.kind.side(), listen: self.listen.clone() }
    }

    /// The same with other paths of its unix sockets. `path` is told on which side each is.
    ///
    /// # Errors
    /// Those of `path`.
    pub fn with_paths<E>(self, path: impl Fn(PathBuf, Side) -> Result<PathBuf, E>) -> Result<Self, E> {
        let side = self.kind.side();
        let listen = match self.listen {
            Listen::Unix(socket) => Listen::Unix(path(socket, side)?),
            other @ (Listen::Tcp { .. } | Listen::Device { .. }) => other,
        };
        let connect = match self.connect {
            Connect::Unix(socket) => Connect::Unix(path(socket, side.other())?),
            other @ (Connect::Tcp { .. } | Connect::Socks | Connect::Device(_)) => other,
        };
        Ok(Self { listen, connect, ..self })
    }
}

/// A listen address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// A TCP port on one or more addresses. Port 0 (remote forwards only) lets the server choose.
    Tcp {
        /// The addresses to listen on.
        bind: Bind,
        /// The port; 0 lets the listening side choose.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
    /// A network device of this machine.
    Device {
        /// Packets or Ethernet frames.
        mode: DeviceMode,
        /// The unit number, or any.
        unit: DeviceUnit,
    },
}

/// The addresses of a TCP listener, by the rules of ssh(1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bind {
    /// None named: loopback of both families (`gateway_ports` makes it all interfaces).
    /// On the wire of a remote forward: `localhost`.
    Default,
    /// `*` or empty: all interfaces, both families. On the wire: the empty string.
    Any,
    /// A literal address or name, without brackets. `localhost` is loopback of both families.
    Address(String),
}

/// A connect address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Connect {
    /// Host and port, resolved on the side that connects.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// The port, never 0.
        port: u16,
    },
    /// A unix socket on the side that connects.
    Unix(PathBuf),
    /// The peer says it, by SOCKS: `-D`, and `-R` with a bare port.
    Socks,
    /// A network device of the server.
    Device(DeviceUnit),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { bind: Bind::Default, port } => write!(f, "{port}"),
            Self::Tcp { bind: Bind::Any, port } => write!(f, "*:{port}"),
            Self::Tcp { bind: Bind::Address(host), port } => write_host_port(f, host, *port),
            Self::Unix(path) => write_path(f, path),
            Self::Device { mode: DeviceMode::PointToPoint, unit } => write!(f, "{unit}"),
            Self::Device { mode: mode @ DeviceMode::Ethernet, unit } => write!(f, "{}:{unit}", mode.as_str()),
        }
    }
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write_host_port(f, host, *port),
            Self::Unix(path) => write_path(f, path),
            Self::Socks => f.write_str("socks"),
            Self::Device(unit) => write!(f, "{unit}"),
        }
    }
}

/// The forward as ssh's option takes it; what it prints parses back to the same forward.
impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&forward_text(&self.listen, &self.connect))
    }
}

/// What [`Forward`] prints, of its two ends.
pub fn forward_text(listen: &Listen, connect: &Connect) -> String {
    match connect {
        Connect::Socks => listen.to_string(),
        connect @ (Connect::Tcp { .. } | Connect::Unix(_) | Connect::Device(_)) => format!("{listen}:{connect}"),
    }
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

/// What would end a field, or begin a bracket, is escaped.
fn write_path(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    path.to_string_lossy().chars().try_for_each(|c| {
        if ":\\[ ".contains(c) {
            f.write_char('\\')?;
        }
        f.write_char(c)
    })
}
