//! The documented variables, and the command lines that the images' own scripts make of them.

use super::*;
use crate::config::{self, Overrides};
use crate::sshconfig::HostFacts;

fn environment(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.trim().split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn with_files(text: &str, files: &[&str]) -> Result<Option<ImageCommand>, Vec<String>> {
    let look = |path: &Path| match path.to_str() {
        Some(path) if files.contains(&path) => PathKind::File,
        Some(path) if files.contains(&format!("{path}/").as_str()) => PathKind::Folder,
        _ => PathKind::Nothing,
    };
    command(&environment(text), &look)
}

fn words(text: &str, files: &[&str]) -> String {
    with_files(text, files).unwrap().unwrap().invocation.words.join(" ")
}

fn errors(text: &str, files: &[&str]) -> Vec<String> {
    with_files(text, files).unwrap_err()
}

const SAFE: &str = "-M 0 -N -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/known_hosts \
    -o ServerAliveInterval=10 -o ServerAliveCountMax=3 -i /id_rsa";
const MOUNTED: &[&str] = &["/id_rsa", "/known_hosts"];

#[test]
fn documented_variables_make_the_images_own_line() {
    for (text, line) in [
        // The README's three samples.
        (
            "SSH_REMOTE_USER=sshuser\nSSH_REMOTE_HOST=203.0.113.10\nSSH_REMOTE_PORT=2222\nSSH_TARGET_HOST=172.17.0.2\n\
             SSH_TARGET_PORT=22",
            "-R 127.0.0.1:0:172.17.0.2:22 -p 2222 -l sshuser 203.0.113.10",
        ),
        (
            "SSH_REMOTE_USER=sshuser\nSSH_REMOTE_HOST=203.0.113.10\nSSH_TUNNEL_PORT=22222\nSSH_TARGET_HOST=198.168.123.45",
            "-R 127.0.0.1:22222:198.168.123.45:22 -p 22 -l sshuser 203.0.113.10",
        ),
        (
            "SSH_REMOTE_USER=sshuser\nSSH_REMOTE_HOST=203.0.113.10\nSSH_REMOTE_PORT=22222\nSSH_BIND_IP=0.0.0.0\n\
             SSH_TUNNEL_PORT=1234\nSSH_TARGET_HOST=198.168.123.45\nSSH_TARGET_PORT=22\nSSH_MODE=-L",
            "-L 0.0.0.0:1234:198.168.123.45:22 -p 22222 -l sshuser 203.0.113.10",
        ),
        // Its defaults; an empty variable is not set.
        ("SSH_REMOTE_HOST=relay\nSSH_TUNNEL_PORT=", "-R 127.0.0.1:0:localhost:22 -p 22 -l root relay"),
        ("SSH_TUNNEL_PORT=2222", "-R 127.0.0.1:2222:localhost:22 -p 22 -l root localhost"),
        (
            "SSH_REMOTE_HOST=relay\nSSH_TUNNEL_PORT=2222\nSSH_OPTIONS=-o StreamLocalBindUnlink=yes -o UseRoaming=no",
            "-R 127.0.0.1:2222:localhost:22 -p 22 -l root relay -o StreamLocalBindUnlink=yes -o UseRoaming=no",
        ),
        (
            "SSH_REMOTE_HOST=2001:db8::1\nSSH_TUNNEL_PORT=2222\nSSH_BIND_IP=::\nSSH_TARGET_HOST=fd00::2",
            "-R [::]:2222:[fd00::2]:22 -p 22 -l root 2001:db8::1",
        ),
        // Version 1.
        (
            "SSH_HOSTUSER=sshuser\nSSH_HOSTNAME=203.0.113.10\nSSH_TUNNEL_REMOTE=2222\nSSH_TUNNEL_HOST=172.17.0.1\n\
             SSH_TUNNEL_LOCAL=22",
            "-R 2222:172.17.0.1:22 -p 22 -l sshuser 203.0.113.10",
        ),
        (
            "SSH_HOSTNAME=relay\nSSH_HOSTPORT=2200\nSSH_TUNNEL_REMOTE=*:2222\nSSH_MODE=-L",
            "-L *:2222:localhost:22 -p 2200 -l root relay",
        ),
    ] {
        assert_eq!(words(text, MOUNTED), format!("{SAFE} {line}"), "{text}");
    }
}

#[test]
fn key_hosts_and_keepalive_are_where_variables_say() {
    let text = "SSH_REMOTE_HOST=r\nSSH_KEY_FILE=/run/secrets/key\nSSH_KNOWN_HOSTS_FILE=/run/secrets/known hosts\n\
                SSH_SERVER_ALIVE_INTERVAL=0\nSSH_SERVER_ALIVE_COUNT_MAX=7";
    assert_eq!(
        words(text, &["/run/secrets/key", "/run/secrets/known hosts"]),
        "-M 0 -N -o StrictHostKeyChecking=yes -o UserKnownHostsFile=\"/run/secrets/known hosts\" \
         -o ServerAliveInterval=0 -o ServerAliveCountMax=7 -i /run/secrets/key -R 127.0.0.1:0:localhost:22 -p 22 -l root r"
    );
    let old = "SSH_HOSTNAME=r\nSSH_KNOWN_HOSTS=/k\nSERVER_ALIVE_INTERVAL=20\nSERVER_ALIVE_COUNT_MAX=2";
    assert!(words(old, &["/id_rsa", "/k"]).starts_with(
        "-M 0 -N -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/k -o ServerAliveInterval=20 -o ServerAliveCountMax=2"
    ));
}

#[test]
fn without_known_hosts_any_key_is_believed_and_told() {
    let command = with_files("SSH_REMOTE_HOST=r", &["/id_rsa"]).unwrap().unwrap();
    assert!(command.invocation.words.contains(&"StrictHostKeyChecking=no".to_owned()));
    assert!(command.notes.iter().any(|note| note.contains("any host key is believed")), "{:?}", command.notes);
    // Not where a file was named, nor where docker made a folder of it.
    let named = errors("SSH_REMOTE_HOST=r\nSSH_KNOWN_HOSTS_FILE=/typo", MOUNTED);
    assert!(named[0].starts_with("SSH_KNOWN_HOSTS_FILE: `/typo` is not there"), "{named:?}");
    let folder = errors("SSH_REMOTE_HOST=r", &["/id_rsa", "/known_hosts/"]);
    assert!(folder[0].contains("`/known_hosts` is a folder: docker makes one"), "{folder:?}");
}

#[test]
fn everything_wrong_is_told_at_once_by_name() {
    let text = "SSH_REMOTE_HOST=-oProxyCommand=x\nSSH_REMOTE_PORT=ssh\nSSH_TARGET_PORT=0\nSSH_MODE=-D\nSSH_BIND_IP=0.0.0.0\n\
                SSH_SERVER_ALIVE_INTERVAL=10s\nSSH_STRICT_HOST_IP_CHECK=maybe\nSSH_OPTIONS=-o \"open";
    let errors = errors(text, &["/known_hosts"]);
    for name in [
        "SSH_STRICT_HOST_IP_CHECK: `maybe`",
        "SSH_SERVER_ALIVE_INTERVAL: `10s`",
        "there is no key `/id_rsa`",
        "SSH_MODE: `-D`",
        "SSH_TARGET_PORT: `0`",
        "SSH_REMOTE_HOST: `-oProxyCommand=x`",
        "SSH_REMOTE_PORT: `ssh`",
        "SSH_OPTIONS: a quote",
    ] {
        assert!(errors.iter().any(|error| error.starts_with(name)), "{name}: {errors:#?}");
    }
    assert_eq!(errors.len(), 8, "{errors:#?}");
}

#[test]
fn unknown_names_are_refused_without_their_value() {
    for (name, meant) in [
        ("SSH_REMOTE_HOTS", "did you mean SSH_REMOTE_HOST?"),
        ("SSH_TUNEL_PORT", "did you mean SSH_TUNNEL_PORT?"),
        ("SSH_KEY", "name its file in SSH_KEY_FILE"),
        ("SSH_PASSWORD", "the environment is no place for a secret"),
        ("SSH_ZZZZ", "leave it out"),
    ] {
        let errors = errors(&format!("SSH_REMOTE_HOST=r\n{name}=hunter2"), MOUNTED);
        assert!(errors.len() == 1 && errors[0].contains(meant), "{name}: {errors:?}");
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn names_of_ssh_and_of_services_are_left_alone() {
    let text = "SSH_AUTH_SOCK=/agent\nSSH_CONNECTION=a b\nSSH_PORT=tcp://10.0.0.1:22\nSSH_PORT_22_TCP=tcp://10.0.0.1:22\n\
                SSH_PORT_22_TCP_ADDR=10.0.0.1\nSSH_PORT_22_TCP_PROTO=tcp\nSSH_SERVICE_HOST=10.0.0.1\nSSH_SERVICE_PORT_SSH=22\n\
                REMOTE_HOST=x\nLOCAL_PORT=1";
    assert_eq!(with_files(text, MOUNTED), Ok(None));
    assert!(with_files(&format!("{text}\nSSH_REMOTE_HOST=r"), MOUNTED).unwrap().is_some());
}

#[test]
fn older_and_newer_name_must_not_differ() {
    let both = "SSH_REMOTE_HOST=a\nSSH_HOSTNAME=a\nSSH_TUNNEL_PORT=1";
    assert!(words(both, MOUNTED).ends_with(" a"));
    let differ = errors("SSH_REMOTE_HOST=a\nSSH_HOSTNAME=b", MOUNTED);
    assert!(differ[0].starts_with("SSH_HOSTNAME is an older name of SSH_REMOTE_HOST"), "{differ:?}");
}

#[test]
fn local_mode_needs_a_port_to_listen_on() {
    let errors = errors("SSH_REMOTE_HOST=a\nSSH_MODE=-L", MOUNTED);
    assert!(errors.len() == 1 && errors[0].starts_with("SSH_TUNNEL_PORT is not set"), "{errors:?}");
}

#[test]
fn variables_of_the_ssh_image_make_its_own_line() {
    let text = "SSH_DEBUG=-v\nTUNNEL_HOST=mysql-tunnel\nREMOTE_HOST=sql.internal\nLOCAL_PORT=3306\nREMOTE_PORT=3307";
    let line = "-v -o StrictHostKeyChecking=no -N -L *:3306:sql.internal:3307 mysql-tunnel";
    assert_eq!(words(text, &[]), line);
    let missing = errors("TUNNEL_HOST=t\nREMOTE_PORT=x", &[]);
    for name in ["LOCAL_PORT is not set", "REMOTE_HOST is not set", "REMOTE_PORT: `x`"] {
        assert!(missing.iter().any(|error| error.starts_with(name)), "{missing:?}");
    }
    let both = errors(&format!("{text}\nSSH_REMOTE_HOST=r"), MOUNTED);
    assert!(both[0].starts_with("TUNNEL_HOST is a variable of"), "{both:?}");
}

#[test]
fn what_is_made_loads_as_the_tunnel_that_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("id");
    std::fs::write(&key, "").unwrap();
    let text = format!(
        "SSH_REMOTE_HOST=relay.example\nSSH_REMOTE_USER=tunnel\nSSH_TUNNEL_PORT=2222\nSSH_KEY_FILE={}\nAUTOSSH_POLL=30",
        key.display()
    );
    let environment = environment(&text);
    let command = command(&environment, &PathKind::at).unwrap().unwrap();
    let facts = System::new(Some("u".to_owned()), Some(dir.path().to_owned()), environment.into_iter().collect());
    let toml = toml(&command, &facts).unwrap();
    assert!(toml.starts_with("# made of the environment, as jnovack/autossh reads it\n"), "{toml}");
    let desired = config::load_text_for(Path::new("environment"), &toml, &Overrides::default(), &facts).unwrap();
    let tunnel = &desired.tunnels[0];
    assert_eq!(tunnel.name, "relay.example");
    assert_eq!(tunnel.session.destination.to_string(), "tunnel@relay.example:22");
    assert_eq!(tunnel.forwards[0].to_string(), "127.0.0.1:2222:localhost:22");
    assert_eq!(tunnel.policy.poll.as_secs(), 30);
    assert!(facts.variable("SSH_REMOTE_HOST").is_some());
}
