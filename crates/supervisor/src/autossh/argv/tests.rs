//! Command lines as people write them, and what the real getopt makes of them.

use super::*;

fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap()
}

fn read(line: &str) -> Result<ParsedArgv, Vec<ArgvError>> {
    parse(&words(line), Dialect::Autossh, &|name| (name == "PORT").then(|| "8080".to_owned()))
}

fn tunnel(line: &str) -> CommandLine {
    match read(line) {
        Ok(ParsedArgv::Tunnel(line)) => *line,
        other => panic!("{line}: {other:?}"),
    }
}

fn errors(line: &str) -> Vec<String> {
    read(line).unwrap_err().iter().map(ToString::to_string).collect()
}

fn forwards(line: &CommandLine) -> Vec<String> {
    line.forwards.iter().map(|forward| format!("{} {forward}", forward.kind.as_str())).collect()
}

fn keyword(keyword: &'static str, value: &str) -> ArgvSetting {
    ArgvSetting::Keyword { keyword, value: value.to_owned() }
}

#[test]
fn the_line_of_everybody() {
    let line = tunnel(
        "-M 0 -N -p 2222 -o 'TCPKeepAlive no' -o 'ServerAliveInterval 30' -o ServerAliveCountMax=3 \
         -R 3306:127.0.0.1:3306 user@host",
    );
    assert_eq!(line.monitor, Some(MonitorPort::Off));
    assert!(line.no_command && !line.background);
    assert_eq!(line.host, "host");
    assert_eq!(
        line.settings,
        [
            keyword("Port", "2222"),
            ArgvSetting::Line("TCPKeepAlive no".into()),
            ArgvSetting::Line("ServerAliveInterval 30".into()),
            ArgvSetting::Line("ServerAliveCountMax=3".into()),
            keyword("User", "user"),
        ]
    );
    assert_eq!(forwards(&line), ["remote 3306:127.0.0.1:3306"]);
}

#[test]
fn options_may_follow_the_host() {
    let line = tunnel("host -M 41000 -N -L 1:h:2");
    assert_eq!(line.monitor, Some(MonitorPort::Loop { port: 41000 }));
    assert_eq!((line.host.as_str(), line.no_command), ("host", true));
    assert_eq!(forwards(&line), ["local 1:h:2"]);
}

#[test]
fn letters_cluster_and_values_are_attached_or_follow() {
    for line in
        ["-fNL8080:foo:80 -M0 h", "-NfL8080:foo:80 -M 0 h", "-fNTM 0 -L 8080:foo:80 h", "-M 0 -f -N -L8080:foo:80 h"]
    {
        let read = tunnel(line);
        assert!(read.background && read.no_command, "{line}");
        assert_eq!(forwards(&read), ["local 8080:foo:80"], "{line}");
        assert_eq!(read.monitor, Some(MonitorPort::Off), "{line}");
    }
    assert_eq!(tunnel("-NM 41000 -D1080 h").monitor, Some(MonitorPort::Loop { port: 41000 }));
    assert_eq!(tunnel("-M 1000 -M 2000:7 -N h").monitor, Some(MonitorPort::Echo { port: 2000, echo: 7 }));
}

#[test]
fn jump_host_interface_and_tag_take_their_arguments() {
    let line = tunnel("-M 0 -J jump -N host -B eth0 -P tag");
    assert_eq!(line.settings, [keyword("ProxyJump", "jump"), keyword("BindInterface", "eth0"), keyword("Tag", "tag")]);
    assert_eq!(line.host, "host");
    assert_eq!(tunnel("-M0 -Jjump -N host").settings, [keyword("ProxyJump", "jump")]);
    assert_eq!(errors("-N -J a -J b h"), ["only one -J can be used: write the jump hosts with commas"]);
}

#[test]
fn a_destination_has_the_forms_of_ssh() {
    for (text, host, settings) in [
        ("h", "h", vec![]),
        ("u@h", "h", vec![keyword("User", "u")]),
        ("DOM\\\\u@a@h", "h", vec![keyword("User", "DOM\\u@a")]),
        ("ssh://u@h:2222", "h", vec![keyword("User", "u"), keyword("Port", "2222")]),
        ("ssh://[::1]:22/", "::1", vec![keyword("Port", "22")]),
        ("::1", "::1", vec![]),
        ("-l a b@h", "h", vec![keyword("User", "a"), keyword("User", "b")]),
    ] {
        let line = tunnel(&format!("-N {text}"));
        assert_eq!((line.host.as_str(), line.settings), (host, settings), "{text}");
    }
    for text in ["@h", "u@", "ssh://h:0", "ssh://h:x", "'a b'", "-- -- -x"] {
        assert!(errors(&format!("-N {text}"))[0].contains("is not a destination"), "{text}");
    }
}

#[test]
fn the_first_dashes_end_autosshs_own_options_and_the_second_all() {
    let line = tunnel("-M 0 -- -N -M -L 1:h:2 host");
    assert_eq!(line.monitor, Some(MonitorPort::Off));
    assert!(line.no_command);
    assert_eq!(line.notes.len(), 1);
    assert_eq!(tunnel("-M 0 -- host").host, "host");
}

#[test]
fn a_remote_command_or_a_terminal_is_refused_and_left_alone() {
    assert!(errors("-M 0 host tail -n 3 -f /x")[0].starts_with("the remote command `tail -n 3 -f /x` is not run"));
    assert!(errors("-M 0 host cmd -V")[0].contains("`cmd -V`"));
    assert!(errors("-M 0 host cmd --flag")[0].contains("`cmd --flag`"));
    for line in ["-M 0 -N host sleep 60", "-M 0 host -N sleep 60"] {
        assert_eq!(tunnel(line).notes, ["the remote command `sleep 60` is not run: -N is given"], "{line}");
    }
    assert!(errors("-M 0 host sleep 60 -N")[0].contains("`sleep 60 -N`"), "words of the command are no options");
    assert!(errors("-M 0 -t host")[0].starts_with("-t cannot be used"));
    assert!(tunnel("-M 0 -N -t host").no_command);
}

#[test]
fn what_cannot_be_followed_is_refused_by_name_all_at_once() {
    assert_eq!(errors("-1 -w 0:0:0 -W h:1 -I x -s -O check -Q cipher -G h").len(), 8);
    assert!(errors("-w tun0 h")[0].contains("`tun0` is not a tunnel device"));
}

#[test]
fn tunnel_device_is_point_to_point_unless_tunnel_is_said_before() {
    let settings = |line: &str| tunnel(line).settings;
    let (mode, units) = (keyword("Tunnel", "point-to-point"), keyword("TunnelDevice", "0:1"));
    assert_eq!(settings("-N -w 0:1 h"), [mode.clone(), units.clone()]);
    let before = ArgvSetting::Line("Tunnel=ethernet".into());
    assert_eq!(settings("-N -o Tunnel=ethernet -w0:1 h"), [before, mode, units]);
}

#[test]
fn what_has_no_effect_is_told() {
    let line = tunnel("-2aAkKnTxXyY -e none -S /path -vvq -N h");
    assert_eq!(line.notes.len(), 7, "{:?}", line.notes);
    assert!(tunnel("-S none -N h").notes.is_empty());
}

#[test]
fn the_first_v_is_debug_and_q_is_quiet_until_then() {
    for (line, want) in [
        ("-N h", None),
        ("-q -N h", Some(LogLevel::Quiet)),
        ("-v -N h", Some(LogLevel::Debug1)),
        ("-vv -N h", Some(LogLevel::Debug2)),
        ("-vvvvv -N h", Some(LogLevel::Debug3)),
        ("-qv -N h", Some(LogLevel::Debug1)),
        ("-vq -N h", Some(LogLevel::Quiet)),
        ("-vqv -N h", Some(LogLevel::Fatal)),
    ] {
        assert_eq!(tunnel(line).log_level, want, "{line}");
    }
}

#[test]
fn getopt_speaks_where_words_cannot_be_cut() {
    assert_eq!(errors("-M 0 -Z h"), ["invalid option -- 'Z'"]);
    assert_eq!(errors("--help"), ["invalid option -- '-'"]);
    assert_eq!(errors("-h"), ["invalid option -- 'h'"]);
    assert_eq!(errors("-M 0 h -L"), ["option requires an argument -- 'L'"]);
    assert_eq!(errors("-M 0 -N"), ["no host is named"]);
    assert_eq!(errors(""), ["no host is named"]);
    assert_eq!(read("host -V"), Ok(ParsedArgv::Version));
    assert_eq!(read("-NV host"), Ok(ParsedArgv::Version));
}

#[test]
fn forwards_take_variables_and_say_what_is_wrong() {
    let line = tunnel("-N -L ${PORT}:h:80 -L 8080:h:80 -R 0:h:1 -R 1080 -D *:1080 -R '[::1]:1:h:2' h");
    assert_eq!(
        forwards(&line),
        ["local 8080:h:80", "remote 0:h:1", "remote 1080", "dynamic *:1080", "remote [::1]:1:h:2"]
    );
    assert!(errors("-N -L ${NOPE}:h:80 h")[0].starts_with("bad forward `-L ${NOPE}:h:80`"));
    assert!(errors("-N -L 8080 h")[0].contains("this is not a local forward"));
    for two_words in ["-L '8080 h:80'", "-R '8080 h:80'", "-D '8080 h'", "-R '8080:h:80 '"] {
        assert!(errors(&format!("-N {two_words} h"))[0].contains(" forward; write "), "{two_words}: as ssh");
    }
    assert_eq!(forwards(&tunnel("-N -R '/run/a b:h:80' h")), ["remote /run/a\\ b:h:80"], "as ssh");
    assert_eq!(forwards(&tunnel("-N -L ' 8080:h:80' -o 'LocalForward=8081 h:80' h")), ["local 8080:h:80"]);
}

#[test]
fn sshs_own_line_knows_no_monitor_port() {
    let Ok(ParsedArgv::Tunnel(line)) = parse(&words("-fnNT -R 2222:localhost:22 host"), Dialect::Ssh, &|_| None) else {
        panic!("a tunnel");
    };
    assert!(line.background && line.no_command);
    assert_eq!(forwards(&line), ["remote 2222:localhost:22"]);
}
