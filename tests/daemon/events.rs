//! `tunneld events`: what happened, in order, with causes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::daemon::{any_forward, command, said};
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// A client that follows, and what it has printed so far.
struct Follower {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Follower {
    fn of(daemon: &Daemon, arguments: &[&str]) -> Self {
        let mut follow: Command = command();
        follow.args(["events", "--json", "--follow"]).args(arguments);
        follow.arg("--control-socket").arg(daemon.dir().join("control.sock"));
        let mut child = follow.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("tunneld runs");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, lines }
    }

    /// The next event that is wanted; those before it are passed over.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("a line") > 0, "the events end");
            let event = serde_json::from_str(&line).expect("an object a line");
            if wanted(&event) {
                return event;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn events(daemon: &Daemon, arguments: &[&str]) -> Vec<Value> {
    let output = daemon.cli(&[&["events", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn named<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

#[test]
fn cut_and_recovery_are_told_in_order_with_their_causes_and_live() {
    let sshd = Sshd::start();
    let (a, b) = (tunnel_toml("a", &sshd, &any_forward(&sshd)), tunnel_toml("b", &sshd, &any_forward(&sshd)));
    let mut daemon = Daemon::start(&format!("{a}{b}"));
    daemon.wait_ready("a");
    daemon.wait_ready("b");
    let mut follower = Follower::of(&daemon, &["a"]);
    follower.until(|event| event["event"] == "ready" && event["tunnel"] == "a");

    sshd.kill_sessions();
    let lost = follower.until(|event| event["event"] == "not_ready");
    assert_eq!((named(&lost, "tunnel"), named(&lost, "phase")), ("a", "connecting"), "{lost}");
    assert!(["connection_lost", "closed_by_server"].contains(&named(&lost, "kind")), "{lost}");
    follower.until(|event| event["event"] == "ready" && event["tunnel"] == "a");

    let told = events(&daemon, &["a"]);
    assert_eq!(named(&told[0], "event"), "started");
    let story: Vec<_> = told[1..]
        .iter()
        .map(|event| if event["event"] == "phase" { named(event, "phase") } else { named(event, "event") })
        .collect();
    let once = ["connecting", "up", "ready"];
    assert_eq!(story, [&once[..], &["connecting", "not_ready", "up", "ready"]].concat(), "{told:#?}");
    assert!(told.iter().all(|event| event["tunnel"] != "b"));
    assert_eq!(told[4]["kind"], lost["kind"], "the phase has the cause, too");

    assert_eq!(daemon.cli(&["restart", "a"]).status.code(), Some(0));
    let order = follower.until(|event| event["event"] == "order");
    assert!(named(&order, "message").starts_with("restart"), "{order}");
    let restarted = follower.until(|event| event["event"] == "not_ready");
    assert_eq!((restarted["kind"].as_str(), named(&restarted, "message")), (None, "restarted by an operator"));

    daemon.signal(Signal::SIGTERM);
    follower.until(|event| event["event"] == "stopping");
    assert!(daemon.wait().success());
    let ended = eventually("the follower ends", || follower.child.try_wait().expect("a child"));
    assert_eq!(ended.code(), Some(3));
}

#[test]
fn reloads_are_told_with_what_they_did_or_why_they_were_refused() {
    let sshd = Sshd::start();
    let a = tunnel_toml("a", &sshd, &any_forward(&sshd));
    let daemon = Daemon::start(&a);
    daemon.wait_ready("a");
    daemon.write_config(&format!("{a}{}", tunnel_toml("b", &sshd, &any_forward(&sshd))));
    assert!(daemon.cli(&["reload"]).status.success());
    daemon.write_config(&format!("{a}hosst = \"x\"\n"));
    assert_eq!(daemon.cli(&["reload"]).status.code(), Some(78));
    let told = events(&daemon, &[]);
    let of = |name| told.iter().find(|event| event["event"] == name).map(|event| named(event, "message").to_owned());
    assert_eq!(of("reloaded").as_deref(), Some("generation 2: start b"));
    let refused = of("reload_refused").expect("it is told");
    assert!(refused.starts_with("nothing has changed: ") && refused.contains("hosst"), "{refused}");
    assert!(events(&daemon, &["--since", "0"]).is_empty(), "all of that was before");
    let unknown = daemon.cli(&["events", "aa"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("did you mean `a`"), "{}", said(&unknown));
}
