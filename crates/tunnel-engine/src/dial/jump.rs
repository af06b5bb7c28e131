//! ProxyJump: a session to the jump host, and a channel through it as the link.

use std::time::Instant;

use super::channel_io::ChannelIo;
use super::{Dialer, Link, NetDialer};
use crate::failure::{Failure, FailureKind};
use crate::session::{OpenError, Origin, Role, Session};
use crate::spec::{Connect, Destination, SessionSpec};

/// Opens the jump host's session (whose own way may jump again) and a channel from there to `target`.
pub(super) async fn dial(
    dialer: &NetDialer,
    jump: &SessionSpec,
    target: &Destination,
    deadline: Instant,
) -> Result<Link, Failure> {
    let name = jump.destination.host_port();
    let dialer: &dyn Dialer = dialer;
    let through = async {
        // What a jump host hands us unasked is refused when the receiver is dropped.
        let (session, _) =
            Session::open_as(jump, dialer, Role::JumpHost).await.map_err(|failure| at_hop(&name, failure))?;
        let connect = Connect::Tcp { host: target.host.clone(), port: target.port };
        // As `ssh -W` says: nobody connected here.
        let origin = Origin { address: "127.0.0.1".to_owned(), port: 65535 };
        let channel = match session.open_direct(&connect, &origin).await {
            Ok(channel) => channel,
            Err(error) => return Err(not_opened(&name, target, &error, &session)),
        };
        let io = ChannelIo::new(channel, name.clone(), &session);
        Ok(Link { io: Box::new(io), peer: None, local: None, keep: Some(Box::new(session)) })
    };
    match tokio::time::timeout_at(deadline.into(), through).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("jump host `{name}`: `{}` was not reached in time", target.host_port());
            Err(Failure::new(FailureKind::ConnectTimeout, message))
        }
    }
}

/// The same failure, told as the jump host's.
pub(super) fn at_hop(name: &str, failure: Failure) -> Failure {
    // Policy waits longer for these two, whoever says them.
    let kept = matches!(failure.kind(), FailureKind::ServerBusy | FailureKind::Penalized);
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
        OpenError::UnknownType(_) | OpenError::ResourceShortage(_) => {
            "look into the jump host's log for the reason".to_owned()
        }
    };
    let message = format!("jump host `{name}`: no connection from there to `{target}`: {error}");
    Failure::new(FailureKind::JumpFailed, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_hosts_failure_names_it_and_stays_permanent_where_it_is() {
        let told = |kind| at_hop("bastion:22", Failure::new(kind, "it happened"));
        assert_eq!(told(FailureKind::ConnectRefused).kind(), FailureKind::JumpFailed);
        assert_eq!(told(FailureKind::ConnectRefused).message(), "jump host `bastion:22`: it happened");
        assert_eq!(told(FailureKind::ConnectRefused).hint(), FailureKind::ConnectRefused.hint());
        assert_eq!(told(FailureKind::HostKeyChanged).kind(), FailureKind::HostKeyChanged);
        assert_eq!(told(FailureKind::AuthRejected).kind(), FailureKind::AuthRejected);
        assert_eq!(told(FailureKind::Penalized).kind(), FailureKind::Penalized);
    }
}
