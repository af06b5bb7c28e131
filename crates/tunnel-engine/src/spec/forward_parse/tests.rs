//! Every form of a forward that ssh takes, and every one that it refuses.

use proptest::prelude::*;

use super::*;

fn read(kind: ForwardKind, text: &str) -> String {
    match Forward::parse(kind, text) {
        Ok(forward) => format!("{} -> {}", forward.listen, forward.connect),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn local_forwards_are_read_as_by_ssh() {
    for (text, want) in [
        ("3307:127.0.0.1:3306", "3307 -> 127.0.0.1:3306"),
        ("127.0.0.1:3307:db:3306", "127.0.0.1:3307 -> db:3306"),
        (":8080:web:80", "*:8080 -> web:80"),
        ("*:8080:web:80", "*:8080 -> web:80"),
        ("[]:8080:web:80", "*:8080 -> web:80"),
        ("localhost:8080:web:80", "localhost:8080 -> web:80"),
        ("[::1]:5432:[fe80::1%eth0]:5432", "[::1]:5432 -> [fe80::1%eth0]:5432"),
        ("/run/app.sock:/var/run/docker.sock", "/run/app.sock -> /var/run/docker.sock"),
        ("/run/app.sock:web:80", "/run/app.sock -> web:80"),
        ("8080:/run/x", "8080 -> /run/x"),
        ("h:8080:./x", "h:8080 -> ./x"),
        ("[/a:b]:web:80", "/a\\:b -> web:80"),
        ("/a\\:b:web:80", "/a\\:b -> web:80"),
        ("  +080:web:0443 ", "80 -> web:443"),
        ("3307:db:mysql", "3307 -> db:3306"),
        ("[::1]:http db:ssh", "[::1]:80 -> db:22"),
        ("192.168.1.5:8080 intranet:80", "192.168.1.5:8080 -> intranet:80"),
        ("8080\t /run/x", "8080 -> /run/x"),
        ("/run/a\\ b:web:80", "/run/a\\ b -> web:80"),
    ] {
        assert_eq!(read(ForwardKind::Local, text), want, "{text}");
    }
}

/// Each run of fields was once looked at, whatever its length: a text of this length took hours.
#[test]
fn long_row_of_fields_is_refused_at_once() {
    let text = ":z".repeat(10_000);
    assert_eq!(Forward::parse(ForwardKind::Local, &text), Err(ForwardParseError::Shape(ForwardKind::Local)));
    let address = "fe80:1:2:3:4:5:6:7";
    let error = Forward::parse(ForwardKind::Local, address).unwrap_err();
    assert_eq!(error, ForwardParseError::BareIpv6(address.parse().unwrap()));
}

#[test]
fn remote_forward_may_be_socks_or_have_port_zero() {
    for (text, want) in [
        ("2222:localhost:22", "2222 -> localhost:22"),
        ("0:localhost:22", "0 -> localhost:22"),
        ("*:0 localhost:22", "*:0 -> localhost:22"),
        ("1080", "1080 -> socks"),
        ("0", "0 -> socks"),
        ("h:80", "h:80 -> socks"),
        ("/run/s", "/run/s -> socks"),
        ("/run/s:/run/t", "/run/s -> /run/t"),
        ("80:/run/t", "80 -> /run/t"),
    ] {
        assert_eq!(read(ForwardKind::Remote, text), want, "{text}");
    }
}

/// What `ssh -G` takes and refuses after `-L` and `-R`.
#[test]
fn a_blank_in_an_argument_parts_nothing() {
    let read = |text| Forward::parse_argument(ForwardKind::Remote, text).map(|forward| forward.to_string());
    for (text, want) in [
        (" 2222:h:22", "2222:h:22"),
        ("/run/a b:h:22", "/run/a\\ b:h:22"),
        ("/run/a\\ b:/run/c d", "/run/a\\ b:/run/c\\ d"),
        ("[/run/a b]:h:22", "/run/a\\ b:h:22"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(want), "{text}");
    }
    for text in [
        "2222 h:22",
        "2222:h:22 ",
        "2222 :h:22",
        "2222: h:22",
        "127.0.0.1:2222 h:22",
        "2222 h:22 x",
        "[::1] :1:h:2",
        " ",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn a_dynamic_forward_is_only_a_listen_address() {
    for (text, want) in [
        ("1080", "1080 -> socks"),
        ("127.0.0.1:1080", "127.0.0.1:1080 -> socks"),
        ("[::1]:1080", "[::1]:1080 -> socks"),
        (":1080", "*:1080 -> socks"),
        ("/run/socks", "/run/socks -> socks"),
        ("1080 h:80", "error: a dynamic forward has no connect address"),
        ("1080:h:80", "error: this is not a dynamic forward"),
    ] {
        assert_eq!(read(ForwardKind::Dynamic, text), want, "{text}");
    }
}

#[test]
fn what_ssh_refuses_is_refused_with_the_reason() {
    let too_long = format!("/{}:h:80", "x".repeat(107));
    for (text, want) in [
        ("", "the forward is empty"),
        (" ", "the forward is empty"),
        (":", "this is not a local forward"),
        ("8080:80", "this is not a local forward"),
        ("h:80", "this is not a local forward"),
        ("/tmp/s", "this is not a local forward"),
        ("/tmp/s:80", "this is not a local forward"),
        ("/tmp/s:80:h:80", "this is not a local forward"),
        ("1:2:3:4:5", "this is not a local forward"),
        ("8080 web 80", "a forward has at most two words: where it listens, and where it connects to"),
        ("::1:8080:h:80", "the IPv6 address `::1` needs brackets"),
        ("8080:fe80::1:80", "the IPv6 address `fe80::1` needs brackets"),
        ("8080 ::1:80", "the IPv6 address `::1` needs brackets"),
        ("[::1:8080:h:80", "a `[` must be closed by `]`, followed by `:` or the end"),
        ("[::1]8080:h:80", "a `[` must be closed by `]`, followed by `:` or the end"),
        ("[a:b]:1:h:80", "`a:b` is not a host name or address"),
        ("8080:-h:80", "`-h` is not a host name or address"),
        ("8080:h:80\\", "a backslash at the end stands for nothing"),
        ("99999:h:80", "`99999` is not a port"),
        ("-1:h:80", "`-1` is not a port"),
        ("8080:h:no-such", "`no-such` is not a port: no service of that name is in /etc/services"),
        ("0:h:80", "a forward that listens on this machine cannot have port 0"),
        ("8080:h:0", "port 0 cannot be connected to"),
        ("8080::80", "the host to connect to is empty"),
        (too_long.as_str(), &format!("the path of the unix socket is longer than 107 bytes: `/{}`", "x".repeat(107))),
    ] {
        assert_eq!(read(ForwardKind::Local, text), format!("error: {want}"), "{text}");
    }
}

#[test]
fn the_two_ends_of_a_table_are_read_alone() {
    let kind = ForwardKind::Local;
    assert_eq!(Listen::parse(kind, "80"), Ok(Listen::Tcp { bind: Bind::Default, port: 80 }));
    assert_eq!(Listen::parse(kind, "80 81"), Err(ForwardParseError::TooManyWords));
    assert_eq!(Listen::parse(kind, "80:h:80"), Err(ForwardParseError::Shape(kind)));
    assert_eq!(Listen::parse(kind, ""), Err(ForwardParseError::Empty));
    assert_eq!(Connect::parse(kind, "h:80"), Ok(Connect::Tcp { host: "h".into(), port: 80 }));
    assert_eq!(Connect::parse(kind, "/s"), Ok(Connect::Unix("/s".into())));
    assert_eq!(Connect::parse(kind, "80"), Err(ForwardParseError::Shape(kind)));
}

fn kinds() -> impl Strategy<Value = ForwardKind> {
    prop_oneof![Just(ForwardKind::Local), Just(ForwardKind::Remote), Just(ForwardKind::Dynamic)]
}

fn hosts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9.-]{0,20}",
        any::<std::net::Ipv4Addr>().prop_map(|a| a.to_string()),
        any::<Ipv6Addr>().prop_map(|a| a.to_string()),
    ]
}

fn paths() -> impl Strategy<Value = PathBuf> {
    r"[^/\pC]{0,10}/[^\pC]{0,15}".prop_map(PathBuf::from)
}

prop_compose! {
    fn forwards()(kind in kinds())(
        listen in prop_oneof![
            (prop_oneof![Just(Bind::Default), Just(Bind::Any), hosts().prop_map(Bind::Address)],
             u16::from(kind != ForwardKind::Remote)..).prop_map(|(bind, port)| Listen::Tcp { bind, port }),
            paths().prop_map(Listen::Unix),
        ],
        connect in prop_oneof![
            (hosts(), 1u16..).prop_map(|(host, port)| Connect::Tcp { host, port }),
            paths().prop_map(Connect::Unix),
        ],
        socks in any::<bool>(),
        kind in Just(kind),
    ) -> Forward {
        let socks = kind == ForwardKind::Dynamic || (kind == ForwardKind::Remote && socks);
        Forward { kind, listen, connect: if socks { Connect::Socks } else { connect }, max_connections: None }
    }
}

proptest! {
    #[test]
    fn what_a_forward_prints_parses_back_to_it(forward in forwards()) {
        prop_assert_eq!(Forward::parse(forward.kind, &forward.to_string()), Ok(forward));
    }

    #[test]
    fn any_text_is_refused_or_prints_back(kind in kinds(), text in r"[a-z0-9:/\[\]\\* ]{0,24}") {
        if let Ok(forward) = Forward::parse(kind, &text) {
            prop_assert_eq!(Forward::parse(kind, &forward.to_string()), Ok(forward));
        }
    }
}
