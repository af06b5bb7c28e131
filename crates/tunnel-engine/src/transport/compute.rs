//! Long arithmetic of key exchanges, off the thread that serves all sessions: with a prime of 8192 bits or with
//! Streamlined NTRU Prime some ten milliseconds, at the login and whenever keys are renewed.

use tokio::sync::Semaphore;

use super::TransportError;
use super::kex::{Work, WorkResult};
use crate::task;

/// As many at once. More wait, and hold up only one another.
const MAX_AT_ONCE: usize = 4;

pub(super) async fn compute(work: Work) -> Result<WorkResult, TransportError> {
    static PLACES: Semaphore = Semaphore::const_new(MAX_AT_ONCE);
    let place = PLACES.acquire().await;
    let computed = task::blocking(move || {
        // Taken until the end: nothing stops what has begun, even when its session has.
        let _place = place;
        work.run()
    });
    computed.await.map_err(|_| TransportError::Cryptography("a key exchange was cut off"))
}
