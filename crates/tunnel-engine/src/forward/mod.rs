//! Carries connections: listeners that outlive sessions, the three kinds of forward, SOCKS, the relay, the counts.

mod bind;
mod device;
mod hold;
mod local;
mod probe;
mod refused;
mod relay;
mod remote;
mod seams;
pub(crate) mod socks;
mod stats;
mod stream;
#[cfg(test)]
mod testing;

pub use bind::{BindOptions, Bound, Closing, ListenAddress, NoStore, PathWatcher, SocketStore, trial};
pub use device::{DeviceChanges, DeviceForward, DeviceState, DeviceWish, OpenDevice};
pub use local::{ListenOptions, ListenState, LocalForward, OutagePolicy, StateChanges};
pub use probe::{Cause, Check, Disproof, Finding, probe_here, probe_local, probe_remote, probe_remote_at, probed_at};
pub use refused::RefusedConnection;
pub use remote::{RemoteForwards, RemoteTarget, Routes};
pub use seams::{DeviceOpener, Incoming, Opener, PacketChannel};
pub use stats::{ForwardCounts, ForwardStats};
