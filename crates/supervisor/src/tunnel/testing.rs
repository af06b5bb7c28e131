//! What the tests of tunnels share.

use std::time::Duration;

use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmSpec, AuthSpec, Destination, DialSpec, HostKeySpec, SessionSpec,
    StrictHostKeyChecking, TimingSpec, Via,
};

/// A session for the user `me`, who proves nothing, to a server that proves nothing.
pub(crate) fn session_spec(host: &str, port: u16) -> SessionSpec {
    SessionSpec {
        destination: Destination { user: "me".to_owned(), host: host.to_owned(), port },
        dial: DialSpec {
            via: Via::Direct,
            bind_address: None,
            address_family: AddressFamily::Any,
            tcp_keep_alive: true,
        },
        host_key: HostKeySpec {
            strict: StrictHostKeyChecking::No,
            user_known_hosts: Vec::new(),
            global_known_hosts: Vec::new(),
            alias: None,
        },
        auth: AuthSpec {
            identities: Vec::new(),
            certificates: Vec::new(),
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
        receive_window: 16 * 1024 * 1024,
    }
}
