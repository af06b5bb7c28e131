//! A reload wants another session, and its login fails: the one of before serves on until an operator has mended either.

use super::*;

/// A config under which no login succeeds as long as this file does not name the server's key.
fn careful(known_hosts: &std::path::Path) -> TunnelChange {
    let mut session = session_spec("server", 22);
    session.host_key.strict = StrictHostKeyChecking::Yes;
    session.host_key.user_known_hosts = vec![known_hosts.to_path_buf()];
    TunnelChange::ReplaceSession(Box::new(session))
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_failed_for_good_follows_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let known_hosts = dir.path().join("known_hosts");
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    rig.ordered(Order::Apply(vec![careful(&known_hosts)])).await;
    rig.until("told", |view| last_kind(view) == Some(FailureKind::HostKeyUnknown)).await;
    // Long enough that the replacement's own looks are rare.
    tokio::time::advance(Duration::from_secs(20)).await;
    let repaired = clock::now();
    std::fs::write(&known_hosts, rig.server.known_hosts("server", 22).unwrap()).unwrap();
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - repaired < Duration::from_secs(5), "{:?}", clock::now() - repaired);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_took_effect_is_taken_back_without_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    rig.ordered(Order::Apply(vec![careful(&dir.path().join("none"))])).await;
    let view = rig.until("told", |view| last_kind(view) == Some(FailureKind::HostKeyUnknown)).await;
    let made_for = view.serving.as_ref().expect("what it serves with").made_for.clone();
    assert_eq!(made_for, session_spec("server", 22));
    rig.ordered(Order::Apply(vec![careful(&dir.path().join("neither"))])).await;
    rig.ordered(Order::Apply(vec![TunnelChange::ReplaceSession(Box::new(made_for))])).await;
    let view = rig.until("ready", |view| view.ready).await;
    assert!(view.serving.is_none() && view.next_start.is_none());
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(echoes(&mut flowing).await);
    assert_eq!(rig.server.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn forwards_say_that_the_session_of_before_carries_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    rig.ordered(Order::Apply(vec![careful(&dir.path().join("none"))])).await;
    let view = rig.until("told", |view| last_kind(view) == Some(FailureKind::HostKeyUnknown)).await;
    let status = view.status(clock::now());
    assert_eq!((view.phase, view.ready, &view.forwards[0].state), (Phase::Up, false, &ForwardState::Up));
    let message = status.forwards[0].message.as_deref();
    assert!(message.is_some_and(|message| message.contains("of before the config change")), "{message:?}");
    let waits_for = status.waits_for.as_deref();
    assert!(waits_for.is_some_and(|what| what.contains("as soon as its files change")), "{waits_for:?}");
}
