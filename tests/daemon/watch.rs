//! `status --watch` at a terminal: the live screen, its keys, and every way out of it.

use std::process::Command;

use nix::sys::signal::Signal;
use support::daemon::{any_forward, command};
use support::pty::Terminal;
use support::{Daemon, Sshd, eventually, tunnel_toml};

const COLUMNS: u16 = 100;
const ROWS: u16 = 20;

fn two_tunnels(sshd: &Sshd) -> Daemon {
    let config = ["web-db", "mail"].map(|name| tunnel_toml(name, sshd, &any_forward(sshd))).concat();
    let daemon = Daemon::start(&config);
    daemon.wait_ready("web-db");
    daemon.wait_ready("mail");
    daemon
}

fn watch(daemon: &Daemon) -> Command {
    let mut command = command();
    command.args(["status", "--watch", "--control-socket"]).arg(daemon.dir().join("control.sock"));
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    command
}

fn shows(terminal: &Terminal, what: &str, wanted: impl Fn(&str) -> bool) {
    eventually(what, || wanted(&terminal.picture(COLUMNS, ROWS)).then_some(()));
}

#[test]
fn keys_select_filter_open_and_restart() {
    let sshd = Sshd::start();
    let daemon = two_tunnels(&sshd);
    let mut terminal = Terminal::sized(&watch(&daemon), COLUMNS, ROWS);
    shows(&terminal, "both tunnels", |text| {
        text.contains("> web-db") && text.contains("mail") && text.contains("2 of 2 ready")
    });
    assert!(terminal.is_alternate() && !terminal.is_cooked());
    terminal.press("/mail\r");
    shows(&terminal, "the filtered list", |text| text.contains("> mail") && !text.contains("web-db"));
    terminal.press("r");
    shows(&terminal, "the question", |text| text.contains("restart mail? y: yes"));
    assert_eq!(daemon.tunnel("mail").expect("a status")["starts"], 1, "one key restarts nothing");
    terminal.press("y");
    daemon.wait_for("mail", "restarted", |tunnel| tunnel["starts"] == 2 && tunnel["ready"] == true);
    assert_eq!(daemon.tunnel("web-db").expect("a status")["starts"], 1);
    terminal.press("\r");
    shows(&terminal, "all about it", |text| text.contains("key exchange") && text.contains("SHA256:"));
    terminal.press("l");
    shows(&terminal, "its log", |text| text.contains("info: "));
    terminal.press("\x1b");
    // A key that follows Esc at once would be one with Alt.
    shows(&terminal, "the list", |text| text.contains("> mail"));
    terminal.press("q");
    assert!(terminal.wait().success());
    eventually("the shell's screen", || (!terminal.is_alternate() && terminal.is_cooked()).then_some(()));
}

#[test]
fn a_daemon_that_goes_away_is_told_and_comes_back() {
    let sshd = Sshd::start();
    let mut daemon = two_tunnels(&sshd);
    let mut terminal = Terminal::sized(&watch(&daemon), COLUMNS, ROWS);
    shows(&terminal, "the tunnels", |text| text.contains("2 of 2 ready"));
    daemon.kill();
    shows(&terminal, "no daemon", |text| text.contains("no tunneld answers") && text.contains("web-db"));
    daemon.start_again(vec![]);
    shows(&terminal, "the tunnels again", |text| text.contains("2 of 2 ready"));
    daemon.kill();
    terminal.press("q");
    assert!(terminal.wait().success());
    eventually("the shell's screen", || (!terminal.is_alternate() && terminal.is_cooked()).then_some(()));
}

#[test]
fn signals_and_a_closed_window_end_it() {
    let sshd = Sshd::start();
    let daemon = two_tunnels(&sshd);
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut terminal = Terminal::sized(&watch(&daemon), COLUMNS, ROWS);
        shows(&terminal, "the tunnels", |text| text.contains("2 of 2 ready"));
        terminal.signal(signal);
        assert!(terminal.wait().success(), "{signal}");
        eventually("the shell's screen", || (!terminal.is_alternate() && terminal.is_cooked()).then_some(()));
    }
    let terminal = Terminal::sized(&watch(&daemon), COLUMNS, ROWS);
    shows(&terminal, "the tunnels", |text| text.contains("2 of 2 ready"));
    assert!(terminal.close().wait().success());
}

#[test]
fn a_tiny_window_and_a_dumb_terminal_are_served() {
    let sshd = Sshd::start();
    let daemon = two_tunnels(&sshd);
    let mut tiny = Terminal::sized(&watch(&daemon), 20, 5);
    eventually("a tunnel", || tiny.picture(20, 5).contains("> web-db").then_some(()));
    tiny.press("\r?l/x\x03");
    assert!(tiny.wait().success());
    let mut dumb = Terminal::sized(watch(&daemon).env("TERM", "dumb"), COLUMNS, ROWS);
    dumb.shows("2 of 2 ready", 2);
    assert!(!dumb.screen().contains('\u{1b}'), "{}", dumb.screen());
    dumb.signal(Signal::SIGTERM);
    assert!(dumb.wait().success());
}

#[test]
fn a_pipe_gets_a_line_of_json_each_second() {
    let sshd = Sshd::start();
    let daemon = two_tunnels(&sshd);
    let mut command = watch(&daemon);
    let mut running = command.arg("--json").stdout(std::process::Stdio::piped()).spawn().expect("tunneld runs");
    let output = std::io::BufReader::new(running.stdout.take().expect("its output"));
    let lines: Vec<_> = std::io::BufRead::lines(output).take(2).map(|line| line.expect("a line")).collect();
    for line in lines {
        let status: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(status["tunnels"][0]["name"], "web-db");
    }
    // Its reader is gone: that is no error.
    assert!(running.wait().expect("it ends").success());
}
