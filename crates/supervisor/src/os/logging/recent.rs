//! The last lines about each tunnel, for `tunneld why` and the live screen: INFO and above, whatever the log itself
//! shows. Kept in memory, bounded for each tunnel and for all of them together.

mod layer;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tracing::Level;

/// Lines of one tunnel: a screen of them, some hours of an outage.
pub(super) const MAX_LINES: usize = 50;

/// Longest line; the rest of it is in the log.
const MAX_LINE_BYTES: usize = 1024;

/// Bytes of one tunnel, so that one that tells long stories takes no more room than others.
const MAX_TUNNEL_BYTES: usize = 16 * 1024;

/// Bytes of all lines together: the lines of an ordinary start for ten thousand tunnels, or all that five hundred
/// tunnels may keep. Beyond it the oldest of any tunnel go.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a line costs beside its text: its place in two maps.
const LINE_OVERHEAD: usize = 128;

/// A line about a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentLine {
    /// Time of the event.
    pub at: SystemTime,
    /// Level of the event.
    pub level: Level,
    /// The message and the fields that it does not tell, in one line without control characters.
    pub message: String,
}

/// The kept lines. A clone is the same store.
#[derive(Debug, Clone, Default)]
pub struct RecentLines(Arc<Mutex<Store>>);

/// Lines by the order of their arrival, and by tunnel.
#[derive(Debug, Default)]
struct Store {
    next: u64,
    bytes: usize,
    lines: BTreeMap<u64, KeptLine>,
    tunnels: HashMap<Arc<str>, TunnelLines>,
}

#[derive(Debug)]
struct KeptLine {
    tunnel: Arc<str>,
    line: RecentLine,
}

#[derive(Debug, Default)]
struct TunnelLines {
    /// Oldest first.
    lines: VecDeque<u64>,
    bytes: usize,
}

impl RecentLines {
    /// Those about `tunnel`, oldest first.
    pub fn of(&self, tunnel: &str) -> Vec<RecentLine> {
        let store = self.lock();
        let kept = store.tunnels.get(tunnel).into_iter().flat_map(|tunnel| &tunnel.lines);
        kept.filter_map(|number| store.lines.get(number)).map(|kept| kept.line.clone()).collect()
    }

    /// The tunnel has gone, and its lines with it.
    pub fn forget(&self, tunnel: &str) {
        self.lock().forget(tunnel);
    }

    fn push(&self, tunnel: &str, line: RecentLine) {
        self.lock().push(tunnel, line);
    }

    /// Held for the time that a line takes to be moved in or a tunnel's lines to be copied out.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn push(&mut self, name: &str, mut line: RecentLine) {
        let end = (0..=MAX_LINE_BYTES).rev().find(|at| line.message.is_char_boundary(*at));
        line.message.truncate(end.unwrap_or_default());
        let (number, cost) = (self.next, cost(&line));
        self.next += 1;
        let name = self.tunnels.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| name.clone());
        let tunnel = self.tunnels.entry(name.clone()).or_default();
        tunnel.lines.push_back(number);
        tunnel.bytes += cost;
        self.bytes += cost;
        self.lines.insert(number, KeptLine { tunnel: name.clone(), line });
        while let Some(oldest) = self.oldest_too_many(&name) {
            self.remove(oldest);
        }
        while self.bytes > MAX_BYTES
            && let Some((oldest, _)) = self.lines.first_key_value()
        {
            self.remove(*oldest);
        }
    }

    fn oldest_too_many(&self, name: &str) -> Option<u64> {
        let tunnel = self.tunnels.get(name)?;
        let too_many = tunnel.lines.len() > MAX_LINES || tunnel.bytes > MAX_TUNNEL_BYTES;
        tunnel.lines.front().filter(|_| too_many).copied()
    }

    /// Always the oldest of its tunnel.
    fn remove(&mut self, number: u64) {
        let Some(KeptLine { tunnel: name, line }) = self.lines.remove(&number) else { return };
        let cost = cost(&line);
        self.bytes -= cost;
        if let Some(tunnel) = self.tunnels.get_mut(&name) {
            tunnel.lines.pop_front();
            tunnel.bytes -= cost;
            if tunnel.lines.is_empty() {
                self.tunnels.remove(&name);
            }
        }
    }

    fn forget(&mut self, name: &str) {
        let Some(tunnel) = self.tunnels.remove(name) else { return };
        self.bytes -= tunnel.bytes;
        for number in tunnel.lines {
            self.lines.remove(&number);
        }
    }
}

fn cost(line: &RecentLine) -> usize {
    line.message.len() + LINE_OVERHEAD
}
