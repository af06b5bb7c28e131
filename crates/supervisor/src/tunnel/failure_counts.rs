//! How many failures of each kind a tunnel has had. Never reset, so that a counter made of it never falls.

use std::collections::BTreeMap;

use tunnel_engine::failure::FailureKind;

use crate::word::Word;

/// One count a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FailureCounts([u32; FailureKind::ALL.len()]);

impl Default for FailureCounts {
    fn default() -> Self {
        Self([0; FailureKind::ALL.len()])
    }
}

impl FailureCounts {
    pub(super) const fn add(&mut self, kind: FailureKind) {
        let at = kind as usize;
        if at < self.0.len() {
            self.0[at] = self.0[at].saturating_add(1);
        }
    }

    /// Of the kinds that have occurred.
    pub(super) fn by_kind(&self) -> BTreeMap<Word<FailureKind>, u64> {
        let kinds = FailureKind::ALL.iter().zip(self.0).filter(|(_, count)| *count > 0);
        kinds.map(|(kind, count)| ((*kind).into(), u64::from(count))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself() {
        let mut counts = FailureCounts::default();
        for kind in FailureKind::ALL {
            counts.add(*kind);
        }
        counts.add(FailureKind::Dns);
        let told = counts.by_kind();
        assert_eq!(told.len(), FailureKind::ALL.len());
        assert!(told.iter().all(|(kind, count)| *count == if *kind == FailureKind::Dns { 2 } else { 1 }), "{told:?}");
    }
}
