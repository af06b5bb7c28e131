//! What the black-box tests share: real SSH servers, the real binary, sockets to talk through it, patience.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on panics; it waits for a real world"
)]

pub mod asyncssh;
pub mod autossh;
pub mod browser;
pub mod cost;
pub mod daemon;
pub mod dropbear;
pub mod http;
pub mod in_process;
pub mod keys;
pub mod memory;
pub mod net;
pub mod netlab;
pub mod notify;
pub mod odd_server;
pub mod patience;
pub mod process;
pub mod pty;
pub mod python_server;
pub mod socks;
pub mod sshd;
pub mod syslog;
pub mod traffic;

pub use daemon::{Daemon, tunnel_toml};
pub use dropbear::Dropbear;
pub use in_process::InProcess;
pub use odd_server::OddServer;
pub use patience::eventually;
pub use python_server::PythonServer;
pub use sshd::Sshd;
