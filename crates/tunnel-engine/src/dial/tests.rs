//! What the tests of this folder, and of the demo server, share.

use std::time::Duration;

use crate::spec::{
    AddressFamily, AgentSpec, AlgorithmSpec, AuthSpec, Destination, DialSpec, HostKeySpec, SessionSpec,
    StrictHostKeyChecking, TimingSpec, Via,
};

/// A spec that believes every host key and proves nothing.
pub(crate) fn spec(destination: &str) -> SessionSpec {
    SessionSpec {
        destination: Destination::parse(destination, "me").unwrap(),
        dial: DialSpec {
            via: Via::Direct,
            bind_address: None,
            address_family: AddressFamily::Any,
            tcp_keep_alive: true,
        },
        host_key: HostKeySpec {
            strict: StrictHostKeyChecking::No,
            user_known_hosts: vec![],
            global_known_hosts: vec![],
            alias: None,
        },
        auth: AuthSpec {
            identities: vec![],
            certificates: vec![],
            agent: AgentSpec::None,
            identities_only: false,
            password: None,
            passphrase: None,
        },
        algorithms: AlgorithmSpec::default(),
        timing: TimingSpec {
            connect_timeout: Duration::from_secs(10),
            server_alive_interval: Duration::from_secs(15),
            server_alive_count_max: 3,
        },
        receive_window: 2 * 1024 * 1024,
    }
}
