//! The config file: TOML text → values with spans → [`Desired`], or every error at once. After `Desired` no code
//! reads the file's form.
//!
//! ```text
//! load (files, include) ─► source, value, reader (spans kept, errors collected) ─► resolve ─► Desired
//! ```

mod emptied;
mod environment;
mod file;
mod include;
mod keys;
mod load;
mod log_filter;
mod obstacle;
mod quantity;
mod reader;
mod resolve;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

pub use crate::spec::{
    BackoffKind, BackoffSpec, ConfigError, ConfigErrors, Confine, Desired, DuringOutage, Global, Import, Include,
    IncludeMatch, Jump, LogFormat, LogLevelSpec, LogSpec, OnRemotePortBusy, OutageSpec, Policy, ProbeSpec, ReadOptions,
    ReloadEffect, SettingKey, Settings, ShellCommand, SourceFile, SourceSpan, TunnelSpec, tunnel_keys,
};
pub use emptied::emptied;
pub use environment::SERVICE_CREDENTIALS;
pub use include::folder_of;
pub(crate) use keys::did_you_mean;
pub(crate) use load::usual;
pub use log_filter::{LogFilterError, log_filter};
pub use obstacle::obstacle;
pub(crate) use resolve::{identities_of, user_known_hosts_of};

pub use load::{
    Overrides, RootStart, SocketOfConfig, SocketReason, control_socket_of, default_config, default_control_socket,
    facts, load, load_text, load_text_for, names_in, own_config, root_start, session_by_ssh_config,
};
