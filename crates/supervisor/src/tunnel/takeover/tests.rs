//! Takeovers against a server in memory whose shell the test plays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tunnel_engine::clock;
use tunnel_engine::demo_server::{HeldPort, Server, Target};
use tunnel_engine::task;

use crate::config::OnRemotePortBusy;
use crate::lifecycle::Phase;
use crate::tunnel::test_support::{TestTunnel, tunnel_spec};
use crate::tunnel::{ForwardState, Order, TunnelView};

/// What the shell was asked, by its arguments.
type ShellArguments = Arc<Mutex<Vec<String>>>;

/// Plays the shell of every command: marks are set, and releases answered with `answer`.
fn shell(server: &Server, answer: impl FnMut() -> String + Send + 'static) -> ShellArguments {
    let (put, mut take) = mpsc::channel(8);
    server.set_target("exec", Target::Hand(put));
    let (asked, answer) = (ShellArguments::default(), Arc::new(Mutex::new(answer)));
    let noted = asked.clone();
    task::detached(async move {
        while let Some(stream) = take.recv().await {
            let (noted, answer) = (noted.clone(), answer.clone());
            task::detached(async move { play(stream, &noted, &answer).await });
        }
    });
    asked
}

async fn play(stream: DuplexStream, asked: &ShellArguments, answer: &Mutex<impl FnMut() -> String>) {
    let mut stream = BufReader::new(stream);
    let mut command = String::new();
    stream.read_line(&mut command).await.unwrap();
    let arguments = command.trim().strip_prefix("exec /bin/sh -s -- ").unwrap().to_owned();
    let marks = arguments.starts_with("tunneld:");
    asked.lock().unwrap().push(arguments);
    let line = if marks { "mark".to_owned() } else { (answer.lock().unwrap())() };
    stream.write_all(format!("motd\ntunneld: {line}\n").as_bytes()).await.unwrap();
    // The rest of the script, and then the end of the channel.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
}

fn releases(asked: &ShellArguments) -> Vec<String> {
    asked.lock().unwrap().iter().filter(|arguments| !arguments.starts_with("tunneld:")).cloned().collect()
}

fn taking_over() -> crate::config::TunnelSpec {
    let mut spec = tunnel_spec("t", &["R7000:localhost:1"]);
    spec.on_remote_port_busy = OnRemotePortBusy::Takeover;
    spec
}

fn down(view: &TunnelView) -> Option<String> {
    match &view.forwards[0].state {
        ForwardState::Down(failure) => Some(failure.message().to_owned()),
        ForwardState::Pending | ForwardState::Up | ForwardState::Stale(_) | ForwardState::Unverified(_) => None,
    }
}

/// The port's holder, until the shell ends it.
fn holder(server: &Server) -> Arc<Mutex<Option<HeldPort>>> {
    Arc::new(Mutex::new(server.hold_port(7000)))
}

#[tokio::test(start_paused = true)]
async fn port_of_an_earlier_session_is_ours_at_once() {
    let mut rig = TestTunnel::started(taking_over());
    let held = holder(&rig.server);
    let asked = shell(&rig.server, move || {
        held.lock().unwrap().take();
        "freed 4711".to_owned()
    });
    let began = clock::now();
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - began < Duration::from_secs(1));
    let all = asked.lock().unwrap().clone();
    let mark = all.iter().find(|arguments| arguments.starts_with("tunneld:")).unwrap();
    let release = releases(&asked).pop().unwrap();
    let (kind, number) = mark.rsplit_once(':').unwrap();
    assert_eq!(release, format!("1B58 {kind} {number}"), "port 7000, the tunnel, and the session that lives");
    assert_eq!(rig.server.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_holder_is_named_and_asked_for_rarely() {
    let mut rig = TestTunnel::started(taking_over());
    let _held = holder(&rig.server);
    let asked = shell(&rig.server, || "several 3".to_owned());
    let view = rig.until("down", |view| down(view).is_some_and(|message| message.contains("takeover"))).await;
    assert!(down(&view).unwrap().contains("3 sessions of this user could hold it"), "{:?}", down(&view));
    let requests = rig.server.counts().forward_requests;
    tokio::time::sleep_until((clock::now() + Duration::from_secs(60)).into()).await;
    assert!(rig.server.counts().forward_requests >= requests + 50, "the request goes on each second");
    assert!(releases(&asked).len() <= 3, "{:?}", releases(&asked));
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_free_port_is_the_servers_policy() {
    let mut rig = TestTunnel::started(taking_over());
    rig.server.set_faults(|faults| faults.deny_forwards = true);
    let asked = shell(&rig.server, || "free".to_owned());
    let view = rig.until("down", |view| down(view).is_some_and(|message| message.contains("policy"))).await;
    assert!(view.forwards[0].message.as_ref().unwrap().contains("PermitListen"));
    assert_eq!(releases(&asked).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rivals_for_a_port_stop_taking_it_over() {
    let mut rig = TestTunnel::started(taking_over());
    let _held = holder(&rig.server);
    let asked = shell(&rig.server, || "freed 1".to_owned());
    rig.until("down", |view| down(view).is_some()).await;
    tokio::time::sleep_until((clock::now() + Duration::from_secs(55)).into()).await;
    assert_eq!(releases(&asked).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn login_without_a_shell_asks_each_second() {
    let mut rig = TestTunnel::started(taking_over());
    let held = holder(&rig.server);
    let view = rig.until("down", |view| down(view).is_some()).await;
    assert_eq!(view.phase, Phase::Up);
    held.lock().unwrap().take();
    rig.until("ready", |view| view.ready).await;
    assert_eq!(rig.server.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn shell_that_was_slow_once_is_asked_again() {
    let mut rig = TestTunnel::started(taking_over());
    let held = holder(&rig.server);
    rig.server.set_target("exec", Target::Hang);
    let view = rig.until("down", |view| down(view).is_some_and(|message| message.contains("within 20 s"))).await;
    assert_eq!(view.phase, Phase::Up);
    let asked = shell(&rig.server, move || {
        held.lock().unwrap().take();
        "freed 4711".to_owned()
    });
    let began = clock::now();
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - began < Duration::from_secs(60));
    assert_eq!(releases(&asked).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn operator_has_a_ruled_out_takeover_tried_at_once() {
    let mut rig = TestTunnel::started(taking_over());
    let held = holder(&rig.server);
    let has_shell = Arc::new(AtomicBool::new(false));
    let able = has_shell.clone();
    let asked = shell(&rig.server, move || {
        if !able.load(Ordering::Relaxed) {
            return "unsupported there is no /proc/net/tcp".to_owned();
        }
        held.lock().unwrap().take();
        "freed 4711".to_owned()
    });
    rig.until("down", |view| down(view).is_some()).await;
    tokio::time::sleep_until((clock::now() + Duration::from_secs(60)).into()).await;
    assert_eq!(releases(&asked).len(), 1, "it is ruled out");
    has_shell.store(true, Ordering::Relaxed);
    let began = clock::now();
    rig.order(Order::RetryNow);
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - began < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn exit_on_forward_failure_tries_the_takeover_first() {
    let mut spec = taking_over();
    spec.exit_on_forward_failure = true;
    let mut rig = TestTunnel::started(spec);
    let held = holder(&rig.server);
    let _asked = shell(&rig.server, move || {
        held.lock().unwrap().take();
        "freed 4711".to_owned()
    });
    let view = rig.until("ready", |view| view.ready).await;
    assert_eq!(view.starts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_port_is_taken_over_too() {
    let mut rig = TestTunnel::started(taking_over());
    rig.server.set_target("127.0.0.1", Target::Hang);
    let asked = shell(&rig.server, || "freed 4711".to_owned());
    rig.until("stale", |view| matches!(view.forwards[0].state, ForwardState::Stale(_))).await;
    let next = |view: &TunnelView| view.status(clock::now()).forwards[0].message.clone().unwrap_or_default();
    rig.until("next look", |view| next(view).contains("; it is looked at again in ")).await;
    rig.server.clear_target("127.0.0.1");
    rig.until("ready", |view| view.ready).await;
    assert_eq!(releases(&asked).len(), 1);
}
