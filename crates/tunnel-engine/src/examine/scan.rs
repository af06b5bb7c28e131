//! The host keys of a server, as ssh-keyscan gets them: one key exchange for each, and no login.

use crate::clock;
use crate::dial::JumpHost;
use crate::failure::{Failure, FailureKind};
use crate::hostkey::HostKey;
use crate::link::{Dialer, Link};
use crate::session::next_host_key;
use crate::spec::{Route, SessionSpec};

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
        match next_host_key(spec, route.connect(spec), &keys).await {
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
