//! Configs that are wrong, and everything that is said about them.

use proptest::prelude::*;

use super::*;

#[test]
fn errors_are_in_order_with_caret_and_hint() {
    let text = include_str!("bad.toml");
    let errors = read(text).unwrap_err();
    let rendered = errors.to_string();
    assert_eq!(rendered, include_str!("bad.txt"));
}

/// `LINE:COLUMN: what` of every error.
fn problems(text: &str) -> Vec<String> {
    let errors = match read(text) {
        Ok(desired) => panic!("no error in {text}\n{desired:?}"),
        Err(errors) => errors,
    };
    let problem = |error: &ConfigError| match error.line_and_column() {
        Some((line, column)) => format!("{line}:{column}: {}", error.what()),
        None => error.what().to_owned(),
    };
    errors.iter().map(problem).collect()
}

/// The one error of a tunnel with this line.
fn problem(line: &str) -> String {
    let text = format!("[[tunnel]]\nname = 'a'\nhost = 'h'\ndynamic_forward = '1080'\n{line}");
    let mut problems = problems(&text);
    assert_eq!(problems.len(), 1, "{line}: {problems:?}");
    problems.remove(0)
}

/// The hints about such a tunnel.
fn remedies(line: &str) -> Vec<String> {
    let errors = read(&format!("[[tunnel]]\nname = 'a'\n{line}\ndynamic_forward = '1080'\n")).unwrap_err();
    errors.iter().map(|error| error.hint().to_owned()).collect()
}

#[test]
fn habits_of_other_programs_are_answered_with_what_to_write_here() {
    for (line, want) in [
        ("hostname = 'h'", "did you mean `host`?"),
        ("server = 'h'", "did you mean `host`?"),
        ("host = 'h'\nusername = 'u'", "did you mean `user`?"),
        ("host = 'h'\nkey = '/k'", "did you mean `identity_file`?"),
        ("host = 'h'\nprivate_key = '/k'", "did you mean `identity_file`?"),
        ("host = 'h'\nkeepalive = 30", "did you mean `server_alive_interval`?"),
        ("host = 'h'\npoll = '90'", "write it without quotes, or with a unit: \"90s\""),
        ("host = 'h'\nlocal_forward = '-L 3307:h:3306'", "leave `-L` out"),
        ("host = 'far,relay'", "write several as `hosts = [\"a\", \"b\"]`"),
        ("hosts = ['far,relay', 'x']", "write several as `hosts = [\"a\", \"b\"]`"),
        ("host = relay", "put it in quotes"),
    ] {
        let told = remedies(line);
        assert!(told.iter().any(|told| told == want), "{line}: {told:?}");
    }
}

#[test]
fn every_wrong_value_is_refused_at_its_place() {
    for (line, want) in [
        ("enabled = 'yes'", "5:11: expected true or false, found a string"),
        ("port = 0", "5:8: 0 is out of range"),
        ("port = 99999999999999999999", "5:8: 99999999999999999999 is out of range"),
        ("port = 22.5", "5:8: expected a whole number, found a number"),
        ("user = ''", "5:8: the string is empty or holds control characters"),
        ("user = 'a b'", "5:8: `a b` is not a user name"),
        ("poll = 0", "5:8: the duration is out of range"),
        ("poll = '90'", "5:8: `90` is not a duration"),
        ("poll = '1 fortnight'", "5:8: `1 fortnight` is not a duration"),
        ("gate_time = inf", "5:13: `inf` is not a duration"),
        ("gate_time = nan", "5:13: `nan` is not a duration"),
        ("gate_time = '1000years'", "5:13: the duration is out of range"),
        ("gate_time = true", "5:13: expected a duration"),
        ("connect_timeout = 0", "5:19: the duration is out of range"),
        ("max_start = 0", "5:13: no start is allowed"),
        ("max_start = -2", "5:13: -2 is out of range"),
        ("max_connections = 0", "5:19: 0 is out of range"),
        ("receive_window = 1", "5:18: the size is out of range"),
        ("receive_window = '5 apples'", "5:18: `5 apples` is not a size"),
        ("receive_window = -1", "5:18: -1 is out of range"),
        ("backoff = 5", "5:11: expected a table, found a whole number"),
        ("backoff.factor = 0.5", "5:18: 0.5 is out of range"),
        ("backoff.jitter = nan", "5:18: NaN is out of range"),
        ("backoff.min = 0", "5:15: the duration is out of range"),
        ("backoff.kind = 'linear'", "5:16: `linear` is not a value of this key"),
        ("during_outage = 'holds'", "5:17: `holds` is not a value of this key"),
        ("address_family = 4", "5:18: expected a string, found a whole number"),
        ("bind_interface = ''", "5:18: the string is empty or holds control characters"),
        ("permit_remote_open = ['db:1', 'any']", "5:22: `any` stands beside other values"),
        ("stream_local_bind_mask = '8'", "5:26: `8` is not a mask"),
        ("ip_qos = 'fast'", "5:10: `fast` is not a traffic class"),
        ("connection_attempts = 0", "5:23: 0 is out of range"),
        ("identity_file = '~you/k'", "5:17: `~you/k`: the home of another user is not looked up"),
        ("identity_agent = '$NOPE'", "5:18: the environment variable `NOPE` is not set"),
        ("password_file = 'credential:../x'", "5:17: `../x` is not the name of a credential"),
        ("revoked_host_keys = 1", "5:21: expected a string, found a whole number"),
        ("known_hosts_command = 'keys %H'", "5:23: `keys` is not an absolute path"),
        ("known_hosts_command = ['/keys', '%x']", "5:23: `%x` stands for nothing here"),
        ("known_hosts_command = '/keys \"a'", "5:23: a quote is not closed"),
        ("update_host_keys = 'ask'", "5:20: a daemon cannot ask a user"),
        (
            "ca_signature_algorithms = 'ssh-rsa'",
            "5:27: tunneld does not have `ssh-rsa`: it is signed with SHA-1; have the certificate signed with rsa-sha2-512 or Ed25519",
        ),
        ("ciphers = 'rot13'", "5:11: `rot13` is not an algorithm of this kind"),
        ("macs = '-*'", "5:8: no algorithm is left"),
        ("proxy_jump = []", "5:14: the list of jump hosts is empty"),
        ("proxy_jump = [{ user = 'u' }]", "5:15: the jump host has no host"),
        ("proxy_jump = [{ host = 'j', poll = 1 }]", "5:29: unknown key `poll`"),
        (
            "proxy_jump = ['a', { host = 'j', proxy_command = 'x' }]",
            "5:20: only the first jump host can have a `proxy_command`",
        ),
        ("proxy_jump = 'a,,b'", "5:14: `` is not a host name or address"),
        ("proxy_jump = 'a'\nproxy_command = 'b'", "5:14: both `proxy_jump` and `proxy_command` are set"),
        ("proxy_command = 'nc %h %x'", "5:17: `%x` stands for nothing"),
        ("hosts = ['h']", "3:8: both `host` and `hosts` are set"),
        ("local_forward = '80 h:80'\nhost_key_alias = ''", "6:18: the string is empty or holds control characters"),
        ("local_forward = { connect = 'h:80' }", "5:17: the forward does not say where it listens"),
        ("local_forward = { listen = '80' }", "5:17: the forward does not say where it connects to"),
        ("local_forward = { listen = '80', connect = 'h:80', max = 1 }", "5:52: unknown key `max`"),
        ("remote_forward = { listen = '80', connect = 'h' }", "5:45: this is not a remote forward"),
        ("LocalForward = '80:h:80'", "5:1: unknown key `LocalForward`"),
        ("log.level = 'info'", "5:1: unknown key `log`"),
        ("probe = { expect = '' }", "5:20: nothing is expected"),
        ("probe = { expect = 'x', expct = 'y' }", "5:25: unknown key `expct`"),
        ("ip_qos = 'af21 fast'", "5:10: `fast` is not a traffic class"),
        ("ip_qos = ['af21', 'cs1', 'ef']", "5:10: there are more than two traffic classes"),
        ("ip_qos = []", "5:10: the list is empty"),
        ("probe = {}", "5:9: it is not said what to expect"),
    ] {
        assert_eq!(problem(line), want, "{line}");
    }
}

#[test]
fn key_that_is_misspelt_or_wrong_is_not_also_missing() {
    let tunnel = |lines: &str| problems(&format!("[[tunnel]]\nname = 'a'\nhost = 'h'\n{lines}"));
    for (lines, want) in [
        ("tunnel_device = 'x'", "4:17: "),
        ("tunnel_device = 5", "4:17: expected a string, found a whole number"),
        ("remote_forward = 5", "4:18: expected a string, found a whole number"),
        ("LocalForward = '80:h:80'", "4:1: unknown key `LocalForward`"),
        ("local_foward = '80:h:80'", "4:1: unknown key `local_foward`"),
        ("local_forward = { lisen = '80', connect = 'h:80' }", "4:19: unknown key `lisen`"),
        ("local_forward = { listen = '80', conect = 'h:80' }", "4:34: unknown key `conect`"),
        ("ssh_config = 5\nuser = 'me'", "4:14: expected true, false or a path"),
        ("dynamic_forward = '1'\nproxy_jump = { hosst = 'j' }", "5:16: unknown key `hosst`"),
    ] {
        let said = tunnel(lines);
        assert!(said.len() == 1 && said[0].starts_with(want), "{lines}: {said:?}");
    }
    assert_eq!(tunnel("tunnel_device = 'none'"), ["1:1: the tunnel has no forwards"]);
    assert_eq!(tunnel("polll = 5"), ["1:1: the tunnel has no forwards", "4:1: unknown key `polll`"]);
}

#[test]
fn long_value_is_not_repeated_whole() {
    let long = "x".repeat(1 << 20);
    for line in [
        format!("{long} = 1"),
        format!("[[tunnel]]\nname = '{long}'"),
        format!("\"{long}\" = 1"),
        format!("probe = '{long}'"),
        format!("port = 1{}", "0".repeat(1 << 20)),
        format!("poll = '{long}'"),
        format!("ciphers = '{long}'"),
        format!("identity_file = '${{{long}}}'"),
        format!("user = 'a {long}'"),
        format!("local_forward = '{long}'"),
        format!("tunnel_device = '{long}'"),
        format!("proxy_jump = 'a,{long}:0'"),
        format!("log = {long}"),
        long.clone(),
    ] {
        let text = format!("[[tunnel]]\nname = 'a'\nhost = 'h'\ndynamic_forward = '1080'\n{line}");
        let said = read(&text).map(|_| String::new()).unwrap_or_else(|errors| errors.to_string());
        assert!(said.len() < 4000, "{}: {} bytes", &line[..10], said.len());
    }
}

#[test]
fn hosts_are_checked_one_by_one() {
    let hosts = |hosts: &str| problems(&format!("[[tunnel]]\nname = 'a'\n{hosts}\ndynamic_forward = '1'"));
    assert_eq!(hosts("hosts = []"), ["3:9: the list of hosts is empty"]);
    assert_eq!(hosts("hosts = ['a', 'b', 'a:22']"), ["3:20: `me@a:22` is named twice"]);
    assert_eq!(
        hosts("hosts = ['a', 'b:0']"),
        ["3:15: `0` is not a port from 1 to 65535, nor a service in /etc/services"]
    );
    assert_eq!(
        hosts("host = 'a'\nsession_lifetime = '5s'"),
        ["4:20: a session that short would be a login every few seconds"]
    );
}

#[test]
fn command_that_says_nothing_is_refused() {
    assert!(problem("on_change = ' '").starts_with("5:13: the string is empty"), "{}", problem("on_change = ' '"));
    assert!(problem("on_change = ['/bin/x', 1]").starts_with("5:24: expected a string"));
    assert!(problem("on_change = true").starts_with("5:13: expected a string"));
}

#[test]
fn what_no_socket_and_no_log_line_takes_is_too_long() {
    let tunnel = |user: usize, host: &str| {
        format!("[[tunnel]]\nname = 'a'\nuser = '{}'\nhost = '{host}'\ndynamic_forward = '1080'", "u".repeat(user))
    };
    assert!(read(&tunnel(255, "a")).is_ok());
    assert_eq!(problems(&tunnel(256, "a")), ["3:8: the user is longer than 255 bytes"]);
    let host = format!("{}@a", "u".repeat(256));
    assert_eq!(problems(&tunnel(1, &host)), ["4:8: the user is longer than 255 bytes"]);
    let socket = |length: usize| format!("control_socket = '/{}'", "s".repeat(length));
    assert!(read(&socket(106)).is_ok());
    assert_eq!(problems(&socket(107)), ["1:18: the path is too long for a unix socket"]);
    let option = |length: usize| {
        let overrides =
            Overrides { control_socket: Some(format!("/{}", "s".repeat(length)).into()), ..Overrides::default() };
        load_text_in(Path::new("/etc/tunneld.toml"), "control_socket = '/s'", &overrides, &environment())
    };
    assert!(option(106).is_ok());
    let error = option(107).unwrap_err().to_string();
    assert!(error.starts_with("control_socket: error: the path is too long for a unix socket\n"), "{error}");
}

#[test]
fn metrics_are_served_where_nothing_else_listens() {
    let metrics = |listen: &str| {
        problems(&format!("[[tunnel]]\nname = 'a'\nhost = 'a'\nlocal_forward = '80:x:1'\n[metrics]\nlisten = {listen}"))
            .join("\n")
    };
    assert!(metrics("'*:80'").starts_with(
        "4:17: the listen address `80` on this machine is already claimed by `*:80` at /etc/tunneld.toml:6:10"
    ));
    assert_eq!(metrics("'/run/m.sock'"), "6:10: a path is written with `unix:`");
    assert!(metrics("'unix:${NOPE}/x'").starts_with("6:10: "), "{}", metrics("'unix:${NOPE}/x'"));
    assert!(metrics("'127.0.0.1:0'").starts_with("6:10: "), "{}", metrics("'127.0.0.1:0'"));
    assert!(metrics("9469").starts_with("6:10: expected a string"), "{}", metrics("9469"));
}

#[test]
fn a_claim_on_a_listen_address_names_the_other_one() {
    let two = |a: &str, b: &str| {
        problems(&format!("[[tunnel]]\nname = 'a'\nhost = 'h'\n{a}\n[[tunnel]]\nname = 'b'\nhost = 'H'\n{b}"))
            .join("\n")
    };
    for (a, b) in [
        ("'80:x:1'", "'127.0.0.1:80:y:2'"),
        ("'80:x:1'", "'localhost:80:y:2'"),
        ("'*:80:x:1'", "'10.0.0.1:80:y:2'"),
        ("'0.0.0.0:80:x:1'", "'name:80:y:2'"),
        ("'[::]:80:x:1'", "'[fe80::1]:80:y:2'"),
        ("'/s:x:1'", "'//./s:y:2'"),
    ] {
        let said = two(&format!("local_forward = {a}"), &format!("local_forward = {b}"));
        assert!(said.starts_with("8:17: the listen address `"), "{a} {b}: {said}");
        assert!(said.ends_with(" of tunnel `a` at /etc/tunneld.toml:4:17"), "{a} {b}: {said}");
    }
    assert_eq!(
        two("remote_forward = '80:x:1'", "remote_forward = '80:y:2'"),
        "8:18: the listen address `80` on the server is already claimed by `80` of tunnel `a` at /etc/tunneld.toml:4:18"
    );
    assert!(
        two("local_forward = '80:x:1'\ngateway_ports = true", "dynamic_forward = '10.0.0.1:80'")
            .contains("claimed by `80`")
    );
    let devices = two("tunnel_device = '3:any'\ndynamic_forward = []", "tunnel_device = '3:1'");
    assert!(devices.contains("already claimed by `tun3` of tunnel `a`"), "{devices}");
}

#[test]
fn keys_in_the_wrong_place_are_sent_home() {
    let hint = |text: &str| read(text).unwrap_err().iter().next().unwrap().hint().to_owned();
    assert_eq!(hint("host = 'x'"), "`host` is a key of [[tunnel]] or [defaults]");
    assert_eq!(hint("level = 'x'"), "`level` is a key of [log]");
    assert_eq!(hint("[defaults]\nhostt = 'x'"), "did you mean `host`?");
    assert_eq!(hint("[[tunnels]]"), "did you mean `tunnel`?");
    assert_eq!(hint("[tunnel]"), "write `[[tunnel]]`, with two brackets on each side");
    assert_eq!(hint("[defaults]\nname = 'x'"), "names are unique: write it in [[tunnel]]");
    assert_eq!(hint("[defaults]\nServerAliveIntervall = 5"), "did you mean `server_alive_interval`?");
}

#[test]
fn error_in_defaults_is_reported_once_even_if_unused() {
    let tunnel =
        |name: &str, port: u8| format!("[[tunnel]]\nname = '{name}'\nhost = 'h'\ndynamic_forward = '{port}'\n");
    let defaults = "[defaults]\npoll = 'x'\nciphers = 'y'\n";
    let want = ["2:8: `x` is not a duration", "3:11: `y` is not an algorithm of this kind"];
    assert_eq!(problems(&format!("{defaults}{}{}", tunnel("a", 1), tunnel("b", 2))), want);
    assert_eq!(problems(&format!("{defaults}{}poll = 5\nciphers = 'aes256-ctr'", tunnel("a", 1))), want);
    assert_eq!(problems(defaults), want);
}

#[test]
fn a_user_and_a_port_are_named_once() {
    let with =
        |line: &str| problems(&format!("[[tunnel]]\nname = 'a'\nhost = 'you@h:23'\ndynamic_forward = '1'\n{line}"));
    assert_eq!(with("port = 24"), ["3:8: `host` and `port` name different ports"]);
    assert_eq!(with("user = 'me'"), ["3:8: `host` and `user` name different users"]);
    assert_eq!(with("port = 'x'"), ["5:8: `x` is not a port"]);
    assert_eq!(with("port = 'ssh'"), ["3:8: `host` and `port` name different ports"], "22 by its name");
}

#[test]
fn syntax_error_is_reported_beside_independent_errors() {
    let text = "stop_timeout = 5x\n[[tunnel]]\nname = 'a'\nhost 'h'\n[log]\nlevl = 'x'\n[log]\n";
    let problems = problems(text);
    assert!(problems[0].starts_with("1:16: "), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("4:")), "{problems:?}");
    assert!(problems.contains(&"6:1: unknown key `levl`".to_owned()), "{problems:?}");
    assert!(problems.contains(&"7:2: `log` is given twice".to_owned()), "{problems:?}");
    assert!(!problems.iter().any(|problem| problem.contains("has no ")), "{problems:?}");
}

#[test]
fn errors_as_json_have_place_message_and_hint() {
    let json = read("\n x = 1").unwrap_err().to_json();
    let error = &json["errors"][0];
    assert_eq!(error["file"], "/etc/tunneld.toml");
    assert_eq!((error["line"].as_u64(), error["column"].as_u64()), (Some(2), Some(2)));
    assert_eq!(error["message"], "unknown key `x`");
    assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
}

#[test]
fn a_config_cannot_drive_the_terminal() {
    let text = read("'\u{1b}' = 1").unwrap_err().to_string() + &read("\"\\u001b]0;x\" = 1").unwrap_err().to_string();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in proptest::collection::vec(pieces(), 0..40)) {
        if let Err(errors) = read(&text.concat()) {
            prop_assert!(errors.iter().count() > 0);
            let _ = (errors.to_string(), errors.to_json());
        }
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in any::<Vec<u8>>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, &bytes).unwrap();
        if let Err(errors) = load_in(&path, &Overrides::default(), &environment()) {
            let _ = errors.to_string();
        }
    }
}

/// Bits of configs: in random order they reach further than random text.
fn pieces() -> impl Strategy<Value = String> {
    let keys = proptest::sample::select(keys::TUNNEL.as_slice()).prop_map(|key| format!("\n{key} = "));
    let words = proptest::sample::select(
        &[
            "\n[[tunnel]]\n",
            "\n[defaults]\n",
            "\n[log]\nlevel = ",
            "'a'",
            "\"h\"",
            "1",
            "-1",
            "1e400",
            "'5s'",
            "true",
            "['80:h:80']",
            "{ listen = '1' }",
            "[",
            "]",
            "{",
            "}",
            "\n",
            "'",
            "\"",
            "ä",
            "\t",
            "#",
            "include = ",
            "\u{0}",
        ][..],
    );
    prop_oneof![keys, words.prop_map(str::to_owned), ".{0,8}"]
}

#[test]
fn errors_name_what_they_are_about() {
    let said = read("[metrics]\nlisten = '127.0.0.1:0'\n").unwrap_err().to_string();
    assert!(said.contains("the metrics cannot be served at port 0"), "{said}");
    let overrides = Overrides { log_level: Some("inof".to_owned()), ..Overrides::default() };
    let said = load_text_in(Path::new("/t"), "", &overrides, &environment()).unwrap_err().to_string();
    assert!(said.starts_with("TUNNELD_LOG_LEVEL: error: `inof` is not a log level"), "{said}");
    let said = load_in(Path::new("/"), &Overrides::default(), &environment()).unwrap_err().to_string();
    assert!(said.contains("it is a folder") && !said.contains("tunneld init"), "{said}");
}
