//! One host key of a server, by a key exchange and no login.

use std::future::Future;
use std::sync::Arc;

use russh::keys::Algorithm;

use super::monitored_link::{CutOnDrop, MonitoredLink};
use super::{algorithms, banner, transport_setup};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::hostkey::{HostKey, HostKeyOffer};
use crate::link::Link;
use crate::spec::SessionSpec;
use crate::transport;

/// A host key of a type that is not among `known`, by an exchange over the link of `dial`; `None` when no type is left.
pub(crate) async fn next_host_key(
    spec: &SessionSpec,
    dial: impl Future<Output = Result<Link, Failure>>,
    known: &[HostKey],
) -> Result<Option<HostKey>, Failure> {
    let who = spec.destination.host_port();
    let offer = algorithms::offer(&spec.algorithms, false, |offer| without(offer, known));
    let offer = offer.map_err(|error| {
        Failure::new(FailureKind::NoCommonAlgorithm, format!("the algorithms for `{who}`: {error}"))
    })?;
    if offer.host_keys.is_empty() {
        return Ok(None);
    }
    let limit = spec.timing.connect_timeout;
    let exchange = clock::timeout(limit, exchange(dial, offer, &who));
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
    dial: impl Future<Output = Result<Link, Failure>>,
    offer: transport::LocalOffer,
    who: &str,
) -> Result<Option<HostKey>, Failure> {
    let mut link = dial.await?;
    let banner = banner::exchange(&mut *link.io, who, &mut Vec::new()).await?;
    let link_monitor = Arc::new(MonitoredLink::new(link));
    let _cut = CutOnDrop(Some(link_monitor.clone()));
    transport_setup::shown_host_key(who, offer, link_monitor, &banner).await
}
