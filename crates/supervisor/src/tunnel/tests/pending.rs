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
