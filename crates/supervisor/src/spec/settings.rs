//! The table of the keys of a tunnel: each has one row here.
//!
//! A row ([`SettingKey`]) has the key's name in TOML and in ssh_config, its type with its bounds and its place in a
//! [`TunnelSpec`] ([`Field`]), whether a jump host has it and takes it over ([`Jump`]), what a reload does with a
//! change ([`ReloadEffect`]), when an import writes it ([`Import`]), its default as the example config writes it, and
//! one line of documentation. What reads, merges, compares and writes settings goes through the rows:
//!
//! ```text
//! TOML ───────► resolve::toml ──┐
//! ssh_config ─► sshconfig::settings ─┴─► Settings (what one source sets) ─► or ─► TunnelSpec ─► plan (reload)
//!                                            └─────────────────────────────► import (TOML)
//! ```
//!
//! The value that holds where no source sets a key is the spec's own, [`TunnelSpec::new`] and `SessionSpec::to`, or an
//! account's ([`Settings::session`]). Tests compare the rows with the example config and with tunneld.toml(5).
//!
//! A new key is a field of the spec, a row, a line of the example config and an entry of the manual. One of a new type
//! has an arm in each `match` over [`Field`] besides.

mod chosen;
mod forward_keys;
mod limits;
mod login_keys;
mod policy_keys;
mod server_keys;
mod words;

use std::time::Duration;

use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmKind, AlgorithmList, IdentitySpec, IpQos, KnownHostsCommand, PermitRemoteOpen,
    RekeyLimit, SecretSource, StrictHostKeyChecking, UpdateHostKeys,
};

use super::{BackoffSpec, DuringOutage, OnRemotePortBusy, ProbeSpec, ShellCommand, TunnelSpec};

pub use chosen::Settings;
pub(crate) use limits::{MAX_CONNECTIONS, MAX_NAME};
pub(crate) use words::{ADDRESS_FAMILY, DURING_OUTAGE, ON_REMOTE_PORT_BUSY, STRICT_HOST_KEY_CHECKING};

/// All rows, in the order in which plans and imports name them.
const GROUPS: [&[SettingKey]; 4] = [server_keys::KEYS, login_keys::KEYS, forward_keys::KEYS, policy_keys::KEYS];

/// All rows. Among names that are equally like a mistyped one, the first is meant.
pub fn tunnel_keys() -> impl Iterator<Item = &'static SettingKey> {
    GROUPS.into_iter().flatten()
}

/// The rows that ssh_config has a keyword for, which says the same.
pub(crate) fn keys_of_ssh_config() -> impl Iterator<Item = (&'static SettingKey, &'static str)> {
    tunnel_keys().filter_map(|key| Some((key, key.keyword?)))
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct SettingKey {
    /// In TOML.
    pub name: &'static str,
    /// In ssh_config, as ssh_config(5) spells it, where a keyword says the same.
    pub keyword: Option<&'static str>,
    /// Its type, its bounds and its place.
    pub(crate) field: Field,
    /// Its meaning in a table of a jump host.
    pub jump: Jump,
    /// What a reload does with a change.
    pub reload: ReloadEffect,
    /// When `tunneld import` writes it.
    pub import: Import,
    /// What holds where it is not set, as TOML; `None` where no value stands for that.
    pub default: Option<&'static str>,
    /// What it does, in a line: the example config and the manual say more.
    pub doc: &'static str,
}

/// The meaning of a key in a table of a jump host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// A jump host has no such key.
    Never,
    /// The table of a jump host may have it; the value of the tunnel is for its server alone.
    Own,
    /// As `Own`, and a jump host without a table takes the value of the tunnel.
    Inherited,
    /// As `Inherited`, for what is dialled directly: the first jump host, or the server where there is none.
    FirstHop,
}

/// What a reload does with a change of a key while the tunnel is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadEffect {
    /// It is another tunnel.
    Rename,
    /// The tunnel is started or stopped.
    StartOrStop,
    /// It holds at once, or from the next time that it matters. Nothing ends.
    Retune,
    /// Forwards are added, taken back or bound again within the session.
    Reforward,
    /// The next start reads it. Nothing ends.
    NextStart,
    /// Another session takes the place of this one.
    NewSession,
}

/// When `tunneld import` writes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// Where it is set to something else than the default.
    Different,
    /// Where it is set: its default depends on the account.
    Set,
}

/// Accessor of a value of a tunnel.
pub(crate) type At<T> = fn(&mut TunnelSpec) -> &mut T;

/// The type of a value, its bounds, and where it is in a tunnel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    /// Not a value of its own: read, compared and written together with others, by a function for it.
    Apart,
    Flag(At<bool>),
    /// From, to.
    Count(u32, u32, At<u32>),
    /// Not below.
    Time(Duration, At<Duration>),
    Word(At<Option<String>>),
    /// A name of a host: ssh_config's is compared in lower case.
    HostName(At<Option<String>>),
    Paths(At<Vec<std::path::PathBuf>>),
    /// Files or credentials of systemd.
    Certificates(At<Vec<std::path::PathBuf>>),
    Identities(At<Vec<IdentitySpec>>),
    Agent(At<AgentSpec>),
    Algorithms(AlgorithmKind, At<AlgorithmList>),
    Strict(At<StrictHostKeyChecking>),
    HostsCommand(At<Option<KnownHostsCommand>>),
    UpdateHostKeys(At<UpdateHostKeys>),
    Family(At<AddressFamily>),
    IpQos(At<IpQos>),
    RekeyLimit(At<RekeyLimit>),
    Mask(At<u32>),
    PermitRemoteOpen(At<PermitRemoteOpen>),
    /// Of a type that no keyword of ssh_config has.
    TomlOnly(TomlField),
}

/// The types of values that only TOML can set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TomlField {
    /// In bytes; from, to.
    Size(u32, u32, At<u32>),
    /// Zero is none; otherwise not below.
    Lifetime(Duration, At<Option<Duration>>),
    /// -1 is none.
    Starts(At<Option<u32>>),
    Secret(At<Option<SecretSource>>),
    OnRemotePortBusy(At<OnRemotePortBusy>),
    DuringOutage(At<DuringOutage>),
    Backoff(At<BackoffSpec>),
    Probe(At<ProbeSpec>),
    Command(At<Option<ShellCommand>>),
}

/// Something that is done with a value of any type.
trait Visit {
    type Output;
    fn visit<T: Clone + PartialEq>(self, at: At<T>) -> Self::Output;
}

impl Field {
    fn visit<V: Visit>(self, visitor: V) -> Option<V::Output> {
        Some(match self {
            Self::Apart => return None,
            Self::Flag(at) => visitor.visit(at),
            Self::Count(.., at) | Self::Mask(at) => visitor.visit(at),
            Self::Time(_, at) => visitor.visit(at),
            Self::Word(at) | Self::HostName(at) => visitor.visit(at),
            Self::Paths(at) | Self::Certificates(at) => visitor.visit(at),
            Self::Identities(at) => visitor.visit(at),
            Self::Agent(at) => visitor.visit(at),
            Self::Algorithms(_, at) => visitor.visit(at),
            Self::Strict(at) => visitor.visit(at),
            Self::HostsCommand(at) => visitor.visit(at),
            Self::UpdateHostKeys(at) => visitor.visit(at),
            Self::Family(at) => visitor.visit(at),
            Self::IpQos(at) => visitor.visit(at),
            Self::RekeyLimit(at) => visitor.visit(at),
            Self::PermitRemoteOpen(at) => visitor.visit(at),
            Self::TomlOnly(field) => field.visit(visitor),
        })
    }
}

impl TomlField {
    fn visit<V: Visit>(self, visitor: V) -> V::Output {
        match self {
            Self::Size(.., at) => visitor.visit(at),
            Self::Lifetime(_, at) => visitor.visit(at),
            Self::Starts(at) => visitor.visit(at),
            Self::Secret(at) => visitor.visit(at),
            Self::OnRemotePortBusy(at) => visitor.visit(at),
            Self::DuringOutage(at) => visitor.visit(at),
            Self::Backoff(at) => visitor.visit(at),
            Self::Probe(at) => visitor.visit(at),
            Self::Command(at) => visitor.visit(at),
        }
    }
}

/// From one to the other.
struct Copied<'a>(&'a mut TunnelSpec, &'a mut TunnelSpec);

impl Visit for Copied<'_> {
    type Output = ();
    fn visit<T: Clone + PartialEq>(self, at: At<T>) {
        at(self.1).clone_from(at(self.0));
    }
}

struct Different<'a>(&'a mut TunnelSpec, &'a mut TunnelSpec);

impl Visit for Different<'_> {
    type Output = bool;
    fn visit<T: Clone + PartialEq>(self, at: At<T>) -> bool {
        at(self.0) != at(self.1)
    }
}

impl SettingKey {
    const fn new(name: &'static str, field: Field, jump: Jump, reload: ReloadEffect) -> Self {
        Self { name, keyword: None, field, jump, reload, import: Import::Different, default: None, doc: "" }
    }

    /// Of a session: jump hosts without a table take its value, and a change needs another session.
    const fn of_session(name: &'static str, field: Field) -> Self {
        Self::new(name, field, Jump::Inherited, ReloadEffect::NewSession)
    }

    /// Of the tunnel alone: jump hosts have no such key, and a change ends nothing.
    const fn of_tunnel(name: &'static str, field: Field) -> Self {
        Self::new(name, field, Jump::Never, ReloadEffect::Retune)
    }

    const fn jump(self, jump: Jump) -> Self {
        Self { jump, ..self }
    }

    const fn reload(self, reload: ReloadEffect) -> Self {
        Self { reload, ..self }
    }

    const fn keyword(self, keyword: &'static str) -> Self {
        Self { keyword: Some(keyword), ..self }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn imported_where_set(self) -> Self {
        Self { import: Import::Set, ..self }
    }

    const fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    /// Writes the value of one tunnel into another. A row without a value of its own does nothing.
    pub(crate) fn copy(&self, from: &mut TunnelSpec, to: &mut TunnelSpec) {
        self.field.visit(Copied(from, to));
    }

    /// Do the two have other values?
    pub(crate) fn differs(&self, one: &mut TunnelSpec, other: &mut TunnelSpec) -> bool {
        self.field.visit(Different(one, other)).unwrap_or(false)
    }
}
