//! The daemon's task, with tunnels to a server in memory and requests as the control socket hands them over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::clock;
use tunnel_engine::demo_server::{ConnectFault, Server};
use tunnel_engine::task;

use super::*;
use crate::config::{Confine, Global, LogFormat, LogSpec, ReadOptions, TunnelSpec};
use crate::protocol::status::{Status, TunnelStatus};
use crate::protocol::{ErrorCode, PlanAction, Request, Response};
use crate::tunnel::test_support::{forward, server, tunnel_spec};

struct Daemon {
    server: Server,
    commands: mpsc::Sender<Command>,
    signals: mpsc::Sender<Signal>,
    network: mpsc::Sender<NetworkChange>,
    task: AbortOnDropHandle<Result<(), PidfileError>>,
    file: Arc<Mutex<Result<Desired, ConfigRefusal>>>,
    applied: Arc<Mutex<Vec<Desired>>>,
}

impl Daemon {
    fn start(tunnels: Vec<TunnelSpec>) -> Self {
        Self::start_as(ProcessRole::Daemon, tunnels)
    }

    fn start_as(role: ProcessRole, tunnels: Vec<TunnelSpec>) -> Self {
        let (server, desired) = (server(), desired(tunnels));
        let file = Arc::new(Mutex::new(Ok(desired.clone())));
        let applied = Arc::new(Mutex::new(Vec::new()));
        let (commands, queue) = mpsc::channel(8);
        let (signals, kernel) = mpsc::channel(8);
        let (network, changes) = mpsc::channel(1);
        let (read, told) = (file.clone(), applied.clone());
        let task = task::owned(run(Setup {
            role,
            load: Arc::new(move |_| read.lock().unwrap().clone()),
            commands: queue,
            signals: kernel,
            network: changes,
            dialer: Arc::new(server.dialer()),
            seed: 1,
            applied: Box::new(move |desired| {
                told.lock().unwrap().push(desired.clone());
                Ok(())
            }),
            ..Setup::fixed(desired)
        }));
        Self { server, commands, signals, network, task, file, applied }
    }

    async fn ask(&self, request: Request) -> Response {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command { request, reply }).await.unwrap();
        answer.await.unwrap()
    }

    async fn wait(&self, names: &[&str], seconds: u64) -> (bool, Status) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let answer = self.ask(Request::Wait { names, timeout_ms: seconds * 1000 }).await;
        let Response::Waited { ready, status } = answer else { panic!("{answer:?}") };
        (ready, status)
    }

    async fn tunnel_of(&self, name: &str) -> TunnelStatus {
        let answer = self.ask(Request::Status { names: named(name) }).await;
        let Response::Status { mut status } = answer else { panic!("{answer:?}") };
        status.tunnels.remove(0)
    }

    fn write(&self, tunnels: Vec<TunnelSpec>) {
        *self.file.lock().unwrap() = Ok(desired(tunnels));
    }
}

fn desired(tunnels: Vec<TunnelSpec>) -> Desired {
    let global = Global {
        config: "/etc/tunneld.toml".into(),
        pid_file: None,
        control_socket: "/run/tunneld.sock".into(),
        state_directory: None,
        stop_timeout: Duration::from_secs(10),
        user: None,
        no_new_privileges: true,
        confine: Confine::Off,
        reading: ReadOptions::default(),
        log: LogSpec { level: "info".into(), format: LogFormat::Text },
        metrics: None,
    };
    Desired { global, tunnels }
}

fn named(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[tokio::test(start_paused = true)]
async fn wait_says_yes_as_soon_as_all_are_ready() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &["L0:echo:1"]), tunnel_spec("b", &[])]);
    let (ready, status) = daemon.wait(&["a", "b"], 30).await;
    assert!(ready, "{status:?}");
    assert_eq!((status.generation, status.tunnels.len(), status.config.as_str()), (1, 2, "/etc/tunneld.toml"));
    assert_eq!(daemon.applied.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn wait_says_no_when_time_is_up_and_shows_how_it_stands() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &[])]);
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let asked = clock::now();
    let (ready, status) = daemon.wait(&["a"], 5).await;
    assert!(!ready && clock::now() - asked >= Duration::from_secs(5));
    assert_eq!(status.tunnels[0].last_failure.as_ref().unwrap().kind.as_str(), "connect_refused");
}

#[tokio::test(start_paused = true)]
async fn wait_fails_at_once_for_a_stopped_tunnel() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &[])]);
    assert!(daemon.wait(&["a"], 30).await.0);
    assert_eq!(daemon.ask(Request::Stop { names: named("a") }).await, Response::Done);
    let asked = clock::now();
    assert!(!daemon.wait(&["a"], 30).await.0);
    assert!(clock::now() - asked < Duration::from_secs(1));
    assert_eq!(daemon.ask(Request::Start { names: named("a") }).await, Response::Done);
    assert!(daemon.wait(&["a"], 30).await.0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_told_when_the_connections_have_ended() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &["L0:echo:1"])]);
    let (ready, status) = daemon.wait(&["a"], 30).await;
    assert!(ready, "{status:?}");
    let user = tokio::net::TcpStream::connect(&status.tunnels[0].forwards[0].listen).await.unwrap();
    while daemon.tunnel_of("a").await.forwards[0].opened == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(daemon.ask(Request::Stop { names: named("a") }).await, Response::Done);
    assert_eq!(daemon.tunnel_of("a").await.phase.as_str(), "stopping");
    let answer = daemon.ask(Request::Stopped { names: named("a") }).await;
    let Response::Waited { ready, status } = answer else { panic!("{answer:?}") };
    assert!(ready, "{status:?}");
    assert_eq!(status.tunnels[0].phase.as_str(), "stopped");
    drop(user);
}

#[tokio::test(start_paused = true)]
async fn log_of_an_unknown_tunnel_is_an_error() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &[])]);
    assert_eq!(daemon.ask(Request::Log { name: "a".into() }).await, Response::Log { lines: Vec::new() });
    let answer = daemon.ask(Request::Log { name: "b".into() }).await;
    assert!(matches!(answer, Response::Error { code: ErrorCode::NoSuchTunnel, .. }), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_an_error_with_what_was_probably_meant() {
    let daemon = Daemon::start(vec![tunnel_spec("web-db", &[])]);
    let answer = daemon.ask(Request::Restart { names: named("wev-db") }).await;
    let message = "no tunnel is named `wev-db`; did you mean `web-db`?";
    assert_eq!(answer, Response::error(ErrorCode::NoSuchTunnel, message));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_not_enabled_is_known_and_not_started() {
    let mut spec = tunnel_spec("a", &["L0:echo:1"]);
    spec.enabled = false;
    let daemon = Daemon::start(vec![spec]);
    let answer = daemon.ask(Request::Status { names: vec![] }).await;
    let Response::Status { status } = answer else { panic!("{answer:?}") };
    assert_eq!((status.tunnels[0].phase.as_str(), status.tunnels[0].enabled), ("stopped", false));
    assert_eq!(daemon.server.counts().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_did_not_change_and_makes_what_did() {
    let daemon = Daemon::start(vec![tunnel_spec("keep", &["L0:echo:1"]), tunnel_spec("drop", &[])]);
    assert!(daemon.wait(&["keep", "drop"], 30).await.0);
    let mut kept = tunnel_spec("keep", &["L0:echo:1"]);
    kept.forwards.push(forward("R7000:localhost:1"));
    daemon.write(vec![kept, tunnel_spec("new", &[])]);
    let Response::Plan { plan: shown } = daemon.ask(Request::Plan { config: None }).await else { panic!() };
    assert!(!shown.applied && daemon.wait(&["drop"], 1).await.0);
    let Response::Plan { plan } = daemon.ask(Request::Reload).await else { panic!() };
    assert!(plan.applied);
    assert_eq!(plan.generation, 2);
    let actions: Vec<_> = plan.steps.iter().map(|step| (step.tunnel.as_str(), step.action)).collect();
    assert!(actions.contains(&("drop", PlanAction::Stop)), "{actions:?}");
    assert!(actions.contains(&("keep", PlanAction::Add)) && actions.contains(&("new", PlanAction::Start)));
    let (ready, status) = daemon.wait(&["keep", "new"], 30).await;
    assert!(ready, "{status:?}");
    assert_eq!((status.tunnels[0].starts, status.tunnels[0].forwards.len()), (1, 2));
    let mut counts = daemon.server.watch_counts();
    counts.wait_for(|counts| counts.sessions_now == 2).await.unwrap();
    assert_eq!(daemon.applied.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_config_changes_nothing() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &[])]);
    assert!(daemon.wait(&["a"], 30).await.0);
    let refusal = ConfigRefusal { text: "no".into(), errors: serde_json::json!([1]) };
    *daemon.file.lock().unwrap() = Err(refusal);
    let answer = daemon.ask(Request::Reload).await;
    assert_eq!(answer, Response::ConfigErrors { text: "no".into(), errors: serde_json::json!([1]) });
    let (ready, status) = daemon.wait(&["a"], 0).await;
    assert_eq!((ready, status.generation), (true, 1));
    daemon.signals.send(Signal::Hup).await.unwrap();
    assert!(daemon.wait(&["a"], 0).await.0);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_tunnels_log_in_a_few_at_once() {
    let tunnels: Vec<_> = (0..200).map(|n| tunnel_spec(&format!("t{n}"), &[])).collect();
    let names: Vec<_> = tunnels.iter().map(|spec| spec.name.clone()).collect();
    let daemon = Daemon::start(tunnels);
    let mut counts = daemon.server.watch_counts();
    let most = task::owned(async move {
        let mut most = 0;
        while counts.changed().await.is_ok() {
            let now = *counts.borrow_and_update();
            most = most.max(now.connections_now - now.sessions_now);
            if now.sessions_now == 200 {
                break;
            }
        }
        most
    });
    let answer = daemon.ask(Request::Wait { names, timeout_ms: 600_000 }).await;
    assert!(matches!(answer, Response::Waited { ready: true, .. }), "{answer:?}");
    assert!(most.await.unwrap() <= 4);
}

#[tokio::test(start_paused = true)]
async fn stop_signal_ends_all_tunnels_gracefully() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &["R7000:localhost:1"]), tunnel_spec("b", &[])]);
    assert!(daemon.wait(&["a", "b"], 30).await.0);
    daemon.signals.send(Signal::Term).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), daemon.task).await.unwrap().unwrap().unwrap();
    let mut counts = daemon.server.watch_counts();
    counts.wait_for(|counts| counts.sessions_now == 0).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_signal_to_retry_ends_every_wait() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &[])]);
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    // Long enough for waits of a minute.
    assert!(!daemon.wait(&["a"], 600).await.0);
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::None);
    let asked = clock::now();
    daemon.signals.send(Signal::Usr1).await.unwrap();
    assert!(daemon.wait(&["a"], 600).await.0);
    assert!(clock::now() - asked < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_changed_network_ends_every_wait() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &[])]);
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    // Long enough for waits of a minute.
    assert!(!daemon.wait(&["a"], 600).await.0);
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::None);
    let changed = clock::now();
    daemon.network.send(NetworkChange { what: "a link is up" }).await.unwrap();
    assert!(daemon.wait(&["a"], 600).await.0);
    assert!(clock::now() - changed < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_dial_under_way_begins_anew_when_the_network_changes() {
    let daemon = Daemon::start(vec![tunnel_spec("a", &[])]);
    assert!(daemon.wait(&["a"], 30).await.0);
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::Lost);
    daemon.server.cut();
    let mut counts = daemon.server.watch_counts();
    counts.wait_for(|counts| counts.sessions_now == 0).await.unwrap();
    tokio::time::sleep_until((clock::now() + Duration::from_millis(50)).into()).await;
    assert!(!daemon.wait(&["a"], 3).await.0, "ten seconds are its time");
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::None);
    let changed = clock::now();
    daemon.network.send(NetworkChange { what: "an address was added" }).await.unwrap();
    let (ready, status) = daemon.wait(&["a"], 600).await;
    assert!(ready && clock::now() - changed < Duration::from_millis(100), "{status:?}");
    assert_eq!(status.tunnels[0].starts, 2);
}

#[tokio::test(start_paused = true)]
async fn command_ends_when_its_tunnel_has_given_up() {
    let mut spec = tunnel_spec("a", &[]);
    spec.policy.max_start = Some(2);
    let daemon = Daemon::start_as(ProcessRole::Daemon, vec![spec.clone()]);
    daemon.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    assert!(!daemon.wait(&["a"], 600).await.0, "a daemon stays");
    let command = Daemon::start_as(ProcessRole::Command, vec![spec]);
    command.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    tokio::time::timeout(Duration::from_secs(600), command.task).await.unwrap().unwrap().unwrap();
}
