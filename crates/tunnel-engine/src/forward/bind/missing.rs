//! The addresses that a listen spec names and that are not bound: why, who holds them, and the next try.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::again::UnboundSockets;
use super::{Listener, SocketStore, holder, tcp};
use crate::failure::{Failure, FailureKind};
use crate::shortage;
use crate::spec::Listen;

/// How long the holder of an address is believed to be the same: to find it, all of /proc is read, and a bind that is
/// tried again each second is not to cost that.
pub(in crate::forward) const HOLDER_KNOWN: Duration = Duration::from_secs(10);

/// Never empty.
pub(super) struct Missing {
    /// Not bound.
    refused: Vec<(SocketAddr, io::Error)>,
    /// Bound, and no longer addresses of this machine.
    absent: Vec<SocketAddr>,
    failure: Failure,
    holders_asked: Instant,
    /// To find out cheaply that nothing has changed.
    waiting: Option<UnboundSockets>,
}

impl Missing {
    /// `None` when nothing is missing.
    pub(super) async fn of(
        listen: &Listen,
        refused: Vec<(SocketAddr, io::Error)>,
        absent: Vec<SocketAddr>,
        now: Instant,
    ) -> Option<Self> {
        if refused.is_empty() && absent.is_empty() {
            return None;
        }
        let failure = failure("all of ", &listen.to_string(), &refused, &absent).await;
        let waiting = UnboundSockets::for_addresses(&addresses(&refused));
        Some(Self { refused, absent, failure, holders_asked: now, waiting })
    }

    pub(super) const fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Binds what has become free. Gives the new listeners, and what is missing still.
    pub(super) async fn retry(
        mut self,
        listen: &Listen,
        store: &dyn SocketStore,
        now: Instant,
    ) -> (Vec<Listener>, Option<Self>) {
        let absent: Vec<SocketAddr> = self.absent.iter().copied().filter(|address| !tcp::is_local(*address)).collect();
        let known = absent == self.absent && now < self.holders_asked + HOLDER_KNOWN;
        if known && self.waiting.as_ref().is_some_and(UnboundSockets::is_unchanged) {
            return (Vec::new(), Some(self));
        }
        // A socket of these may have got its address now.
        self.waiting = None;
        let tcp::BindAttempt { listeners, refused } = tcp::attempt(&addresses(&self.refused), store);
        let same = listeners.is_empty() && refused.iter().map(reason_number).eq(self.refused.iter().map(reason_number));
        if same && known {
            self.waiting = UnboundSockets::for_addresses(&addresses(&self.refused));
            return (listeners, Some(self));
        }
        (listeners, Self::of(listen, refused, absent, now).await)
    }

    /// The sockets whose address has left this machine, or is back.
    pub(super) async fn look_at_addresses(
        missing: Option<Self>,
        listen: &Listen,
        sockets: &[Listener],
        now: Instant,
    ) -> Option<Self> {
        let absent: Vec<SocketAddr> =
            sockets.iter().filter_map(Listener::own_address).filter(|at| !tcp::is_local(*at)).collect();
        match missing {
            Some(missing) if missing.absent == absent => Some(missing),
            Some(missing) => Self::of(listen, missing.refused, absent, now).await,
            None => Self::of(listen, Vec::new(), absent, now).await,
        }
    }

    /// With one more that is not bound.
    pub(super) async fn and(
        missing: Option<Self>,
        listen: &Listen,
        address: SocketAddr,
        error: io::Error,
        now: Instant,
    ) -> Option<Self> {
        let (mut refused, absent) = missing.map(|missing| (missing.refused, missing.absent)).unwrap_or_default();
        refused.push((address, error));
        Self::of(listen, refused, absent, now).await
    }
}

fn addresses(refused: &[(SocketAddr, io::Error)]) -> Vec<SocketAddr> {
    refused.iter().map(|(address, _)| *address).collect()
}

fn reason_number((address, error): &(SocketAddr, io::Error)) -> (SocketAddr, Option<i32>) {
    (*address, error.raw_os_error())
}

/// None of the addresses could be bound.
pub(super) async fn all(listen: &Listen, refused: &[(SocketAddr, io::Error)]) -> Failure {
    failure("", &listen.to_string(), refused, &[]).await
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel has many errors, and these have a cause that can be named"
)]
async fn failure(part: &str, listen: &str, refused: &[(SocketAddr, io::Error)], absent: &[SocketAddr]) -> Failure {
    let mut reasons = Vec::new();
    for (address, error) in refused {
        reasons.push(reason(*address, error, listen).await);
    }
    reasons.extend(absent.iter().map(|address| format!("`{}` is no longer an address of this machine", address.ip())));
    let message = format!("cannot listen on {part}`{listen}`: {}", reasons.join("; "));
    if let Some(hint) = refused.iter().find_map(|(_, error)| shortage::hint(error)) {
        return Failure::new(FailureKind::ResourceShortage, message).with_told_hint(hint);
    }
    let number = refused.first().and_then(|(_, error)| error.raw_os_error()).map(Errno::from_raw);
    match number.unwrap_or(Errno::EADDRNOTAVAIL) {
        Errno::EADDRINUSE => Failure::new(FailureKind::ListenInUse, message),
        Errno::EADDRNOTAVAIL => Failure::new(FailureKind::ListenDenied, message)
            .with_hint("the address is not this machine's: check it with `ip address`, or listen on `*`"),
        Errno::EACCES => Failure::new(FailureKind::ListenDenied, message)
            .with_hint("use a port above 1023, or grant CAP_NET_BIND_SERVICE"),
        Errno::EINVAL if refused.iter().any(|(address, _)| lacks_interface(address)) => {
            Failure::new(FailureKind::ListenDenied, message)
                .with_hint("a link-local address needs its interface: write it as in `fe80::1%eth0`")
        }
        Errno::EINVAL => Failure::new(FailureKind::ListenInUse, message)
            .with_hint("another program has a duplicate of the socket and shut it down; it is bound again"),
        _ => Failure::new(FailureKind::ListenDenied, message),
    }
}

/// The kernel cannot tell which link such an address is of.
fn lacks_interface(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

/// `listen`: what the message has named already.
async fn reason(address: SocketAddr, error: &io::Error, listen: &str) -> String {
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    let held = if in_use { holder::of_port(address).await } else { None };
    match held {
        Some(holder) => format!("`{address}` is held by {holder}"),
        None if address.to_string() == listen => tcp::text(error),
        None => format!("`{address}`: {}", tcp::text(error)),
    }
}
