//! What ssh_config says about a host.

use std::path::PathBuf;
use std::time::Duration;

use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmList, AlgorithmSpec, Forward, IdentitySpec, IpQos, KnownHostsCommand,
    PermitRemoteOpen, RekeyLimit, StrictHostKeyChecking, UpdateHostKeys,
};

use super::manners::Manners;
use super::notes::{Note, Said};
use crate::config::Place;

/// The answer to a [`super::Query`].
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The host as it was typed.
    pub alias: String,
    /// The name or address to dial.
    pub host: String,
    /// Whom to log in as: `User`, else the account. Empty where the account has no name.
    pub user: String,
    /// `Port`, else 22.
    pub port: u16,
    /// How the first byte gets there.
    pub way: Way,
    /// What is set of the rest.
    pub wishes: Wishes,
    /// Local, then remote, then dynamic, each in the order of the lines. Empty after `ClearAllForwardings`.
    pub forwards: Vec<(Forward, Place)>,
    /// `ExitOnForwardFailure`.
    pub exit_on_forward_failure: Option<bool>,
    /// `GatewayPorts`.
    pub gateway_ports: Option<bool>,
    /// `StreamLocalBindMask`.
    pub stream_local_bind_mask: Option<u32>,
    /// `StreamLocalBindUnlink`.
    pub stream_local_bind_unlink: Option<bool>,
    /// `PermitRemoteOpen`.
    pub permit_remote_open: Option<PermitRemoteOpen>,
    /// Whom to ask, and how much to say.
    pub manners: Manners,
    /// Keywords that are set and concern no tunnel.
    pub passed_over: Vec<&'static str>,
    /// What is set for this host or its jump hosts and has no effect, in the order of reading.
    pub notes: Vec<Note>,
    /// What ssh itself says about dropped words in the files, those of jump hosts after it.
    pub said_by_ssh: Vec<Said>,
    /// Every file that was read or looked for, those of jump hosts included.
    pub files: Vec<PathBuf>,
}

/// `ProxyJump` or `ProxyCommand`, whichever came first.
#[derive(Debug, Clone, Default)]
pub enum Way {
    /// Neither, or `none`.
    #[default]
    Direct,
    /// Through this server, which has Host blocks and perhaps jump hosts of its own.
    Jump(Box<Resolved>),
    /// For `sh -c`, tokens expanded.
    Command(String),
}

/// The settings of a session that somebody made. What nobody set has the default of whoever asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `StrictHostKeyChecking`; `ask` is `yes` to a daemon.
    pub strict: Option<StrictHostKeyChecking>,
    /// `UserKnownHostsFile`; empty for `none`.
    pub user_known_hosts: Option<Vec<PathBuf>>,
    /// `GlobalKnownHostsFile`; empty for `none`.
    pub global_known_hosts: Option<Vec<PathBuf>>,
    /// `RevokedHostKeys`; empty for `none`.
    pub revoked_host_keys: Option<Vec<PathBuf>>,
    /// `KnownHostsCommand`.
    pub known_hosts_command: Option<HostsCommand>,
    /// `UpdateHostKeys`, where it is set.
    pub update_host_keys: Option<UpdateHostKeys>,
    /// What that is where nobody set it: ssh's default is yes for its usual file of known hosts, tunneld's is no.
    pub updates_unasked: bool,
    /// `CASignatureAlgorithms`.
    pub ca_signatures: AlgorithmList,
    /// `NoHostAuthenticationForLocalhost`.
    pub trust_loopback: Option<bool>,
    /// `HashKnownHosts`.
    pub hash_known_hosts: Option<bool>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `IdentityFile`; empty where there are only `none`, and where keys may not be used at all.
    pub identities: Option<Vec<IdentitySpec>>,
    /// `CertificateFile`.
    pub certificates: Option<Vec<PathBuf>>,
    /// `IdentityAgent`.
    pub agent: Option<AgentSpec>,
    /// `IdentitiesOnly`.
    pub identities_only: Option<bool>,
    /// `PubkeyAcceptedAlgorithms`: the names that this program has.
    pub accepted: AlgorithmList,
    /// `RequiredRSASize`.
    pub required_rsa_size: Option<u32>,
    /// `Ciphers`, `KexAlgorithms`, `MACs`, `HostKeyAlgorithms`: the names that this program has.
    pub algorithms: AlgorithmSpec,
    /// `ConnectTimeout`.
    pub connect_timeout: Option<Duration>,
    /// `ServerAliveInterval`; zero turns it off.
    pub server_alive_interval: Option<Duration>,
    /// `ServerAliveCountMax`.
    pub server_alive_count_max: Option<u32>,
    /// `AddressFamily`.
    pub address_family: Option<AddressFamily>,
    /// `BindAddress`.
    pub bind_address: Option<String>,
    /// `BindInterface`.
    pub bind_interface: Option<String>,
    /// `TCPKeepAlive`.
    pub tcp_keep_alive: Option<bool>,
    /// `IPQoS`, the first of two.
    pub ip_qos: Option<IpQos>,
    /// `ConnectionAttempts`.
    pub connection_attempts: Option<u32>,
    /// `RekeyLimit`.
    pub rekey_limit: Option<RekeyLimit>,
    /// `Compression`.
    pub compression: Option<bool>,
}

/// `KnownHostsCommand`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostsCommand {
    /// `none`.
    None,
    /// Its tokens are expanded but for those that every run has its own of.
    Run(KnownHostsCommand),
}

impl HostsCommand {
    /// What is run, if anything.
    pub fn run(self) -> Option<KnownHostsCommand> {
        match self {
            Self::None => None,
            Self::Run(command) => Some(command),
        }
    }
}

impl Wishes {
    /// `UpdateHostKeys`, set or not.
    pub fn updates(&self) -> UpdateHostKeys {
        let unasked = if self.updates_unasked { UpdateHostKeys::Yes } else { UpdateHostKeys::No };
        self.update_host_keys.unwrap_or(unasked)
    }

    /// These, and the weaker ones where these say nothing.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        let list = |strong: AlgorithmList, weak| if strong == AlgorithmList::Default { weak } else { strong };
        // A file of the stronger one is not the usual one.
        let updates_unasked = self.updates_unasked || (weaker.updates_unasked && self.user_known_hosts.is_none());
        Self {
            strict: self.strict.or(weaker.strict),
            user_known_hosts: self.user_known_hosts.or(weaker.user_known_hosts),
            global_known_hosts: self.global_known_hosts.or(weaker.global_known_hosts),
            revoked_host_keys: self.revoked_host_keys.or(weaker.revoked_host_keys),
            known_hosts_command: self.known_hosts_command.or(weaker.known_hosts_command),
            update_host_keys: self.update_host_keys.or(weaker.update_host_keys),
            updates_unasked,
            ca_signatures: list(self.ca_signatures, weaker.ca_signatures),
            trust_loopback: self.trust_loopback.or(weaker.trust_loopback),
            hash_known_hosts: self.hash_known_hosts.or(weaker.hash_known_hosts),
            host_key_alias: self.host_key_alias.or(weaker.host_key_alias),
            identities: self.identities.or(weaker.identities),
            certificates: self.certificates.or(weaker.certificates),
            agent: self.agent.or(weaker.agent),
            identities_only: self.identities_only.or(weaker.identities_only),
            accepted: list(self.accepted, weaker.accepted),
            required_rsa_size: self.required_rsa_size.or(weaker.required_rsa_size),
            algorithms: AlgorithmSpec {
                ciphers: list(self.algorithms.ciphers, weaker.algorithms.ciphers),
                kex: list(self.algorithms.kex, weaker.algorithms.kex),
                macs: list(self.algorithms.macs, weaker.algorithms.macs),
                host_keys: list(self.algorithms.host_keys, weaker.algorithms.host_keys),
            },
            connect_timeout: self.connect_timeout.or(weaker.connect_timeout),
            server_alive_interval: self.server_alive_interval.or(weaker.server_alive_interval),
            server_alive_count_max: self.server_alive_count_max.or(weaker.server_alive_count_max),
            address_family: self.address_family.or(weaker.address_family),
            bind_address: self.bind_address.or(weaker.bind_address),
            bind_interface: self.bind_interface.or(weaker.bind_interface),
            tcp_keep_alive: self.tcp_keep_alive.or(weaker.tcp_keep_alive),
            ip_qos: self.ip_qos.or(weaker.ip_qos),
            connection_attempts: self.connection_attempts.or(weaker.connection_attempts),
            rekey_limit: self.rekey_limit.or(weaker.rekey_limit),
            compression: self.compression.or(weaker.compression),
        }
    }
}
