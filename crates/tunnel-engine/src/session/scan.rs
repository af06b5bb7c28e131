//! The host keys of a server, as ssh-keyscan gets them: one key exchange for each, and no login.

use std::sync::Arc;

use russh::keys::Algorithm;
use tokio::io::AsyncWriteExt as _;

use super::config::IDENTIFICATION;
use super::monitored_link::{CutOnDrop, MonitoredLink};
use super::{algorithms, banner, transport_setup};
use crate::clock;
use crate::dial::{Dialer, JumpHost, Link};
use crate::failure::{Failure, FailureKind};
use crate::hostkey::{HostKey, HostKeyOffer};
use crate::spec::{Route, SessionSpec};
use crate::transport;

/// A server has one key of each type, and there are six types; more exchanges than that end nowhere.
const MAX_KEYS: usize = 8;

/// The host keys of one server.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Its host keys, each proven to be its own by the exchange, in the order in which it was asked for them.
    pub keys: Vec<HostKey>,
    /// Why it was not asked for more.
    pub cut_short: Option<Failure>,
}

/// Asks the server of `spec` for each of its host keys that `host_key_algorithms` allows, by as many key exchanges as
/// it has keys and one more. Nothing is said about whom to believe, and nothing is offered to prove who we are, but to
/// its jump hosts, where one login serves all. Each exchange has `connect_timeout`.
///
/// # Errors
/// No key could be had: the server was not reached, does not speak SSH, or has no algorithm in common with us.
pub async fn host_keys(spec: &SessionSpec, dialer: &dyn Dialer) -> Result<Scan, Failure> {
    let route = ScanRoute::open(spec, dialer).await?;
    let mut keys: Vec<HostKey> = Vec::new();
    while keys.len() < MAX_KEYS {
        match next_key(spec, &route, &keys).await {
            Ok(Some(key)) if !keys.contains(&key) => keys.push(key),
            Ok(Some(_) | None) => break,
            Err(failure) if keys.is_empty() => return Err(failure),
            Err(failure) if failure.kind() == FailureKind::NoCommonAlgorithm => break,
            Err(failure) => return Ok(Scan { keys, cut_short: Some(failure) }),
        }
    }
    Ok(Scan { keys, cut_short: None })
}

/// The way to the server, for more than one connection.
enum ScanRoute<'a> {
    Dial(&'a dyn Dialer),
    Jump(JumpHost),
}

impl<'a> ScanRoute<'a> {
    async fn open(spec: &SessionSpec, dialer: &'a dyn Dialer) -> Result<Self, Failure> {
        match &spec.dial.via {
            Route::Jump(jump) => JumpHost::open(jump, dialer).await.map(Self::Jump),
            Route::Direct | Route::Command(_) => Ok(Self::Dial(dialer)),
        }
    }

    async fn connect(&self, spec: &SessionSpec) -> Result<Link, Failure> {
        match self {
            Self::Dial(dialer) => dialer.dial(spec, clock::now() + spec.timing.connect_timeout).await,
            Self::Jump(host) => host.connect(&spec.destination).await,
        }
    }
}

/// A key of a type that is not among `known`; `None` when no type is left.
async fn next_key(spec: &SessionSpec, route: &ScanRoute<'_>, known: &[HostKey]) -> Result<Option<HostKey>, Failure> {
    let who = spec.destination.host_port();
    let offer = algorithms::offer(&spec.algorithms, false, |offer| without(offer, known));
    let offer = offer.map_err(|error| {
        Failure::new(FailureKind::NoCommonAlgorithm, format!("the algorithms for `{who}`: {error}"))
    })?;
    if offer.host_keys.is_empty() {
        return Ok(None);
    }
    let limit = spec.timing.connect_timeout;
    let exchange = clock::timeout(limit, exchange(spec, route, offer, &who));
    exchange.await.unwrap_or_else(|_| {
        let message = format!("gave up on `{who}` after {}s while asking for its host key", limit.as_secs_f64());
        Err(Failure::new(FailureKind::ConnectTimeout, message))
    })
}

/// Certificates are for authorities, which known_hosts names in lines of another kind.
fn without(offer: HostKeyOffer, known: &[HostKey]) -> HostKeyOffer {
    let unknown = |algorithm: &Algorithm| !known.iter().any(|key| key.serves(algorithm.as_str()));
    let plain = offer.plain.into_iter().filter(unknown).collect();
    HostKeyOffer { plain, certificates: Vec::new(), leading: 0, ..offer }
}

/// The key that the server shows, and has proven to be its own by the exchange.
async fn exchange(
    spec: &SessionSpec,
    route: &ScanRoute<'_>,
    offer: transport::LocalOffer,
    who: &str,
) -> Result<Option<HostKey>, Failure> {
    let mut link = route.connect(spec).await?;
    let ours = format!("{IDENTIFICATION}\r\n");
    let banner = banner::receive(&mut *link.io, who, &ours, &mut Vec::new()).await?;
    if !banner.introduced {
        // A failure to write is not the news: what the server said, or how it closed, is.
        let _ = link.io.write_all(ours.as_bytes()).await;
    }
    let link_monitor = Arc::new(MonitoredLink::new(link));
    let _cut = CutOnDrop(Some(link_monitor.clone()));
    transport_setup::shown_host_key(who, offer, link_monitor, &banner).await
}
