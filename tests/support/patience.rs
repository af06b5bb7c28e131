//! Waiting for something to become true, with an end. The only place in the tests that sleeps.

use std::time::{Duration, Instant};

/// How long anything may take on a slow machine. Nothing asserts that it takes less.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often we look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` gives something, and panics with `what` when [`PATIENCE`] is over.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("not in {PATIENCE:?}: {what}"))
}

/// Lets time go by in which something has to last: nothing is waited for.
pub fn last(time: Duration) {
    std::thread::sleep(time);
}

/// Looks until `look` gives something or the time is over.
pub fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
