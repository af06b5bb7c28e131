//! A way to a server's SSH port ([`Dialer`]) and the bytes on it ([`Link`]), as a session needs them. What dials is in
//! [`crate::dial`].

mod tcp_status;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

pub use tcp_status::TcpStatus;
pub(crate) use tcp_status::{is_gone, limit_retransmit_wait};

use crate::failure::Failure;
use crate::login_record::LoginRecorder;
use crate::spec::SessionSpec;

/// Bytes to and from a server's SSH port.
pub struct Link {
    /// The byte stream to the server.
    pub io: Box<dyn LinkIo>,
    /// The address that answered, where there is one.
    pub peer: Option<SocketAddr>,
    /// Our own address on it, where there is one.
    pub local: Option<SocketAddr>,
    /// Kept alive as long as the link: the jump host's session, the proxy command's process.
    pub keep: Option<Box<dyn std::any::Any + Send + Sync>>,
}

/// What a [`Link`] is made of.
pub trait LinkIo: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// What is known below the bytes. `None`: nothing, and only the peer's answers tell whether it is there.
    fn tcp_status(&self) -> Option<TcpStatus> {
        None
    }

    /// The peer answered a question that was put over these bytes, which proves the session that carries them, too.
    fn answered(&self) {}

    /// The jump hosts whose sessions carry these bytes, the first one first.
    fn jump_hosts(&self) -> Vec<JumpHostInfo> {
        Vec::new()
    }

    /// The reader is woken when so many bytes are there, or the end. `false`: it is woken for any byte.
    fn set_low_water(&self, bytes: u32) -> bool {
        let _ = bytes;
        false
    }

    /// What was read is acknowledged now, without waiting for something to be written.
    fn acknowledge(&self) {}

    /// What was written may take so long to arrive before the link is given up from below.
    fn set_user_timeout(&self, duration: Duration) {
        let _ = duration;
    }
}

/// A jump host, whose own session carries this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpHostInfo {
    /// `host:port`.
    pub server: String,
    /// Its software, as its identification string says.
    pub software: String,
    /// Key exchange method of the session to it.
    pub kex: String,
}

/// In memory.
impl LinkIo for DuplexStream {}

/// The future of [`Dialer::dial`].
pub type Dialing<'a> = Pin<Box<dyn Future<Output = Result<Link, Failure>> + Send + 'a>>;

/// A way to reach servers. Dropping the future abandons the attempt and leaves nothing behind.
pub trait Dialer: Send + Sync + 'static {
    /// Opens a link to the server of `spec`; gives up at `deadline` with `connect_timeout`.
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a>;

    /// As [`Dialer::dial`], but every address is tried once: for those who come again by themselves.
    fn probe<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        self.dial(spec, deadline)
    }

    /// The login at `peer`, the address that a dial for `spec` had reached, has succeeded.
    fn logged_in(&self, spec: &SessionSpec, peer: SocketAddr) {
        let _ = (spec, peer);
    }

    /// It has failed. Returns the failure to tell, which may name the address.
    fn login_failed(&self, spec: &SessionSpec, peer: SocketAddr, failure: Failure) -> Failure {
        let _ = (spec, peer);
        failure
    }

    /// What takes notes of the steps of a login over this dialer; none by default.
    fn recorder(&self) -> LoginRecorder {
        LoginRecorder::default()
    }

    /// This dialer, with `first` as the answer of the first server that is dialled directly: a connection that is
    /// there already, or a refusal that is known. `None`: it has no use for it.
    fn starting_with(&self, first: Result<Link, Failure>) -> Option<Box<dyn Dialer>> {
        drop(first);
        None
    }
}

/// The failure that a link tells by an error of its byte stream: a jump host's session or a proxy command that ended
/// says more about itself than "connection reset".
pub fn failure_in(error: &io::Error) -> Option<&Failure> {
    error.get_ref()?.downcast_ref()
}

pub(crate) fn error_with(failure: Failure) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, failure)
}
