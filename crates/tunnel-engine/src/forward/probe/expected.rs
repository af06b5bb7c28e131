//! The nonces that are on their way, and how they are recognised.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::session::RemoteListen;

/// Random bytes of a nonce: they cannot be guessed, and no two probes share them.
const RANDOM: usize = 16;

/// Says in whose log it lands what it is; no SOCKS request, which begins with 4 or 5.
const PREFIX: &str = "tunneld-probe ";

/// The nonces on their way to listeners of one session.
#[derive(Clone, Default)]
pub(in crate::forward) struct Expectations(Arc<Mutex<HashMap<RemoteListen, Expected>>>);

/// One nonce.
#[derive(Clone)]
pub(in crate::forward) struct Expected {
    nonce: Bytes,
    /// The nonce came, or is not waited for any more.
    over: CancellationToken,
    /// A connection had to be refused unseen, which may have been the one.
    crowded: Arc<AtomicBool>,
}

/// How far some first bytes agree with a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forward) enum NonceMatch {
    /// This is it.
    Same,
    /// So far.
    Partly(usize),
    /// Not at all.
    Different,
}

impl Expectations {
    /// The nonce that may come on `listen` now.
    pub(in crate::forward) fn on(&self, listen: &RemoteListen) -> Option<Expected> {
        self.lock().get(listen).cloned()
    }

    /// From now on a connection on `listen` may be ours, until this is dropped.
    pub(super) fn expect(&self, listen: &RemoteListen) -> Expecting {
        let expected = Expected { nonce: nonce(), over: CancellationToken::new(), crowded: Arc::default() };
        self.lock().insert(listen.clone(), expected.clone());
        Expecting { expectations: self.clone(), listen: listen.clone(), expected }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RemoteListen, Expected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    /// Compares `bytes`, which follow `seen` bytes that agreed.
    pub(in crate::forward) fn compare(&self, seen: usize, bytes: &[u8]) -> NonceMatch {
        let rest = self.nonce.get(seen..).unwrap_or_default();
        let common = rest.len().min(bytes.len());
        match (rest[..common] == bytes[..common], seen + common) {
            (false, _) => NonceMatch::Different,
            (true, all) if all == self.nonce.len() => NonceMatch::Same,
            (true, some) => NonceMatch::Partly(some),
        }
    }

    /// A connection was refused without a look at it.
    pub(in crate::forward) fn crowded(&self) {
        self.crowded.store(true, Ordering::Relaxed);
    }

    /// It came back.
    pub(in crate::forward) fn observed(&self) {
        self.over.cancel();
    }

    /// Returns once it came back, or is not waited for any more.
    pub(in crate::forward) async fn over(&self) {
        self.over.cancelled().await;
    }
}

/// A nonce that is waited for.
pub(super) struct Expecting {
    expectations: Expectations,
    listen: RemoteListen,
    expected: Expected,
}

impl Expecting {
    pub(super) fn nonce(&self) -> Bytes {
        self.expected.nonce.clone()
    }

    pub(super) fn was_crowded(&self) -> bool {
        self.expected.crowded.load(Ordering::Relaxed)
    }

    pub(super) async fn observed(&self) {
        self.expected.over().await;
    }
}

impl Drop for Expecting {
    fn drop(&mut self) {
        self.expectations.lock().remove(&self.listen);
        self.expected.over.cancel();
    }
}

fn nonce() -> Bytes {
    let mut random = [0; RANDOM];
    // Its failure would leave zeros: still a line that no client sends.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{hex}\r\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_recognised_in_pieces_and_nothing_else_is() {
        let listen = RemoteListen::Unix("/s".to_owned());
        let expectations = Expectations::default();
        let expecting = expectations.expect(&listen);
        let (nonce, expected) = (expecting.nonce(), expectations.on(&listen).expect("a nonce is on its way"));
        assert!(!matches!(nonce[0], 4 | 5), "no SOCKS request");
        assert_eq!(expected.compare(0, &nonce[..3]), NonceMatch::Partly(3));
        assert_eq!(expected.compare(3, &nonce[3..]), NonceMatch::Same);
        assert_eq!(expected.compare(0, b"GET / HTTP/1.1"), NonceMatch::Different);
        assert_eq!(expected.compare(0, b""), NonceMatch::Partly(0));
        drop(expecting);
        assert!(expectations.on(&listen).is_none());
    }

    #[test]
    fn no_two_nonces_are_alike() {
        assert_ne!(nonce(), nonce());
    }
}
