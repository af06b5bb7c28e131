//! The history as clients receive it. Absent things are null.

use serde::{Deserialize, Serialize};

use super::cause::CauseKind;
use super::moment::{at_unix_ms, millis};
use super::outages::PastOutage;
use super::record::{KEPT, TunnelRecord};
use super::rfc3339;
use crate::word::Word;

/// The last 24 hours of one tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunnelHistory {
    pub name: String,
    /// Since when it is known, at most 24 h ago; RFC 3339.
    pub since: String,
    /// The share of the wanted time in which it was ready, 0 to 1; null when it was not wanted.
    pub availability: Option<f64>,
    /// Mean length of the outages that are over, in seconds; null when there is none.
    pub mttr_s: Option<f64>,
    /// Times in which it was wanted and not ready, the newest first; at most a hundred and one.
    pub outages: Vec<OutageReport>,
    /// One for each five minutes, the oldest first; at most 288.
    pub samples: Vec<SampleReport>,
}

/// A time in which a tunnel was wanted and not ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutageReport {
    /// When it began, RFC 3339. May be more than 24 h ago.
    pub from: String,
    /// When it ended, RFC 3339; null while it lasts.
    pub until: Option<String>,
    /// How long, without the time in which the machine slept.
    pub seconds: f64,
    /// The kind of the failure that began it; null where it was none, such as an operator's restart.
    pub kind: Option<Word<CauseKind>>,
    /// The cause of its beginning.
    pub message: String,
}

/// Five minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleReport {
    /// Its beginning, RFC 3339.
    pub at: String,
    /// The share of the wanted time in which the tunnel was ready, 0 to 1; null when it was not wanted, or tunneld did
    /// not run.
    pub ready: Option<f64>,
    /// Round trip to the server, the last of these five minutes.
    pub rtt_ms: Option<f64>,
    /// Bytes towards the listeners' peers.
    pub bytes_in: u64,
    /// Bytes from the listeners' peers.
    pub bytes_out: u64,
}

impl TunnelRecord {
    /// As it was when time was counted last.
    pub(super) fn report(&self, name: &str, now_ms: u64) -> TunnelHistory {
        let (wanted, ready) = self.samples.totals();
        let past: Vec<_> = self.outages.past().collect();
        let repaired: f64 = past.iter().map(|outage| seconds(outage.length)).sum();
        let open = self.outages.open().map(|outage| outage_report(outage, true));
        let over = past.iter().map(|outage| outage_report(outage, false));
        TunnelHistory {
            name: name.to_owned(),
            since: time(self.begun.max(now_ms.saturating_sub(millis(KEPT)))),
            availability: (wanted > 0).then(|| ready as f64 / wanted as f64),
            mttr_s: (!past.is_empty()).then(|| rounded(repaired / past.len() as f64)),
            outages: open.into_iter().chain(over).collect(),
            samples: self.samples.iter().map(|(at, sample)| sample.report(time(at))).collect(),
        }
    }
}

fn outage_report(outage: &PastOutage, lasts: bool) -> OutageReport {
    OutageReport {
        from: time(outage.from),
        until: (!lasts).then(|| time(outage.until)),
        seconds: seconds(outage.length),
        kind: outage.cause.kind.clone(),
        message: outage.cause.message.clone(),
    }
}

fn time(ms: u64) -> String {
    rfc3339(at_unix_ms(ms))
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// To milliseconds, or thousandths of one.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
