//! Carries connections: listeners that outlive sessions, the three kinds of forward, SOCKS, the relay, the counts.

mod bind;
mod hold;
mod local;
mod opener;
mod relay;
mod socks;
mod stats;
mod stream;

pub use bind::{BindOptions, Bound, ListenAddress};
pub use local::{ListenOptions, ListenState, LocalForward, OutagePolicy};
pub use opener::Opener;
pub use stats::{ForwardCounts, ForwardStats};
