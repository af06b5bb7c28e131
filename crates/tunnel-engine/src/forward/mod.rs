//! Carries connections: listeners that outlive sessions, the three kinds of forward, SOCKS, the relay, the counts.

mod stats;

pub use stats::{ForwardCounts, ForwardStats};
