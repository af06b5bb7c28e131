//! Carries connections: listeners that outlive sessions, the three kinds of forward, SOCKS, the relay, the counts.

mod bind;
mod device;
mod hold_queue;
mod local;
mod probe;
mod refused;
mod relay;
mod remote;
pub(crate) mod socks;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod traits;

pub use bind::{BindOptions, Bound, CloseMode, ListenAddress, NoStore, PathWatcher, SocketStore, can_bind};
pub use device::{DeviceChanges, DeviceForward, DeviceRequest, DeviceState, OpenDevice};
pub use local::{ListenOptions, ListenState, LocalForward, OutagePolicy, StateChanges};
pub use probe::{
    ProbeCheck, ProbeFailure, ProbeFailureKind, ProbeResult, probe_here, probe_local, probe_remote, probe_remote_at,
    probed_at,
};
pub use refused::RefusedConnection;
pub use remote::{RemoteForwards, RemoteTarget, Routes};
pub use stats::{ForwardCounts, ForwardStats};
pub use traits::{ChannelOpener, DeviceOpener, Incoming, PacketChannel};
