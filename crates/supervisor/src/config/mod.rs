//! The config file: TOML text → values with spans → [`Desired`], or every error at once. After `Desired` nobody
//! reads the file's form.

mod desired;

pub use desired::{
    BackoffKind, BackoffSpec, Desired, DuringOutage, Global, LogFormat, LogSpec, OnRemotePortBusy, OutageSpec,
    TunnelSpec,
};
