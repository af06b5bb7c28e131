//! What runs, as plain values: the desired state, the table of the keys that make it, and what is wrong with a text,
//! with its position. Read by `config` from TOML and by `sshconfig` from ssh_config; nothing here reads a file.

mod desired;
mod diagnostic;
pub(crate) mod settings;
mod shortened;
mod source;

use std::time::Duration;

pub(crate) use desired::on_route;
pub use desired::{
    BackoffKind, BackoffSpec, Confine, Desired, DuringOutage, Global, Include, IncludeMatch, LogFormat, LogLevelSpec,
    LogSpec, OnRemotePortBusy, OutageSpec, Policy, ProbeSpec, ReadOptions, ShellCommand, TunnelSpec,
};
pub use diagnostic::{ConfigError, ConfigErrors};
pub(crate) use diagnostic::{MAX_ERRORS, printable};
pub use settings::{Import, Jump, ReloadEffect, SettingKey, Settings, tunnel_keys};
pub(crate) use shortened::shortened;
pub use source::{SourceFile, SourceSpan};

/// A duration with units. ssh takes each of them in both cases, so that `M` is a minute and no month.
pub(crate) fn duration_with_units(text: &str) -> Option<Duration> {
    humantime::parse_duration(&text.to_ascii_lowercase()).ok()
}

/// Deadlines are `now + duration`: far below the overflow of a clock, far above any useful wait.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
