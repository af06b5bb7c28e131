//! The ways to a server's SSH port, each a [`Dialer`]: TCP, a jump host's channel, a proxy command.

mod address_memory;
mod addresses;
mod channel_io;
mod jump;
mod low_water;
mod net;
mod prepared;
mod proxy_command;
mod proxy_process;
mod race;
mod resolve;
mod source;
mod tcp;

use std::time::Duration;

use tokio::net::TcpStream;

pub use jump::JumpHost;
pub use net::NetDialer;
pub use prepared::Prepared;
pub(crate) use tcp::{connect_once, scope_missing};

pub use crate::link::{Dialer, Dialing, Link, LinkIo, TcpStatus, failure_in};

impl LinkIo for TcpStream {
    fn tcp_status(&self) -> Option<TcpStatus> {
        TcpStatus::of(self)
    }

    fn set_low_water(&self, bytes: u32) -> bool {
        low_water::set(self, bytes)
    }

    fn acknowledge(&self) {
        // After a write Linux holds an acknowledgement back for 40 ms, in the hope of another write to send it with. sshd
        // holds small packets back until what it sent before is acknowledged (Nagle). Together they make the second small
        // packet of an answer 40 ms late.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Err(error) = socket2::SockRef::from(self).set_tcp_quickack(true) {
            tracing::trace!(%error, "this socket acknowledges when it likes");
        }
    }

    fn set_user_timeout(&self, duration: Duration) {
        if let Err(error) = socket2::SockRef::from(self).set_tcp_user_timeout(Some(duration)) {
            tracing::trace!(%error, "this socket's patience cannot be changed");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
