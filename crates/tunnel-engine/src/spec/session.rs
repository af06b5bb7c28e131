//! Everything one SSH session needs: destination, the way there, host key policy, credentials, algorithms, timing.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use super::{AlgorithmKind, AlgorithmList, AlgorithmSpec, Destination, HostKeySpec, IpQos, PrompterHandle};

/// A checked wish for one SSH session. A jump host's session is one of these too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSpec {
    /// User, host and port of the server.
    pub destination: Destination,
    /// How its first byte gets there.
    pub dial: DialSpec,
    /// What the server's host key must be.
    pub host_key: HostKeySpec,
    /// Credentials, in the order of use.
    pub auth: AuthSpec,
    /// Key exchange, ciphers and MACs.
    pub algorithms: AlgorithmSpec,
    /// Deadlines and keepalive.
    pub timing: TimingSpec,
    /// When keys are renewed besides the server's own limits (RekeyLimit).
    pub rekey_limit: RekeyLimit,
    /// Bytes are compressed in both directions where the server can (Compression).
    pub compression: bool,
    /// Bytes that one forwarded connection may have in flight towards us (RFC 4254 section 5.1, initial window).
    /// The larger, the faster over long paths; 16 MiB by default.
    pub receive_window: u32,
}

/// The way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialSpec {
    /// Directly, through other servers, or over a command's standard input and output.
    pub via: Route,
    /// Source address, or a name of one, looked up at each start (ssh_config BindAddress). Only for `Route::Direct`.
    pub bind_address: Option<String>,
    /// Interface whose address, chosen anew at each start, is the source (ssh_config BindInterface). Only for
    /// `Route::Direct`, and without `bind_address`.
    pub bind_interface: Option<String>,
    /// Which addresses of the name are tried (AddressFamily).
    pub address_family: AddressFamily,
    /// SO_KEEPALIVE (TCPKeepAlive).
    pub tcp_keep_alive: bool,
    /// How the connection's packets are marked (IPQoS).
    pub ip_qos: IpQos,
    /// Rounds over all addresses, a second apart, before a start has failed; at least 1 (ConnectionAttempts).
    pub connection_attempts: u32,
}

impl Default for DialSpec {
    /// Directly, from and to any address, with TCP keepalive, unmarked, in one round.
    fn default() -> Self {
        Self {
            via: Route::Direct,
            bind_address: None,
            bind_interface: None,
            address_family: AddressFamily::Any,
            tcp_keep_alive: true,
            ip_qos: IpQos::Unmarked,
            connection_attempts: 1,
        }
    }
}

/// How to reach a server's SSH port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// TCP.
    #[default]
    Direct,
    /// ProxyJump: a session to this server, and a direct-tcpip channel through it. The jump's own `via` may jump again.
    Jump(Box<SessionSpec>),
    /// ProxyCommand: run by `sh -c exec …`, `%h %p %r %n %%` already expanded.
    Command(String),
}

/// ssh_config AddressFamily.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressFamily {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// What to prove ourselves with, tried in ssh's order: certificates, agent keys that are also named as files,
/// other agent keys, files; then keyboard-interactive and password when there is a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSpec {
    /// Private key files in order.
    pub identities: Vec<IdentitySpec>,
    /// CertificateFile: certificates beside the `<identity>-cert.pub` that are found by themselves.
    pub certificates: Vec<PathBuf>,
    /// The agent to ask.
    pub agent: AgentSpec,
    /// IdentitiesOnly: agent keys count only when a file of `identities` names them.
    pub identities_only: bool,
    /// PubkeyAcceptedAlgorithms: keys of other types are not offered.
    pub accepted: AlgorithmList,
    /// RequiredRSASize, in bits, of our keys and of the server's host key; 0: whatever the libraries take.
    pub required_rsa_size: u32,
    /// For `password` and `keyboard-interactive`.
    pub password: Option<SecretSource>,
    /// PasswordAuthentication no: the method `password` is not used.
    pub without_password: bool,
    /// KbdInteractiveAuthentication: the method `keyboard-interactive` may be used.
    pub interactive: bool,
    /// For encrypted private keys.
    pub passphrase: Option<SecretSource>,
}

impl Default for AuthSpec {
    /// Nothing to prove ourselves with, and every method.
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            certificates: Vec::new(),
            agent: AgentSpec::None,
            identities_only: false,
            accepted: AlgorithmList::Default,
            required_rsa_size: 0,
            password: None,
            without_password: false,
            interactive: true,
            passphrase: None,
        }
    }
}

/// One private key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySpec {
    /// The file: any format that ssh reads, or a `.pub` whose private half is in the agent.
    pub path: PathBuf,
    /// Named by the user (a missing file is then reported), not one of ssh's default names (missing: silence).
    pub explicit: bool,
}

/// ssh_config IdentityAgent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AgentSpec {
    /// `none`.
    #[default]
    None,
    /// A socket; the default is what SSH_AUTH_SOCK held when tunneld started.
    Socket(PathBuf),
}

/// Where a secret is read from, at the moment it is needed. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// First line of a file. A systemd credential is the file `$CREDENTIALS_DIRECTORY/NAME`.
    File(PathBuf),
    /// The user at the terminal.
    Ask(PrompterHandle),
}

/// Deadlines and keepalive of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimingSpec {
    /// From dial to authenticated, all of it: name lookup, TCP, banner, key exchange, authentication.
    pub connect_timeout: Duration,
    /// ServerAliveInterval; zero turns it off.
    pub server_alive_interval: Duration,
    /// ServerAliveCountMax: a silent peer is dead `interval × (count max + 1)` after its last byte.
    pub server_alive_count_max: u32,
}

/// ssh_config RekeyLimit: when keys are renewed, besides what the cipher allows at most (RFC 4344 section 3.2) and when
/// the server wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RekeyLimit {
    /// In one direction, since the last keys.
    pub bytes: Option<NonZeroU64>,
    /// Since the last keys; not zero.
    pub time: Option<Duration>,
}

impl fmt::Display for RekeyLimit {
    /// As ssh_config writes it: bytes, and seconds where there is a time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(bytes) => write!(f, "{bytes}")?,
            None => f.write_str("default")?,
        }
        match self.time {
            Some(time) => write!(f, " {}", time.as_secs()),
            None => Ok(()),
        }
    }
}

impl Default for TimingSpec {
    /// The config file's defaults: 10 s to connect, dead 60 s after the last byte.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            server_alive_interval: Duration::from_secs(15),
            server_alive_count_max: 3,
        }
    }
}

impl SessionSpec {
    /// Bytes that one forwarded connection may have in flight towards us unless the config says otherwise.
    pub const RECEIVE_WINDOW: u32 = 16 * 1024 * 1024;

    /// A session to `destination`, everything else by default: dialled directly, host keys checked against no file at
    /// all, nothing to prove ourselves with. What the defaults of a config file are is the config's business.
    pub fn to(destination: Destination) -> Self {
        Self {
            destination,
            dial: DialSpec::default(),
            host_key: HostKeySpec::default(),
            auth: AuthSpec::default(),
            algorithms: AlgorithmSpec::default(),
            timing: TimingSpec::default(),
            rekey_limit: RekeyLimit::default(),
            compression: false,
            receive_window: Self::RECEIVE_WINDOW,
        }
    }

    /// A line for each algorithm that the lists name, OpenSSH has and tunneld does not, and which is passed over
    /// because another one is left: the key of its list, its name and the reason.
    pub fn passed_over(&self) -> Vec<String> {
        let lists = [
            (AlgorithmKind::Cipher, &self.algorithms.ciphers),
            (AlgorithmKind::Kex, &self.algorithms.kex),
            (AlgorithmKind::Mac, &self.algorithms.macs),
            (AlgorithmKind::HostKey, &self.algorithms.host_keys),
            (AlgorithmKind::PublicKey, &self.auth.accepted),
            (AlgorithmKind::CaSignature, &self.host_key.ca_signatures),
        ];
        let missing = |(kind, list): (AlgorithmKind, &AlgorithmList)| {
            let line = move |(name, why)| format!("`{}` goes on without `{name}`: {why}", kind.key());
            list.missing(kind).into_iter().map(line).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(missing).collect()
    }

    /// As [`SessionSpec::passed_over`], and those of its jump hosts after it, each with the jump host's name.
    pub fn passed_over_on_the_way(&self) -> Vec<String> {
        let mut lines = self.passed_over();
        let mut via = &self.dial.via;
        while let Route::Jump(jump) = via {
            lines.extend(jump.passed_over().iter().map(|line| format!("jump host {}: {line}", jump.destination)));
            via = &jump.dial.via;
        }
        lines
    }

    /// Files whose change on disk may turn a permanent failure into success: keys, certificates, secrets,
    /// known_hosts and revoked host keys, those of the jump hosts included.
    pub fn watched_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        for identity in &self.auth.identities {
            files.push(identity.path.clone());
            let mut certificate = identity.path.clone().into_os_string();
            certificate.push("-cert.pub");
            files.push(certificate.into());
        }
        files.extend(self.auth.certificates.iter().cloned());
        for secret in [&self.auth.password, &self.auth.passphrase].into_iter().flatten() {
            match secret {
                SecretSource::File(path) => files.push(path.clone()),
                SecretSource::Ask(_) => {}
            }
        }
        if let AgentSpec::Socket(path) = &self.auth.agent {
            files.push(path.clone());
        }
        files.extend(self.host_key.user_known_hosts.iter().cloned());
        files.extend(self.host_key.global_known_hosts.iter().cloned());
        files.extend(self.host_key.revoked.iter().cloned());
        if let Route::Jump(jump) = &self.dial.via {
            files.extend(jump.watched_files());
        }
        files
    }
}
