//! How many failures of each kind a tunnel has had. Never reset, so that a counter made of it never falls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use tunnel_engine::failure::FailureKind;

/// Written by the tunnel, read by those who ask for its status.
#[derive(Debug)]
pub(super) struct FailureCounts([AtomicU64; FailureKind::ALL.len()]);

impl Default for FailureCounts {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; FailureKind::ALL.len()])
    }
}

impl FailureCounts {
    pub(super) fn add(&self, kind: FailureKind) {
        if let Some(count) = self.0.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Of the kinds that have occurred.
    pub(super) fn by_kind(&self) -> BTreeMap<String, u64> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        let kinds = FailureKind::ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
        kinds.map(|(kind, count)| (kind.as_str().to_owned(), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself() {
        let counts = FailureCounts::default();
        for kind in FailureKind::ALL {
            counts.add(*kind);
        }
        counts.add(FailureKind::Dns);
        let told = counts.by_kind();
        assert_eq!(told.len(), FailureKind::ALL.len());
        assert!(told.iter().all(|(kind, count)| *count == if kind == "dns" { 2 } else { 1 }), "{told:?}");
    }
}
