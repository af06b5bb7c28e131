//! The keepalive: asks a silent peer for a sign of life, and ends the session when none comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::link::Shared;
use super::liveness::{Patience, Verdict};
use super::requests::Line;
use crate::clock;
use crate::failure::{Failure, FailureKind};

/// Watches until the peer is dead or the session over. It reads only what the wire has noted, so it also sees a
/// peer that died while russh's loop waits for it to take our bytes.
pub(super) async fn watch(shared: Arc<Shared>, patience: Patience) {
    loop {
        let now = clock::now();
        let signs = shared.wire.signs();
        let look_again = match patience.judge(&signs, now) {
            Verdict::Alive { look_again } => look_again,
            Verdict::Silent => return dead(&shared, "said nothing", patience.limit()),
            Verdict::Stalled => return dead(&shared, "took nothing", patience.limit()),
        };
        tokio::select! {
            () = tokio::time::sleep_until(Instant::from_std(look_again)) => {}
            () = shared.ending.gone().cancelled() => return,
        }
    }
}

/// Asks once at the start, for the round trip, and then whenever the peer has been silent for one interval.
pub(super) async fn ask(line: Arc<Line>, patience: Patience) {
    let shared = line.shared.clone();
    loop {
        let asked = clock::now();
        tokio::select! {
            // Its failure is no news: the watch above judges by the silence.
            _ = line.ping(patience.interval()) => {}
            () = shared.ending.gone().cancelled() => return,
        }
        loop {
            let due = shared.wire.signs().last_byte.max(asked) + patience.interval();
            if due <= clock::now() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep_until(Instant::from_std(due)) => {}
                () = shared.ending.gone().cancelled() => return,
            }
        }
    }
}

fn dead(shared: &Shared, what: &str, limit: Duration) {
    let message = format!("`{}` {what} for {}s (keepalive)", shared.who, limit.as_secs_f64());
    shared.ending.end(Failure::new(FailureKind::KeepaliveTimeout, message));
    shared.wire.cut();
}
