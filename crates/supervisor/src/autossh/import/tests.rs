//! What is printed, and that it is a config.

use std::path::Path;

use super::*;
use crate::config::{Overrides, load_text};

fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap()
}

/// The TOML without its comments, and the comments.
fn printed(line: &str) -> (String, String) {
    split(&super::line(&words(line)).unwrap_or_else(|error| panic!("{line}: {error}")))
}

fn split(text: &str) -> (String, String) {
    load_text(Path::new("printed.toml"), text, &Overrides::default())
        .unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    let (comments, keys): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
    (keys.join("\n"), comments.join("\n"))
}

#[test]
fn the_line_of_everybody_becomes_one_tunnel() {
    let (keys, comments) = printed(
        "autossh -M 0 -f -N -F none -p 2222 -o 'TCPKeepAlive no' -o 'ServerAliveInterval 30' -o 'ServerAliveCountMax 3' \
         -o 'ExitOnForwardFailure yes' -i /k -R 3306:127.0.0.1:3306 user@host",
    );
    assert_eq!(
        keys,
        "[[tunnel]]\nname = \"host\"\nhost = \"host\"\nport = 2222\nuser = \"user\"\ntcp_keep_alive = false\n\
         identity_file = [\"/k\"]\nserver_alive_interval = 30\nexit_on_forward_failure = true\n\
         remote_forward = [\"3306:127.0.0.1:3306\"]"
    );
    assert!(comments.contains("# -f: "), "{comments}");
    assert!(comments.contains("# retries: "), "{comments}");
}

#[test]
fn a_line_of_ssh_needs_no_monitor_and_says_what_is_left_out() {
    let (keys, comments) = printed("ssh -fnNT -F none -R 2222:localhost:22 host");
    assert!(keys.contains("remote_forward = [\"2222:localhost:22\"]"), "{keys}");
    assert!(!comments.contains("retries"), "{comments}");
    let (_, comments) = printed("ssh -f -F none -L 1:h:2 u@host sleep 60");
    assert!(comments.contains("left out: the remote command `sleep 60`"), "{comments}");
}

#[test]
fn the_environment_in_front_is_kept_or_commented() {
    let (keys, comments) = printed(
        "AUTOSSH_GATETIME=30 AUTOSSH_POLL=60 AUTOSSH_FIRST_POLL=30 AUTOSSH_MAXSTART=5 AUTOSSH_PIDFILE=/p AUTOSSH_PORT=20000 \
         autossh -F none -N -D 1080 -J me@jump:2200 u@host",
    );
    for line in ["gate_time = 30", "poll = 60", "first_poll = 30", "max_start = 5", "proxy_jump = \"me@jump:2200\""] {
        assert!(keys.lines().any(|key| key == line), "{line} is not in\n{keys}");
    }
    assert!(comments.contains("# -M 20000: not needed"), "{comments}");
    assert!(comments.contains("# AUTOSSH_PIDFILE=/p: the daemon's own"), "{comments}");
}

#[test]
fn everything_that_a_line_can_say_is_said() {
    let (keys, _) = printed(
        "autossh -N -F none -4 -b 127.0.0.1 -c aes256-ctr -m hmac-sha2-256 -g -l me -i /a -i /b -o IdentitiesOnly=yes \
         -o StrictHostKeyChecking=accept-new -o 'UserKnownHostsFile /x /y' -o HostKeyAlias=alias -o ConnectTimeout=7 \
         -o 'ProxyCommand nc -x p:1 %h %p' -L '[::1]:1:h:2' -R /run/s:/run/t ssh://host:2022",
    );
    for line in [
        "port = 2022",
        "user = \"me\"",
        "proxy_command = \"nc -x p:1 host 2022\"",
        "bind_address = \"127.0.0.1\"",
        "address_family = \"inet\"",
        "identity_file = [\"/a\", \"/b\"]",
        "strict_host_key_checking = \"accept-new\"",
        "user_known_hosts_file = [\"/x\", \"/y\"]",
        "host_key_alias = \"alias\"",
        "ciphers = \"aes256-ctr\"",
        "macs = \"hmac-sha2-256\"",
        "connect_timeout = 7",
        "gateway_ports = true",
        "local_forward = [\"[::1]:1:h:2\"]",
        "remote_forward = [\"/run/s:/run/t\"]",
    ] {
        assert!(keys.lines().any(|key| key == line), "{line} is not in\n{keys}");
    }
}

#[test]
fn what_means_no_tunnel_is_refused_with_the_reason() {
    for (line, want) in [
        ("autossh -M 0 -F none host", "there is no forward"),
        ("autossh -V", "prints a version"),
        ("autossh -M 0 -N", "no host is named"),
        ("autossh -M x -N -L 1:h:2 host", "invalid port \"x\""),
        ("AUTOSSH_POLL=0 autossh -N -L 1:h:2 host", "invalid poll time \"0\""),
        ("autossh -N -F none -o NoSuchThing=1 -L 1:h:2 host", "-o 'NoSuchThing=1'"),
    ] {
        let error = super::line(&words(line)).unwrap_err().to_string();
        assert!(error.contains(want), "{line}: {error}");
    }
}

const UNIT: &str = r#"
[Unit]
Description=AutoSSH tunnel
After=network-online.target

[Service]
# one of many
User=tunnel
Environment="AUTOSSH_GATETIME=0" AUTOSSH_PORT=0
EnvironmentFile=-/etc/default/tunnel
ExecStart=/usr/bin/autossh -N -F none -o "ServerAliveInterval 60" \
    -p ${PORT} $FORWARDS \
    tunnel@example.com
Restart=always

[Install]
WantedBy=multi-user.target
"#;

#[test]
fn a_unit_is_read_with_its_environment() {
    let file = |path: &Path| {
        assert_eq!(path, Path::new("/etc/default/tunnel"));
        Some("PORT=2222\nFORWARDS='-L 1:h:2 -R 3:h:4'\n".to_owned())
    };
    let (keys, comments) = split(&unit(UNIT, &file).unwrap());
    for line in [
        "name = \"example.com\"",
        "port = 2222",
        "server_alive_interval = 60",
        "local_forward = [\"1:h:2\"]",
        "remote_forward = [\"3:h:4\"]",
    ] {
        assert!(keys.lines().any(|key| key == line), "{line} is not in\n{keys}");
    }
    assert!(comments.contains("# User=tunnel: "), "{comments}");
}

#[test]
fn a_unit_that_cannot_be_followed_says_why() {
    let nothing = |_: &Path| None;
    assert!(unit("[Service]\nExecStart=/bin/true\n", &nothing).unwrap_err().to_string().contains("no ExecStart"));
    let text = UNIT.replace("-p ${PORT} $FORWARDS", "-L 1:h:2");
    let (_, comments) = split(&unit(&text, &nothing).unwrap());
    assert!(comments.contains("EnvironmentFile=-/etc/default/tunnel: cannot be read"), "{comments}");
}
