//! What to run, valid by construction: nothing here reads a file, a clock or the network.
//!
//! A `…Spec` is a checked wish. Two specs are compared with `Eq`, which is how a reload finds out what changed.

mod algorithms;
mod destination;
mod forward;
mod forward_parse;
mod host_key;
mod ip_qos;
mod numeric_host;
mod permit;
mod prompter;
mod session;
mod tunnel_device;

pub use crate::services::port as port_or_service;
pub use algorithms::wildcard;
pub use algorithms::{AlgorithmKind, AlgorithmList, AlgorithmListError, AlgorithmSpec, missing_algorithm};
pub use destination::{Destination, DestinationError};
pub use forward::{Bind, Connect, Forward, ForwardKey, ForwardKind, Listen, Side, forward_text};
pub use forward_parse::ForwardParseError;
pub use host_key::{HostKeySpec, KnownHostsCommand, KnownHostsCommandError, StrictHostKeyChecking, UpdateHostKeys};
pub use ip_qos::{IpQos, IpQosError};
pub use numeric_host::numeric_host;
pub use permit::{PermitError, PermitRemoteOpen, PermittedTarget};
pub(crate) use prompter::MAX_UNCLEAR_ANSWERS;
pub use prompter::{PromptKind, Prompter, PrompterHandle};
pub use session::{
    AddressFamily, AgentSpec, AuthSpec, DialSpec, IdentitySpec, RekeyLimit, Route, SecretSource, SessionSpec,
    TimingSpec,
};
pub use tunnel_device::{DeviceMode, DeviceUnit};
