//! What the real binary serves over HTTP: readiness, status, metrics and the page, and what peers cannot do to it.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests of a real world: they panic, and they wait")]

mod answers;
mod listening;
mod metrics;
mod page;
mod peers;
mod prometheus;

use support::net::{Service, Target, free_port};
use support::{Daemon, Sshd, tunnel_toml};

/// A daemon with a tunnel `t` to an echo, and its HTTP port.
struct Served {
    sshd: Sshd,
    daemon: Daemon,
    /// Of HTTP.
    http: u16,
    /// Of the tunnel's forward.
    port: u16,
}

impl Served {
    fn start() -> Self {
        Self::with("")
    }

    /// `more` is further TOML.
    fn with(more: &str) -> Self {
        let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
        let (http, port) = (free_port(), free_port());
        let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
        let daemon = Daemon::start(&format!("{}{}{more}", metrics(http), tunnel_toml("t", &sshd, &forward)));
        daemon.wait_ready("t");
        Self { sshd, daemon, http, port }
    }
}

/// The section of the config.
fn metrics(port: u16) -> String {
    format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n")
}

/// A tunnel that goes nowhere.
fn nowhere(name: &str, more: &str) -> String {
    let (server, listen) = (free_port(), free_port());
    format!(
        "[[tunnel]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {server}\nuser = \"u\"\nlocal_forward = [\"{listen}:127.0.0.1:1\"]\n{more}\n"
    )
}
