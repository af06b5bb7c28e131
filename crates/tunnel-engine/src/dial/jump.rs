//! ProxyJump: a session to the jump host, and a channel through it as the link.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::channel_io::ChannelIo;
use super::{Dialer, Dialing, Link, NetDialer};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::login_record::LoginRecorder;
use crate::session::{OpenError, Originator, Role, Session};
use crate::spec::{Connect, Destination, Route, SessionSpec};
use crate::words;

/// A session to a jump host, over which its next server is reached: once for a login there, or again and again to see
/// whether that server is back.
pub struct JumpHost {
    session: Session,
    name: String,
}

impl JumpHost {
    /// Logs in to the jump host, whose own route may jump again.
    ///
    /// # Errors
    /// Those of the login, told as the jump host's.
    pub async fn open(jump: &SessionSpec, dialer: &dyn Dialer) -> Result<Self, Failure> {
        let name = jump.destination.host_port();
        // What a jump host hands us unasked is refused when the receiver is dropped.
        match Session::open_as(jump, dialer, Role::JumpHost).await {
            Ok((session, _)) => Ok(Self { session, name }),
            Err(failure) => Err(at_hop(&name, failure)),
        }
    }

    /// A connection from the jump host to `target`. The link keeps the jump host's session.
    ///
    /// # Errors
    /// `jump_failed`, with [`crate::failure::Unreached::BehindJump`] where the jump host found no server there; or why
    /// its session ended.
    pub async fn connect(&self, target: &Destination) -> Result<Link, Failure> {
        let connect = Connect::Tcp { host: target.host.clone(), port: target.port };
        // As `ssh -W` says: no peer connected here.
        let origin = Originator { address: "127.0.0.1".to_owned(), port: 65535 };
        let channel = match self.session.open_direct(&connect, &origin).await {
            Ok(channel) => channel,
            Err(error) => return Err(not_opened(&self.name, target, &error, &self.session)),
        };
        let io = ChannelIo::new(channel, self.name.clone(), &self.session);
        Ok(Link { io: Box::new(io), peer: None, local: None, keep: Some(Box::new(self.session.clone())) })
    }

    /// Whether its session has ended.
    pub fn has_ended(&self) -> bool {
        self.session.ended().borrow().is_some()
    }
}

/// Opens the jump host's session and a channel from there to `target`.
pub(super) async fn dial(
    dialer: &NetDialer,
    jump: &SessionSpec,
    target: &Destination,
    deadline: Instant,
) -> Result<Link, Failure> {
    let name = jump.destination.host_port();
    let progress = Arc::new(Progress::default());
    let noting = Noting { dialer: dialer.clone(), progress: progress.clone() };
    let through = async {
        let host = JumpHost::open(jump, &noting).await?;
        progress.logged_in.store(true, Ordering::Relaxed);
        host.connect(target).await
    };
    match clock::timeout(deadline.saturating_duration_since(clock::now()), through).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("jump host `{name}`: `{}` was not reached in time", target.host_port());
            let failure = Failure::new(FailureKind::ConnectTimeout, message);
            Err(progress.judge(failure, jump))
        }
    }
}

/// How far the way through a jump host has come.
#[derive(Default)]
struct Progress {
    reached: AtomicBool,
    logged_in: AtomicBool,
}

impl Progress {
    /// A timeout says nothing about how far it came, and what follows depends on it.
    fn judge(&self, failure: Failure, jump: &SessionSpec) -> Failure {
        let (reached, logged_in) = (self.reached.load(Ordering::Relaxed), self.logged_in.load(Ordering::Relaxed));
        match &jump.dial.via {
            _ if logged_in => failure.not_reached_from_jump_host(),
            Route::Direct if !reached => failure.not_reached(),
            Route::Direct | Route::Jump(_) | Route::Command(_) => failure,
        }
    }
}

/// A dialer that notes that the jump host was reached.
struct Noting {
    dialer: NetDialer,
    progress: Arc<Progress>,
}

impl Dialer for Noting {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(async move {
            let link = self.dialer.dial(spec, deadline).await;
            self.progress.reached.fetch_or(link.is_ok(), Ordering::Relaxed);
            link
        })
    }

    fn logged_in(&self, spec: &SessionSpec, peer: SocketAddr) {
        self.dialer.logged_in(spec, peer);
    }

    fn login_failed(&self, spec: &SessionSpec, peer: SocketAddr, failure: Failure) -> Failure {
        self.dialer.login_failed(spec, peer, failure)
    }

    fn recorder(&self) -> LoginRecorder {
        self.dialer.recorder()
    }
}

/// The same failure, told as the jump host's.
pub(super) fn at_hop(name: &str, failure: Failure) -> Failure {
    // Policy waits longer for the first two, from any server; the last is of this machine.
    let kept =
        matches!(failure.kind(), FailureKind::ServerBusy | FailureKind::Penalized | FailureKind::ResourceShortage);
    let kind = if kept || failure.kind().is_permanent() { failure.kind() } else { FailureKind::JumpFailed };
    failure.in_context(&format!("jump host `{name}`")).with_kind(kind)
}

fn not_opened(name: &str, target: &Destination, error: &OpenError, session: &Session) -> Failure {
    let target = target.host_port();
    let hint = match error {
        OpenError::SessionEnded => {
            if let Some(failure) = session.ended().borrow().clone() {
                return at_hop(name, failure);
            }
            "look into the jump host's log for the reason".to_owned()
        }
        OpenError::Prohibited(_) => {
            "allow it on the jump host: AllowTcpForwarding, PermitOpen, and the key's options".to_owned()
        }
        OpenError::ConnectFailed(_) | OpenError::Timeout => {
            format!("check that the jump host itself can reach `{target}`")
        }
        OpenError::ResourceShortage(_) => {
            "the jump host is at a limit: open files, processes, or channels of one session".to_owned()
        }
        OpenError::UnknownType(_) => {
            words::own("the jump host's server forwards no TCP connections: take another jump host, or a proxy_command")
                .into_owned()
        }
        OpenError::Other { .. } => "look into the jump host's log for the reason".to_owned(),
    };
    let message = format!("jump host `{name}`: no connection from there to `{target}`: {error}");
    let failure = Failure::new(FailureKind::JumpFailed, message).with_told_hint(hint);
    let not_reached = matches!(error, OpenError::ConnectFailed(_) | OpenError::Timeout);
    if not_reached { failure.not_reached_from_jump_host() } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_hosts_failure_names_it_and_stays_permanent() {
        let told = |kind| at_hop("bastion:22", Failure::new(kind, "it happened"));
        assert_eq!(told(FailureKind::ConnectRefused).kind(), FailureKind::JumpFailed);
        assert_eq!(told(FailureKind::ConnectRefused).message(), "jump host `bastion:22`: it happened");
        assert_eq!(told(FailureKind::ConnectRefused).hint(), FailureKind::ConnectRefused.hint());
        assert_eq!(told(FailureKind::HostKeyChanged).kind(), FailureKind::HostKeyChanged);
        assert_eq!(told(FailureKind::AuthRejected).kind(), FailureKind::AuthRejected);
        assert_eq!(told(FailureKind::Penalized).kind(), FailureKind::Penalized);
    }
}
