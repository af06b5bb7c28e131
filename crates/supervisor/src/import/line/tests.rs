//! What is printed for a line, and that it is a config.

mod round_trip;

use std::path::Path;

use super::*;
use crate::config::{self, Overrides, load_text};

fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap()
}

fn import(line: &str) -> Result<String, ImportError> {
    super::line(&words(line), &config::facts())
}

/// The TOML without its comments, one blank on each side of `=`, and the comments.
fn printed(line: &str) -> (String, String) {
    split(&import(line).unwrap_or_else(|error| panic!("{line}: {error}")))
}

pub(in crate::import) fn split(text: &str) -> (String, String) {
    load_text(Path::new("printed.toml"), text, &Overrides::default())
        .unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    let (comments, keys): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
    let plain = |line: &&str| match line.split_once(" = ") {
        Some((key, value)) => format!("{} = {value}", key.trim_end()),
        None => (*line).to_owned(),
    };
    (keys.iter().map(plain).collect::<Vec<_>>().join("\n"), comments.join("\n"))
}

#[test]
fn usual_line_becomes_one_tunnel() {
    let (keys, comments) = printed(
        "autossh -M 0 -f -N -F none -p 2222 -o 'TCPKeepAlive no' -o 'ServerAliveInterval 30' -o 'ServerAliveCountMax 3' \
         -o 'ExitOnForwardFailure yes' -i /k -R 3306:127.0.0.1:3306 user@host",
    );
    assert_eq!(
        keys,
        "[[tunnel]]\nname = \"host\"\nhost = \"host\"\nport = 2222\nuser = \"user\"\nidentity_file = \"/k\"\n\
         update_host_keys = true\nserver_alive_interval = 30\ntcp_keep_alive = false\nexit_on_forward_failure = true\n\
         remote_forward = [\"3306:127.0.0.1:3306\"]"
    );
    assert!(comments.contains("# -f: "), "{comments}");
    assert!(comments.contains("# /k is not there, and no other key is offered"), "{comments}");
    assert!(comments.contains("# retries: "), "{comments}");
}

#[test]
fn imported_ssh_line_has_no_monitor() {
    let (keys, comments) = printed("ssh -fnNT -F none -R 2222:localhost:22 host");
    assert!(keys.contains("remote_forward = [\"2222:localhost:22\"]"), "{keys}");
    assert!(!comments.contains("retries"), "{comments}");
    let (_, comments) = printed("ssh -f -F none -L 1:h:2 u@host sleep 60");
    assert!(comments.contains("left out: the remote command `sleep 60`"), "{comments}");
    let (_, comments) = printed("ssh -N -F none -o 'RemoteCommand top -b' -L 1:h:2 u@host sleep 60");
    assert!(comments.contains("the remote command `sleep 60` is not run: -N is given"), "{comments}");
    assert!(comments.contains("RemoteCommand `top -b` is not run"), "{comments}");
}

#[test]
fn names_of_services_become_their_ports() {
    let (keys, _) = printed("ssh -N -F none -p ssh -L 3307:localhost:mysql -R 2222:localhost:ssh u@host");
    for line in ["local_forward = [\"3307:localhost:3306\"]", "remote_forward = [\"2222:localhost:22\"]"] {
        assert!(keys.lines().any(|key| key == line), "{line} is not in\n{keys}");
    }
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
    assert!(comments.contains("# -M 20000: its forwards are not made"), "{comments}");
    assert!(
        comments.contains("# AUTOSSH_PIDFILE=/p: for the whole daemon, at the top of the config, pid_file = \"/p\""),
        "{comments}"
    );
}

#[test]
fn everything_that_a_line_can_say_is_said() {
    let (keys, _) = printed(
        "autossh -N -F none -4 -c aes256-ctr -m hmac-sha2-256 -g -l me -i /a -i /b -o IdentitiesOnly=yes \
         -o StrictHostKeyChecking=accept-new -o 'UserKnownHostsFile /x /y' -o HostKeyAlias=alias -o ConnectTimeout=7 \
         -o 'ProxyCommand nc -x p:1 %h %p' -L '[::1]:1:h:2' -R /run/s:/run/t ssh://host:2022",
    );
    for line in [
        "port = 2022",
        "user = \"me\"",
        "proxy_command = \"nc -x p:1 host 2022\"",
        "address_family = \"inet\"",
        "identity_file = [\"/a\", \"/b\"]",
        "identities_only = true",
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
        ("autossh -M 0 -N -F none -W h:1 -L 1:h:2 host", "-W cannot be used: standard input and output"),
        ("autossh -M 0 -N", "no host is named"),
        ("autossh -M x -N -L 1:h:2 host", "invalid port \"x\""),
        ("AUTOSSH_POLL=0 autossh -N -L 1:h:2 host", "invalid poll time \"0\""),
        ("autossh -N -F none -o NoSuchThing=1 -L 1:h:2 host", "-o 'NoSuchThing=1'"),
    ] {
        let error = import(line).unwrap_err().to_string();
        assert!(error.contains(want), "{line}: {error}");
    }
}

#[test]
fn what_is_the_daemons_or_the_shells_is_told() {
    for (line, want) in [
        ("AUTOSSH_MAXSTART=0 autossh -N -F none -D 1 h", "nothing is ever started"),
        ("AUTOSSH_LOGLEVEL=3 autossh -N -F none -D 1 h", "level = \"error\" in [log]"),
        ("AUTOSSH_GATETIME=20 autossh -f -N -F none -D 1 h", "-f sets it to 0"),
        ("autossh -N -F none -D 1 h", "as autossh: gate_time = 30"),
        ("autossh -vv -N -F none -D 1 h", "-v: for the whole daemon, level = \"trace\""),
        ("ssh -q -N -F none -D 1 h", "-q: for the whole daemon, level = \"error\""),
        ("ssh -N -C -F none -o ForwardAgent=yes -D 1 h", "without effect on a tunnel: "),
        ("timeout 60 ssh -N -F none -D 1 h", "left out of the line: `timeout 60`"),
        ("'ssh -N -F none -l $NAME_OF_NOBODY -D 1 h'", "not filled in here: $NAME_OF_NOBODY"),
        ("ssh -N -F none -b 127.0.0.1 -J j -D 1 h", "without effect: BindAddress 127.0.0.1"),
        ("sudo -u nobody-of-this-name ssh -N -F none -D 1 h", "there is no account nobody-of-this-name here"),
    ] {
        let text = import(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(text.contains(want), "{line}:\n{text}");
    }
}

#[test]
fn password_file_of_sshpass_is_a_key_and_its_password_is_not_repeated() {
    for line in
        ["sshpass -v -f /p ssh -N -F none -D 1 h", "timeout 9 /usr/bin/sshpass -P word -f/p ssh -N -F none -D 1 h"]
    {
        let (keys, comments) = printed(line);
        assert!(keys.contains("password_file = \"/p\"") && !comments.contains("sshpass"), "{keys}\n{comments}");
    }
    let (_, comments) = printed("sshpass -p SECRET ssh -N -F none -D 1 h");
    assert!(
        comments.contains("# sshpass: write the password into a file") && !comments.contains("SECRET"),
        "{comments}"
    );
}

#[test]
fn the_files_of_another_account_are_written_down() {
    let home = config::facts().home_of("nobody").expect("every machine has nobody");
    let (keys, comments) = printed("sudo -u nobody ssh -N -F none -i ~/k -L 1:h:2 -J j h");
    let hosts =
        format!("user_known_hosts_file = [\"{0}/.ssh/known_hosts\", \"{0}/.ssh/known_hosts2\"]", home.display());
    assert!(keys.contains(&hosts), "{keys}");
    assert!(keys.contains("user = \"nobody\"") && keys.contains("{ host = \"j\", user = \"nobody\", "), "{keys}");
    assert!(comments.contains("runs as nobody today"), "{comments}");
}
