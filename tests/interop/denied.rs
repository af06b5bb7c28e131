//! Why a server does not listen for us: its policy and a busy port are told apart, by OpenSSH's own words.

use std::net::TcpListener;

use serde_json::Value;
use support::net::{Service, Target, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};

struct Denied {
    sshd: Sshd,
    echo: Target,
    port: u16,
}

impl Denied {
    fn by(lines: &str) -> Self {
        Self { sshd: Sshd::with_config(lines), echo: Target::start(Service::Echo), port: free_port() }
    }

    /// Of authorized_keys, in place of a line of sshd_config.
    fn by_key_options(options: &str) -> Self {
        let denied = Self::by("");
        let key = std::fs::read_to_string(denied.sshd.user_key.with_extension("pub")).expect("a public key");
        denied.sshd.authorize_only(&format!("{options} {key}"));
        denied
    }

    fn config(&self, more: &str) -> String {
        let lines = format!("remote_forward = [\"{}:127.0.0.1:{}\"]\n{more}", self.port, self.echo.port);
        tunnel_toml("t", &self.sshd, &lines)
    }
}

fn message(tunnel: &Value) -> &str {
    tunnel["forwards"][0]["message"].as_str().unwrap_or_default()
}

#[test]
fn policy_is_told_in_the_servers_words_and_blocks_where_the_forward_is_a_must() {
    let disabled = "Server has disabled port forwarding";
    for (denied, words) in [
        (Denied::by("AllowTcpForwarding no"), disabled),
        (Denied::by("AllowTcpForwarding local"), disabled),
        (Denied::by("DisableForwarding yes"), disabled),
        (Denied::by("PermitListen 1"), "port forwarding refused"),
        (Denied::by_key_options("no-port-forwarding"), disabled),
        (Denied::by_key_options("permitlisten=\"1\""), "port forwarding refused"),
    ] {
        let daemon = Daemon::start(&denied.config(""));
        let tunnel = daemon.wait_for("t", words, |tunnel| message(tunnel).contains(words));
        assert_eq!((&tunnel["phase"], &tunnel["ready"]), (&"up".into(), &false.into()), "{tunnel:#}");
        assert!(message(&tunnel).contains("PermitListen"), "what to change: {tunnel:#}");
        eventually("logged", || daemon.log().contains("kind=remote_forward_denied").then_some(()));
        drop(daemon);
        let daemon = Daemon::start(&denied.config("exit_on_forward_failure = true"));
        let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
        assert_eq!(tunnel["last_failure"]["kind"], "remote_forward_denied", "{tunnel:#}");
    }
}

#[test]
fn busy_port_is_one_and_is_taken_when_it_is_free() {
    let busy = Denied::by("");
    let holder = TcpListener::bind(("127.0.0.1", busy.port)).expect("the port is free");
    let other_family = TcpListener::bind(("::1", busy.port)).expect("the port is free");
    let daemon = Daemon::start(&busy.config(""));
    let tunnel = daemon.wait_for("t", "refused", |tunnel| message(tunnel).contains("refused to listen"));
    for no_reason in ["disabled", "key options", "authorized_keys:"] {
        assert!(!message(&tunnel).contains(no_reason), "{tunnel:#}");
    }
    eventually("logged", || daemon.log().contains("kind=remote_port_busy").then_some(()));
    drop((holder, other_family));
    daemon.wait_ready("t");
    assert!(!daemon.log().contains("kind=remote_forward_denied"), "{}", daemon.log());
}
