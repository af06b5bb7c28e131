//! ssh_config(5): what OpenSSH's client would do for a host, for those who keep their tunnels there. Its judge is
//! `ssh -G`: the tests compare every value that is followed.
//!
//! ```text
//! Query (host, files, given values) ─┐
//! Facts (account, environment, files)├─► resolve: walk (line, keyword, value, criteria), once or twice
//! Library (files read once)          ─┘      │
//!                                            ▼
//!                           options ─► tokens ─► Resolved, or every error at its line
//! ```
//!
//! A keyword is followed, or concerns no tunnel, or has no effect and a note says so, or is refused: `table` says which.

mod blocks;
mod criteria;
mod forwards;
mod host_facts;
mod include_cache;
mod interactive;
mod jump;
mod keyword;
mod line;
mod notes;
mod options;
mod paths_matching;
mod pattern;
mod query;
mod refuse;
mod resolve;
mod resolved;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
mod value;
mod walk;

pub(crate) use host_facts::trusted_by;
pub use host_facts::{HostFacts, System, Text};
pub use include_cache::FileCache;
pub use interactive::{InteractiveOptions, LogLevel};
pub(crate) use line::command_words;
pub use notes::{Note, SshLine};
pub(crate) use paths_matching::paths_matching;
pub use query::{ConfigFiles, Query};
pub use resolve::resolve;
pub use resolved::{ProxyRoute, Resolved};
pub(crate) use value::{ip_qos, mask, port, rekey_limit};
pub(crate) use walk::SYSTEM_FILE;
