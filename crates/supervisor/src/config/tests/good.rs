//! Configs that are right, and what they come to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmList, IdentitySpec, IpQos, Route, SecretSource, UpdateHostKeys,
};

use super::*;
use crate::config::{BackoffKind, DuringOutage, LogFormat, OnRemotePortBusy, ShellCommand};

#[test]
fn the_smallest_config_gets_every_default() {
    let desired = good("[[tunnel]]\nname = 'db'\nhost = 'h'\nlocal_forward = '3307:127.0.0.1:3306'");
    let global = &desired.global;
    assert_eq!(global.config, Path::new("/etc/tunneld.toml"));
    assert_eq!(global.control_socket, Path::new("/run/tunneld/control.sock"));
    assert_eq!((global.pid_file.as_ref(), global.stop_timeout), (None, Duration::from_secs(10)));
    assert_eq!((global.log.level.filter.as_str(), global.log.format), ("info", LogFormat::Auto));

    let [tunnel] = desired.tunnels.as_slice() else { panic!("{desired:?}") };
    assert!(tunnel.enabled && !tunnel.gateway_ports && !tunnel.exit_on_forward_failure);
    assert_eq!((tunnel.max_connections, tunnel.on_remote_port_busy), (4096, OnRemotePortBusy::Retry));
    assert_eq!((tunnel.policy.poll, tunnel.first_poll), (Duration::from_secs(600), Duration::from_secs(600)));
    assert_eq!((tunnel.policy.max_start, tunnel.policy.max_lifetime), (None, None));
    assert_eq!((tunnel.policy.gate_time, tunnel.policy.backoff.max), (Duration::ZERO, Duration::from_secs(60)));
    assert_eq!((tunnel.outage.during_outage, tunnel.outage.hold_max), (DuringOutage::Hold, 128));
    assert_eq!(tunnel.forwards[0].to_string(), "3307:127.0.0.1:3306");

    let session = &tunnel.session;
    assert_eq!(session.destination.to_string(), "me@h:22");
    assert_eq!((&session.dial.via, session.dial.tcp_keep_alive), (&Route::Direct, true));
    assert_eq!(session.timing.connect_timeout, Duration::from_secs(10));
    assert_eq!(session.timing.server_alive_interval, Duration::from_secs(15));
    assert_eq!((session.timing.server_alive_count_max, session.receive_window), (3, 16 << 20));
    assert_eq!(session.auth.agent, AgentSpec::None);
    let default = |name: &str| IdentitySpec { path: Path::new("/home/me/.ssh").join(name), explicit: false };
    assert_eq!(session.auth.identities, ["id_rsa", "id_ecdsa", "id_ed25519"].map(default));
    assert_eq!(session.host_key.user_known_hosts[0], Path::new("/home/me/.ssh/known_hosts"));
    assert_eq!(session.host_key.global_known_hosts[0], Path::new("/etc/ssh/ssh_known_hosts"));
}

#[test]
fn the_daemons_own_keys_are_read() {
    let desired = good(
        "user = 'nobody'\nno_new_privileges = false\npid_file = 'x.pid'\ncontrol_socket = '${KEYS}/c'\nstop_timeout = 2.5\ninclude = '/nowhere/*.toml'\n\
         [log]\nlevel = 'warn,russh=debug'\nformat = 'json'",
    );
    assert_eq!(desired.global.pid_file.as_deref(), Some(Path::new("/etc/x.pid")));
    assert_eq!(desired.global.control_socket, Path::new("/keys/c"));
    assert_eq!((desired.global.user.as_deref(), desired.global.no_new_privileges), (Some("nobody"), false));
    assert_eq!(desired.global.stop_timeout, Duration::from_millis(2500));
    assert_eq!(desired.global.log.level.filter, "warn,russh=debug");
    assert_eq!(desired.global.log.format, LogFormat::Json);
    assert!(desired.tunnels.is_empty());
}

#[test]
fn tunnel_device_is_a_forward_or_none() {
    let of = |keys: &str| -> Vec<String> {
        let text = format!(
            "[defaults]\ntunnel_device = '3'\n[[tunnel]]\nname = 'a'\nhost = 'h'\nlocal_forward = '1:h:1'\n{keys}"
        );
        good(&text).tunnels[0].forwards.iter().map(|forward| format!("{} {forward}", forward.kind.option())).collect()
    };
    assert_eq!(of(""), ["-L 1:h:1", "-w 3:any"]);
    assert_eq!(of("tunnel_device = 'ethernet:any:7'"), ["-L 1:h:1", "-w ethernet:any:7"]);
    assert_eq!(of("tunnel_device = 'none'"), ["-L 1:h:1"]);
}

#[test]
fn credential_on_a_terminal_is_the_running_services() {
    let mut terminal = environment();
    terminal.variables.remove("CREDENTIALS_DIRECTORY");
    let text = "[[tunnel]]\nname = 'a'\nhost = 'h'\ndynamic_forward = '1080'\nidentity_file = 'credential:key'";
    let read = |environment: &Environment| load_text_in(Path::new("t"), text, &Overrides::default(), environment);
    let errors = read(&terminal).unwrap_err().to_string();
    assert!(errors.contains("there are no credentials") && errors.contains("on a terminal root has them"), "{errors}");
    terminal.service_credentials = Some("/run/credentials/tunneld.service".into());
    let identity = &read(&terminal).unwrap().tunnels[0].session.auth.identities[0];
    assert_eq!(identity.path, Path::new("/run/credentials/tunneld.service/key"));
}

#[test]
fn the_command_line_beats_the_file() {
    let overrides = Overrides {
        control_socket: Some("/a".into()),
        pid_file: Some("/b".into()),
        log_level: Some("debug".to_owned()),
        ..Overrides::default()
    };
    let text = "pid_file = '/x'\ncontrol_socket = '/y'\nlog.level = 'warn'";
    let desired = load_text_in(Path::new("t"), text, &overrides, &environment()).unwrap();
    assert_eq!(desired.global.control_socket, Path::new("/a"));
    assert_eq!(desired.global.pid_file.as_deref(), Some(Path::new("/b")));
    assert_eq!(desired.global.log.level.filter, "debug");
    assert_eq!(desired.global.log.level.overridden.as_deref(), Some("warn"));

    let overrides = Overrides { log_level: Some("loud".to_owned()), ..Overrides::default() };
    let errors = load_text_in(Path::new("t"), "", &overrides, &environment()).unwrap_err();
    assert!(
        errors.to_string().starts_with("TUNNELD_LOG_LEVEL: error: `loud` is not a log level\nhint: write "),
        "{errors}"
    );
}

#[test]
fn tunnel_takes_the_rest_from_the_defaults() {
    let desired = good(
        "[defaults]\nuser = 'you'\nport = 2222\nhost = 'relay'\nproxy_command = 'nc %h %p'\nmax_start = 3\n\
         backoff = { min = 1, max = '2m' }\n\
         [[tunnel]]\nname = 'a'\ndynamic_forward = '1080'\n\
         [[tunnel]]\nname = 'b'\nhosts = ['other:23']\nuser = 'she'\nmax_start = -1\nproxy_jump = 'bastion'\n\
         dynamic_forward = '1081'\nbackoff.min = 2",
    );
    let [a, b] = desired.tunnels.as_slice() else { panic!("{desired:?}") };
    assert_eq!(a.session.destination.to_string(), "you@relay:2222");
    assert_eq!(a.session.dial.via, Route::Command("nc relay 2222".to_owned()));
    assert_eq!(a.policy.max_start, Some(3));
    assert_eq!((a.policy.backoff.min, a.policy.backoff.max), (Duration::from_secs(1), Duration::from_secs(120)));
    assert_eq!(b.session.destination.to_string(), "she@other:23");
    assert!(matches!(b.session.dial.via, Route::Jump(_)), "its own proxy_jump beats the default proxy_command");
    assert_eq!(b.policy.max_start, None);
    assert_eq!((b.policy.backoff.min, b.policy.backoff.max), (Duration::from_secs(2), Duration::from_secs(120)));
}

#[test]
fn several_hosts_share_all_keys_but_the_way_there() {
    let desired = good(
        "[[tunnel]]\nname = 'a'\nhosts = ['a', 'you@b:2222', '[::1]:23']\nuser = 'she'\nport = 24\n\
         proxy_command = 'nc %h %p'\nsession_lifetime = '1h'\ndynamic_forward = '1080'",
    );
    let [tunnel] = desired.tunnels.as_slice() else { panic!("{desired:?}") };
    let servers: Vec<String> = tunnel.servers().map(|spec| spec.destination.to_string()).collect();
    assert_eq!(servers, ["she@a:24", "you@b:2222", "she@[::1]:23"]);
    assert_eq!(tunnel.fallbacks[0].dial.via, Route::Command("nc b 2222".to_owned()));
    assert_eq!(tunnel.fallbacks[0].auth, tunnel.session.auth);
    assert_eq!(tunnel.session_lifetime, Some(Duration::from_secs(3600)));
}

#[test]
fn jump_host_table_inherits_nothing_from_the_tunnel() {
    let spec = tunnel(
        "identity_file = '/k'\nconnect_timeout = 7\nbind_address = '10.0.0.1'\nproxy_jump = ['you@a:23,b', \
         { host = 'c', user = 'z', password_file = '/p', bind_address = '10.0.0.3' }]",
    );
    let Route::Jump(c) = &spec.session.dial.via else { panic!("no jump host") };
    let Route::Jump(b) = &c.dial.via else { panic!("no jump host") };
    let Route::Jump(a) = &b.dial.via else { panic!("no jump host") };
    let names = [c, b, a].map(|jump| jump.destination.to_string());
    assert_eq!(names, ["z@c:22", "me@b:22", "you@a:23"]);
    assert_eq!((c.timing.connect_timeout.as_secs(), b.timing.connect_timeout.as_secs()), (10, 7));
    assert_eq!((c.auth.identities.len(), b.auth.identities.len()), (3, 1));
    assert!(c.auth.password.is_some() && b.auth.password.is_none());
    assert_eq!(a.dial.bind_address.as_deref(), Some("10.0.0.1"));
    assert!([c, b].iter().all(|jump| jump.dial.bind_address.is_none()), "only what is dialled directly has one");

    let by_command = tunnel("proxy_jump = { host = 'c', proxy_command = 'nc %h %p' }");
    let Route::Jump(c) = &by_command.session.dial.via else { panic!("no jump host") };
    assert_eq!(c.dial.via, Route::Command("nc c 22".to_owned()));
}

#[test]
fn jump_hosts_follow_the_tunnels_rules_under_their_own_names() {
    let session = tunnel(
        "proxy_jump = 'you@bastion:23, second'\nuser = 'she'\nbind_address = '10.0.0.1'\nhost_key_alias = 'x'\ncompression = true\n\
         identity_file = 'k'\npassword_file = 'p'\nconnect_timeout = 5\nstrict_host_key_checking = 'accept-new'",
    )
    .session;
    assert_eq!(session.destination.to_string(), "she@h:22");
    assert_eq!((session.host_key.alias.as_deref(), &session.dial.bind_address), (Some("x"), &None));
    assert_eq!(session.auth.password, Some(SecretSource::File("/etc/p".into())));
    let Route::Jump(second) = &session.dial.via else { panic!("{session:?}") };
    assert_eq!(second.destination.to_string(), "me@second:22", "a jump's user is the account that runs tunneld");
    assert_eq!((&second.dial.bind_address, second.host_key.alias.as_deref()), (&None, None));
    let Route::Jump(first) = &second.dial.via else { panic!("{second:?}") };
    assert_eq!(first.destination.to_string(), "you@bastion:23");
    assert_eq!(first.dial.via, Route::Direct);
    assert_eq!(first.dial.bind_address.as_deref(), Some("10.0.0.1"), "the one that is dialled directly");
    assert_eq!((&first.auth.identities, first.timing), (&session.auth.identities, session.timing));
    assert_eq!(first.host_key.strict, session.host_key.strict);
    assert!(session.compression && !first.compression && !second.compression, "they carry encrypted bytes");
    assert_eq!(first.auth.password, None, "the server's password is not offered to a jump host");
}

#[test]
fn every_key_of_a_session_is_read() {
    let session = tunnel(
        "port = 0x16\nidentity_file = ['~/k', '${KEYS}/l', 'credential:key']\ncertificate_file = 'c'\nidentity_agent = '/agent'\n\
         password_file = 'credential:pw'\npassphrase_file = '~/pp'\nuser_known_hosts_file = ['a', '/b']\n\
         global_known_hosts_file = 'none'\nciphers = '^aes256-ctr'\nkex_algorithms = ['curve25519-sha256']\n\
         macs = '-hmac-sha1'\nhost_key_algorithms = '+ssh-rsa'\nconnect_timeout = '1m'\n\
         server_alive_interval = 0\nserver_alive_count_max = 0\ntcp_keep_alive = false\naddress_family = 'inet6'\n\
         bind_address = '::1'\nbind_interface = 'wg0'\nip_qos = 'ef'\nconnection_attempts = 3\nreceive_window = '2M'\n\
         revoked_host_keys = ['r', '~/krl']\nknown_hosts_command = '/bin/keys \"a b\" %H'\nupdate_host_keys = true\n\
         no_host_authentication_for_localhost = true\nhash_known_hosts = true\nca_signature_algorithms = '-rsa*'",
    )
    .session;
    let paths: Vec<_> = session.auth.identities.iter().map(|identity| identity.path.as_path()).collect();
    assert_eq!(paths, [Path::new("/home/me/k"), Path::new("/keys/l"), Path::new("/run/cred/key")]);
    assert!(session.auth.identities.iter().all(|identity| identity.explicit));
    assert_eq!(session.auth.certificates, [PathBuf::from("/etc/c")]);
    assert_eq!(session.auth.agent, AgentSpec::Socket("/agent".into()));
    assert_eq!(session.auth.password, Some(SecretSource::File("/run/cred/pw".into())));
    assert_eq!(session.auth.passphrase, Some(SecretSource::File("/home/me/pp".into())));
    assert_eq!(session.host_key.user_known_hosts, [PathBuf::from("/etc/a"), PathBuf::from("/b")]);
    assert!(session.host_key.global_known_hosts.is_empty());
    assert_eq!(session.host_key.revoked, [PathBuf::from("/etc/r"), PathBuf::from("/home/me/krl")]);
    let command = session.host_key.command.unwrap().words();
    assert_eq!(command, ["/bin/keys", "a b", "%H"]);
    assert_eq!((session.host_key.update, session.host_key.trust_loopback), (UpdateHostKeys::Yes, true));
    assert!(session.host_key.hash_names);
    assert_eq!(session.host_key.ca_signatures, AlgorithmList::Remove(vec!["rsa*".to_owned()]));
    assert_eq!(session.algorithms.ciphers, AlgorithmList::Prepend(vec!["aes256-ctr".to_owned()]));
    assert_eq!(session.algorithms.kex, AlgorithmList::Replace(vec!["curve25519-sha256".to_owned()]));
    assert_eq!(session.algorithms.macs, AlgorithmList::Remove(vec!["hmac-sha1".to_owned()]));
    assert_eq!(session.algorithms.host_keys, AlgorithmList::Append(vec!["ssh-rsa".to_owned()]));
    assert_eq!(session.timing.connect_timeout, Duration::from_secs(60));
    assert!(session.timing.server_alive_interval.is_zero() && session.timing.server_alive_count_max == 0);
    assert_eq!((session.dial.tcp_keep_alive, session.dial.address_family), (false, AddressFamily::Inet6));
    let source = (session.dial.bind_address.as_deref(), session.dial.bind_interface.as_deref());
    assert_eq!(source, (Some("::1"), Some("wg0")));
    for two in ["'af21 cs1'", "['af21', 'cs1']"] {
        let first = tunnel(&format!("ip_qos = {two}")).session.dial.ip_qos;
        assert_eq!(first, IpQos::Marked(0x48), "{two}");
    }
    assert_eq!((session.dial.ip_qos, session.dial.connection_attempts), (IpQos::Marked(0xb8), 3));
    assert_eq!(session.receive_window, 2 << 20);
    assert_eq!(session.destination.port, 22);
}

#[test]
fn every_key_of_the_policy_is_read() {
    let tunnel = tunnel(
        "enabled = false\ngateway_ports = true\nexit_on_forward_failure = true\nmax_connections = 7\n\
         gate_time = 30\nmax_start = 5\nmax_lifetime = '1h30M'\npoll = 60\nfirst_poll = '5s'\n\
         during_outage = 'refuse'\nhold_timeout = 1\nhold_max = 2\non_remote_port_busy = 'fail'\n\
         backoff = { kind = 'autossh', min = '10ms', max = 1, factor = 1, jitter = 0, reset_after = 0 }\n\
         probe = 'auto'\nsessions = 1\nsession_lifetime = 0\nssh_config = false",
    );
    assert!(!tunnel.enabled && tunnel.gateway_ports && tunnel.exit_on_forward_failure);
    assert_eq!((tunnel.max_connections, tunnel.on_remote_port_busy), (7, OnRemotePortBusy::Fail));
    assert_eq!((tunnel.policy.gate_time, tunnel.policy.max_start), (Duration::from_secs(30), Some(5)));
    assert_eq!(tunnel.policy.max_lifetime, Some(Duration::from_secs(5400)));
    assert_eq!((tunnel.policy.poll, tunnel.first_poll), (Duration::from_secs(60), Duration::from_secs(5)));
    assert_eq!((tunnel.outage.during_outage, tunnel.outage.hold_max), (DuringOutage::Refuse, 2));
    let backoff = tunnel.policy.backoff;
    assert_eq!((backoff.kind, backoff.min), (BackoffKind::Autossh, Duration::from_millis(10)));
    assert!(backoff.factor == 1.0 && backoff.jitter == 0.0 && backoff.reset_after.is_zero());
}

#[test]
fn forwards_are_texts_or_tables_with_variables_and_paths() {
    let tunnel = tunnel(
        "local_forward = ['${PORT}:db:3306', '192.168.1.5:8080 intranet:80', '~/s:/srv/x',\n\
         { listen = '127.0.0.1:3308', connect = 'db:3306', max_connections = 64 }]\n\
         remote_forward = ['/srv/y:./local', '0:localhost:22', '0:localhost:23', { listen = '*:1081' }]\n\
         dynamic_forward = './socks'",
    );
    let text: Vec<_> = tunnel.forwards.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "3307:db:3306",
            "192.168.1.5:8080:intranet:80",
            "/home/me/s:/srv/x",
            "127.0.0.1:3308:db:3306",
            "/srv/y:/etc/local",
            "0:localhost:22",
            "0:localhost:23",
            "*:1081",
            "/etc/socks",
        ]
    );
    assert_eq!(tunnel.forwards[3].max_connections, Some(64));
}

#[test]
fn listen_addresses_that_only_look_alike_are_no_clash() {
    good(
        "[[tunnel]]\nname = 'a'\nhost = 'h'\nlocal_forward = ['127.0.0.1:80:x:1', '127.0.0.2:80:x:1', '[::1]:80:x:1', '/a:x:1']\n\
         remote_forward = ['80:x:1', '/a:x:1']\n",
    );
    good(
        "[[tunnel]]\nname = 'a'\nhost = 'h'\nremote_forward = '80:x:1'\n\
         [[tunnel]]\nname = 'b'\nhost = 'other'\nremote_forward = '80:x:1'\n\
         [[tunnel]]\nname = 'c'\nhost = 'h'\nproxy_jump = 'j'\nremote_forward = '80:x:1'\n\
         [[tunnel]]\nname = 'd'\nhost = 'd'\nlocal_forward = ['0.0.0.0:80:x:1', '[::]:80:x:1']",
    );
}

#[test]
fn an_agent_is_named_as_in_ssh_config() {
    let mut around = environment();
    around.variables.insert("SSH_AUTH_SOCK".into(), "/a".into());
    let agent = |line: &str| {
        let text = format!("[[tunnel]]\nname = 'a'\nhost = 'h'\ndynamic_forward = '1'\n{line}");
        let desired = load_text_in(Path::new("/etc/t"), &text, &Overrides::default(), &around).unwrap();
        desired.tunnels[0].session.auth.agent.clone()
    };
    assert_eq!(agent(""), AgentSpec::Socket("/a".into()));
    assert_eq!(agent("identity_agent = 'SSH_AUTH_SOCK'"), AgentSpec::Socket("/a".into()));
    assert_eq!(agent("identity_agent = '$KEYS'"), AgentSpec::Socket("/keys".into()));
    assert_eq!(agent("identity_agent = '${KEYS}/s'"), AgentSpec::Socket("/keys/s".into()));
    assert_eq!(agent("identity_agent = 'none'"), AgentSpec::None);
}

#[test]
fn on_change_is_a_shell_line_or_a_list() {
    let command = |text: &str| tunnel(text).on_change;
    assert_eq!(command("on_change = 'a | b'"), Some(ShellCommand::line("a | b")));
    assert_eq!(command("on_change = ['/a', 'b c']"), ShellCommand::list(vec!["/a".into(), "b c".into()]));
    assert_eq!(command("on_change = []"), None);
    assert_eq!(command(""), None);
}
