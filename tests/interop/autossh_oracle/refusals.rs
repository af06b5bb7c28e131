//! What is wrong with a command line or the environment, and what ends before it has begun.

use std::process::Output;

use support::autossh::{Autossh, words};
use support::net::free_port;

use super::{same, to_its_end};

fn outputs(environment: &[(&str, &str)], line: &[String]) -> [Output; 2] {
    [Autossh::original(), Autossh::new()].map(|autossh| {
        let autossh = autossh.with_all(environment);
        autossh.command(line).output().expect("it runs")
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_version_is_printed_wherever_it_is_asked_for() {
    for line in ["-V", "-M 0 -V", "-M 0 -V host", "host -V", "-NV -M 0 host"] {
        let [theirs, ours] = outputs(&[], &words(line));
        assert_eq!((ours.status.code(), theirs.status.code()), (Some(0), Some(0)), "{line}");
        assert_eq!(text(&theirs.stdout), "autossh 1.4g\n");
        // Ours says what it is, behind the words that are looked for.
        assert!(text(&ours.stdout).starts_with("autossh 1.4g (tunneld "), "{line}: {}", text(&ours.stdout));
    }
}

#[test]
fn a_line_that_cannot_be_cut_gets_the_words_of_getopt_and_a_usage() {
    for line in ["", "-M 0", "-M 0 -N", "-M", "-M 0 -Z host", "-h", "--help", "-M 0 --nonsense host", "-M 0 host -p"] {
        let [theirs, ours] = outputs(&[], &words(line)).map(|output| {
            let said = text(&output.stderr);
            let usage = said.lines().find(|line| line.starts_with("usage: ")).map(str::to_owned);
            // The program's own path stands in front of it there.
            let option = |line: &str| line.split_once(": ").map(|(_, text)| text.to_owned());
            let getopt = said.lines().filter(|line| line.contains(" -- '")).find_map(option);
            (output.status.code(), getopt, usage.map(|usage| usage.split('[').take(4).collect::<String>()))
        });
        assert_eq!(ours, theirs, "{line}: ours on the left");
        assert_eq!(theirs.0, Some(1));
    }
}

#[test]
fn a_monitor_port_that_is_none_is_refused_in_the_log() {
    for port in ["99999", "65535", "-3", "port", "1.5", "0x", "41000:", "41000:echo", "41000:0"] {
        let story = same(&[], |autossh| to_its_end(autossh, &format!("-M {port} -N -L 1:h:2 127.0.0.1")));
        assert_eq!(story.len(), 1, "{port}: {story:?}");
        let by_environment = same(&[("AUTOSSH_PORT", port)], |autossh| to_its_end(autossh, "-N -L 1:h:2 127.0.0.1"));
        assert_eq!(by_environment, story, "{port}");
    }
    assert_eq!(same(&[], |autossh| to_its_end(autossh, "-M -N host")), ["invalid port \"-N\""]);
    // Where the line says one, the variable is ignored.
    let line = format!("-M 0 -N -F none -p {} -D {} 127.0.0.1", free_port(), free_port());
    same(&[("AUTOSSH_PORT", "99999"), ("AUTOSSH_MAXSTART", "1")], |autossh| to_its_end(autossh, &line));
}

/// Theirs says it to syslog alone (tests/netns has that); ours at the terminal too, which was missed most (B8).
#[test]
fn b8_a_bad_variable_ends_both_with_1_and_ours_says_why_at_the_terminal() {
    let long = "x".repeat(65);
    for (name, value, says) in [
        ("AUTOSSH_POLL", "0", "invalid poll time \"0\""),
        ("AUTOSSH_POLL", "", "invalid poll time \"\""),
        ("AUTOSSH_POLL", "1m", "invalid poll time \"1m\""),
        ("AUTOSSH_FIRST_POLL", "x", "invalid first poll time \"x\""),
        ("AUTOSSH_FIRST_POLL", "0", "invalid first poll time \"0\""),
        ("AUTOSSH_GATETIME", "-1", "invalid gate time \"-1\""),
        ("AUTOSSH_GATETIME", "1.5", "invalid gate time \"1.5\""),
        ("AUTOSSH_GATETIME", "", "invalid gate time \"\""),
        ("AUTOSSH_MAXSTART", "-2", "invalid max start number \"-2\""),
        ("AUTOSSH_MAXSTART", "x", "invalid max start number \"x\""),
        ("AUTOSSH_MAXLIFETIME", "1d", "invalid max lifetime \"1d\""),
        ("AUTOSSH_LOGLEVEL", "8", "invalid log level \"8\""),
        ("AUTOSSH_LOGLEVEL", "abc", "invalid log level \"abc\""),
        ("AUTOSSH_MESSAGE", &long, "echo message may only be 64 bytes long"),
        ("AUTOSSH_LOGFILE", "", "cannot open log file"),
        ("AUTOSSH_LOGFILE", "/nonexistent/log", "cannot open log file"),
    ] {
        let [theirs, ours] = outputs(&[(name, value)], &words("-M 0 -N -F none -p 1 -L 1:h:2 127.0.0.1"));
        assert_eq!((ours.status.code(), theirs.status.code()), (Some(1), Some(1)), "{name}={value}");
        assert_eq!(text(&theirs.stderr), "", "{name}={value}");
        assert!(text(&ours.stderr).contains(says), "{name}={value}: {}", text(&ours.stderr));
    }
}

#[test]
fn an_empty_variable_is_none_where_it_is_none_to_autossh() {
    let line = format!("-M 0 -N -F none -p {} -D {} 127.0.0.1", free_port(), free_port());
    for name in ["AUTOSSH_PORT", "AUTOSSH_MESSAGE"] {
        let story = same(&[(name, ""), ("AUTOSSH_MAXSTART", "1")], |autossh| to_its_end(autossh, &line));
        assert_eq!(story.last().map(String::as_str), Some("max start count reached; exiting"), "{name}");
    }
}

#[test]
fn a_pidfile_that_cannot_be_made_ends_it_before_the_first_start() {
    let story = same(&[("AUTOSSH_PIDFILE", "/nonexistent/pid")], |autossh| {
        to_its_end(autossh, "-M 0 -N -F none -p 1 -L 1:h:2 127.0.0.1")
    });
    let want =
        ["port set to 0, monitoring disabled", "cannot open pid file \"/nonexistent/pid\": No such file or directory"];
    assert_eq!(story, want);
}

/// B14 (a): a port in use is not taken over.
#[test]
fn b14_a_monitor_port_that_is_taken_here_ends_it_with_the_words_of_bind() {
    let (port, held) = loop {
        let port = free_port();
        let below = port.wrapping_sub(1);
        if let Ok(held) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            break (below, held);
        }
    };
    let story = same(&[], |autossh| to_its_end(autossh, &format!("-M {port} -N -F none -p 1 -D 1 127.0.0.1")));
    assert_eq!(story, [format!("bind on 127.0.0.1:{}: Address already in use", port + 1)]);
    drop(held);
}

#[test]
fn no_start_at_all_is_a_limit_too() {
    let story =
        same(&[("AUTOSSH_MAXSTART", "0")], |autossh| to_its_end(autossh, "-M 0 -N -F none -p 1 -D 1 127.0.0.1"));
    assert_eq!(story.last().map(String::as_str), Some("max start count reached; exiting"));
}
