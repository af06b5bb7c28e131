//! Which lines are still needed. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::super::moment::millis;
use super::super::outages::MAX_OUTAGES;
use super::super::record::KEPT;
use super::line::{SampleLine, StateLine, StoreLine};

/// Each outage begins with a line and ends with one.
const MAX_STATES: usize = 2 * MAX_OUTAGES;

#[derive(Default)]
struct OfTunnel {
    /// The last one before the day that is kept: what the tunnel was when it began.
    before: Option<StateLine>,
    states: VecDeque<StateLine>,
    samples: BTreeMap<u64, SampleLine>,
}

/// What the last day needs: the changes of state, the last line of each sample, and the last sign of life.
pub(super) fn compacted(lines: Vec<StoreLine>, now_ms: u64) -> Vec<StoreLine> {
    let since = now_ms.saturating_sub(millis(KEPT));
    let mut life = None;
    let mut tunnels: HashMap<String, OfTunnel> = HashMap::new();
    for line in lines {
        match line {
            StoreLine::History { .. } => {}
            StoreLine::Started { .. } | StoreLine::Alive { .. } | StoreLine::Stopped { .. } => life = Some(line),
            StoreLine::State(state) => tunnels.entry(state.tunnel.clone()).or_default().add(state, since),
            StoreLine::Sample(sample) if sample.at >= since => {
                tunnels.entry(sample.tunnel.clone()).or_default().samples.insert(sample.at, sample);
            }
            StoreLine::Sample(_) => {}
        }
    }
    let mut names: Vec<_> = tunnels.iter().filter(|(_, tunnel)| tunnel.is_recent()).map(|(name, _)| name).collect();
    names.sort();
    let mut kept = Vec::new();
    for tunnel in names.into_iter().filter_map(|name| tunnels.get(name)) {
        kept.extend(tunnel.before.iter().chain(&tunnel.states).cloned().map(StoreLine::State));
        kept.extend(tunnel.samples.values().cloned().map(StoreLine::Sample));
    }
    kept.extend(life);
    kept
}

impl OfTunnel {
    fn add(&mut self, state: StateLine, since: u64) {
        if state.at < since {
            self.before = Some(state);
            return;
        }
        if self.states.len() >= MAX_STATES {
            self.before = self.states.pop_front();
        }
        self.states.push_back(state);
    }

    /// A tunnel that has left the config is forgotten.
    fn is_recent(&self) -> bool {
        !self.states.is_empty() || !self.samples.is_empty()
    }
}
