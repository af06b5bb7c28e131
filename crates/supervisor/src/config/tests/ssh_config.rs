//! `ssh_config` in a tunnel: Host aliases, what wins, and where errors point.

use std::fs;
use std::time::Duration;

use tunnel_engine::spec::{AgentSpec, Route, StrictHostKeyChecking, UpdateHostKeys};

use super::*;
use crate::spec::MAX_ERRORS;

const HOSTS: &str = "\
Host db
  Hostname db.internal.example
  Port 2222
  User svc
  IdentityFile /keys/%r@%h
  IdentitiesOnly yes
  ServerAliveInterval 40
  StrictHostKeyChecking accept-new
  ExitOnForwardFailure yes
  LocalForward 3307 127.0.0.1:3306
  ProxyJump gate
Host gate
  User jumper
  IdentityFile /keys/gate
Host *
  LocalForward 9000 localhost:9000
  GSSAPIAuthentication yes
";

/// One tunnel with these keys over an ssh_config.
fn load(hosts: &str, keys: &str) -> Result<TunnelSpec, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts"), hosts).unwrap();
    let text = format!("[[tunnel]]\nname = 'a'\nssh_config = 'hosts'\n{keys}\n");
    let path = folder.path().join("tunneld.toml");
    match load_text_in(&path, &text, &Overrides::default(), &environment()) {
        Ok(mut desired) => Ok(desired.tunnels.remove(0)),
        Err(errors) => Err(errors.to_string().replace(&folder.path().display().to_string(), "")),
    }
}

fn good(hosts: &str, keys: &str) -> TunnelSpec {
    load(hosts, keys).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_host_alias_stands_for_all_that_its_blocks_say() {
    let tunnel = good(HOSTS, "host = 'db'");
    let session = &tunnel.session;
    assert_eq!(session.destination.to_string(), "svc@db.internal.example:2222");
    assert_eq!(session.auth.identities[0].path, Path::new("/keys/svc@db.internal.example"));
    assert!(session.auth.identities_only && tunnel.exit_on_forward_failure);
    assert_eq!(session.timing.server_alive_interval, Duration::from_secs(40));
    assert_eq!(session.timing.server_alive_count_max, 3, "a key that is not set has our own default");
    assert_eq!(session.host_key.strict, StrictHostKeyChecking::AcceptNew);
    let forwards: Vec<_> = tunnel.forwards.iter().map(ToString::to_string).collect();
    assert_eq!(forwards, ["3307:127.0.0.1:3306", "9000:localhost:9000"]);
}

#[test]
fn the_tunnels_own_keys_win_and_its_forwards_come_first() {
    let keys = "host = 'you@db'\nport = 7\nidentity_file = 'mine'\nidentity_agent = 'none'\nproxy_jump = 'none'\n\
                strict_host_key_checking = 'yes'\nexit_on_forward_failure = false\nlocal_forward = ['1:h:1', '9000:localhost:9000']";
    let tunnel = good(HOSTS, keys);
    let session = &tunnel.session;
    assert_eq!(session.destination.to_string(), "you@db.internal.example:7");
    assert!(session.auth.identities[0].path.ends_with("mine") && session.auth.agent == AgentSpec::None);
    assert_eq!((&session.dial.via, session.host_key.strict), (&Route::Direct, StrictHostKeyChecking::Yes));
    assert!(!tunnel.exit_on_forward_failure);
    let forwards: Vec<_> = tunnel.forwards.iter().map(ToString::to_string).collect();
    assert_eq!(forwards, ["1:h:1", "9000:localhost:9000", "3307:127.0.0.1:3306"]);
}

#[test]
fn tunnels_own_device_overrides_that_of_ssh_config() {
    let hosts = "Host a\n Tunnel ethernet\n TunnelDevice 4\nHost b\n TunnelDevice 4\nHost c\n Tunnel yes\n";
    let of = |keys: &str| -> Vec<String> {
        let keys = format!("{keys}\ndynamic_forward = '1'");
        good(hosts, &keys).forwards.iter().skip(1).map(ToString::to_string).collect()
    };
    assert_eq!(of("host = 'a'"), ["ethernet:4:any"]);
    assert!(of("host = 'b'").is_empty(), "without Tunnel there is none");
    assert_eq!(of("host = 'c'"), ["any:any"]);
    assert_eq!(of("host = 'a'\ntunnel_device = '0:1'"), ["0:1"]);
    assert!(of("host = 'a'\ntunnel_device = 'none'").is_empty());
}

#[test]
fn update_host_keys_defaults_to_what_ssh_would_do() {
    for (hosts, keys, want) in [
        ("", "", UpdateHostKeys::Yes),
        ("UpdateHostKeys ask", "", UpdateHostKeys::No),
        ("UpdateHostKeys yes", "update_host_keys = false", UpdateHostKeys::No),
        ("", "user_known_hosts_file = '/k'", UpdateHostKeys::No),
        ("UpdateHostKeys yes", "user_known_hosts_file = '/k'", UpdateHostKeys::Yes),
        ("UserKnownHostsFile /k", "update_host_keys = true", UpdateHostKeys::Yes),
        ("", "ssh_config = false", UpdateHostKeys::No),
    ] {
        let keys = format!("host = 'db'\ndynamic_forward = '1'\n{keys}");
        let got = if keys.contains("ssh_config") {
            read(&format!("[[tunnel]]\nname = 'a'\n{keys}\n")).unwrap().tunnels.remove(0)
        } else {
            good(&format!("{hosts}\n"), &keys)
        };
        assert_eq!(got.session.host_key.update, want, "{hosts} / {keys}");
    }
}

#[test]
fn tokens_know_the_tunnels_own_user_and_port() {
    let tunnel = good(
        "Host a\n IdentityFile /k/%r-%p-%k\n",
        "host = 'a'\nuser = 'u'\nport = 9\nhost_key_alias = 'x'\ndynamic_forward = '1'",
    );
    assert_eq!(tunnel.session.auth.identities[0].path, Path::new("/k/u-9-x"));
    assert_eq!(tunnel.session.host_key.alias.as_deref(), Some("x"));
}

#[test]
fn jump_host_has_own_blocks_and_no_password() {
    let keys = "host = 'db'\nidentity_file = '/k'\nconnect_timeout = 7\npassword_file = '/p'";
    let Route::Jump(gate) = good(HOSTS, keys).session.dial.via else { panic!("no jump host") };
    assert_eq!(gate.destination.to_string(), "jumper@gate:22");
    assert_eq!(gate.auth.identities[0].path, Path::new("/keys/gate"), "its block comes before the tunnel's keys");
    assert_eq!(gate.timing.connect_timeout, Duration::from_secs(7), "which it follows otherwise");
    assert_eq!(gate.auth.password, None);
    let Route::Jump(other) = good(HOSTS, "host = 'db'\nproxy_jump = 'gate:23, x@other'").session.dial.via else {
        panic!("no jump host")
    };
    let Route::Jump(gate) = &other.dial.via else { panic!("no second jump host") };
    assert_eq!(other.destination.to_string(), "x@other:22");
    assert_eq!(gate.destination.to_string(), "jumper@gate:23");
}

#[test]
fn every_one_of_several_hosts_is_an_alias() {
    let tunnel = good(HOSTS, "hosts = ['db', 'gate']");
    let servers: Vec<_> = tunnel.servers().map(|spec| spec.destination.to_string()).collect();
    assert_eq!(servers, ["svc@db.internal.example:2222", "jumper@gate:22"]);
    assert_eq!(tunnel.forwards.len(), 2, "the forwards are those of the first");
}

#[test]
fn errors_of_ssh_config_are_told_at_their_line() {
    let error =
        load("Host *\n  Prot 22\nHost db\n  CheckHostIP yes\n", "host = 'db'\ndynamic_forward = '1'").unwrap_err();
    let expected = "\
/hosts:2:3: error: `Prot` is not a keyword of ssh_config
    Prot …
    ^^^^
hint: did you mean `Port`?

/hosts:4:15: error: `CheckHostIP yes` cannot be followed
    CheckHostIP yes
                ^^^
hint: host keys are looked up by name only
";
    assert_eq!(error, expected);
    let error = load(HOSTS, "host = 'db'\nlocal_forward = ['127.0.0.1:9000:x:1']").unwrap_err();
    assert!(
        error.starts_with("/hosts:16:16: error: the listen address `9000` on this machine is already claimed"),
        "{error}"
    );
    let error = load(HOSTS, "host = 'db'\nssh_config = 'hosts'\n").unwrap_err();
    assert!(error.contains("is given twice"), "{error}");
    let error = load("Host db\n  LocalForward 80 h:80\n  Prot 22\n", "host = 'db'").unwrap_err();
    assert!(error.contains("`Prot`") && !error.contains("no forwards"), "they are in what could not be read: {error}");
    let error = load("", "host = 'db'").unwrap_err();
    assert!(error.contains("the tunnel has no forwards"), "{error}");
    assert!(error.contains("nothing for `db` in `/hosts` sets a forward; add"), "{error}");
}

#[test]
fn error_in_a_shared_file_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts"), "Prot 22\n").unwrap();
    let tunnel = |name| {
        format!(
            "[[tunnel]]\nname = '{name}'\nssh_config = 'hosts'\nhost = '{name}'\nproxy_jump = 'j'\ndynamic_forward = '1{name}'\n"
        )
    };
    let text = tunnel("1") + &tunnel("2");
    let errors = load_text_in(&folder.path().join("t.toml"), &text, &Overrides::default(), &environment()).unwrap_err();
    assert_eq!(errors.iter().count(), 1, "{errors}");
}

#[test]
fn the_key_takes_true_false_and_a_path() {
    assert!(read("[[tunnel]]\nname = 'a'\nhost = 'h'\nssh_config = false\ndynamic_forward = '1'").is_ok());
    let errors = read("[[tunnel]]\nname = 'a'\nhost = 'h'\nssh_config = 3\ndynamic_forward = '1'").unwrap_err();
    assert_eq!(errors.iter().next().unwrap().what(), "expected true, false or a path");
    let errors =
        read("[[tunnel]]\nname = 'a'\nhost = 'h'\nssh_config = '/not/there'\ndynamic_forward = '1'").unwrap_err();
    assert_eq!(errors.iter().next().unwrap().what(), "there is no such file");
}

#[test]
fn named_file_that_others_can_write_is_refused_for_root() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "Host *\n").unwrap();
    let text = format!("[[tunnel]]\nname = 'a'\nhost = 'h'\nssh_config = '{}'\ndynamic_forward = '1'", hosts.display());
    assert!(read(&text).is_ok());
    fs::set_permissions(&hosts, PermissionsExt::from_mode(0o666)).unwrap();
    let refused = read(&text).err().map(|errors| errors.to_string()).unwrap_or_default();
    assert_eq!(refused.contains("its mode is 0666"), nix::unistd::geteuid().is_root(), "{refused}");
    fs::remove_file(&hosts).unwrap();
    fs::create_dir(&hosts).unwrap();
    assert!(read(&text).unwrap_err().to_string().contains("is a folder"));
}

#[test]
fn file_that_is_no_ssh_config_is_left_after_its_first_errors() {
    let said = load(&"not an ssh_config at all\n".repeat(10_000), "host = 'db'\ndynamic_forward = '1'").unwrap_err();
    assert_eq!(said.matches("is not a keyword").count(), MAX_ERRORS);
    assert!(said.contains("and 1 more") && !said.contains("at all"), "{said}");
}
