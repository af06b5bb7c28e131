//! What is told of connections that the server refuses, for every reason that it can give.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tunnel_engine::clock;
use tunnel_engine::demo_server::Target;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::Connect;

use crate::config::{ProbeSpec, TunnelSpec};
use crate::protocol::status::ForwardStatus;
use crate::tunnel::test_support::{TestTunnel, echoes, tunnel_spec};

/// Words that a terminal would obey, and how they are shown.
const WORDS: &str = "no \u{1b}[2Jmore";
const SHOWN: &str = "no \\u{1b}[2Jmore";

/// Reason codes (RFC 4254 section 5.1): the four that have names, some that have none, and those for local use.
const CODES: [u32; 8] = [1, 2, 3, 4, 0, 5, 99, 0xFE00_0001];

fn forward(rig: &TestTunnel) -> ForwardStatus {
    rig.view.borrow().status(clock::now()).forwards[0].clone()
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_counted_with_its_words() {
    for code in CODES {
        let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:db:1"])).await;
        rig.server.set_target("db", Target::RefuseWith(code, WORDS.to_owned()));
        assert!(!echoes(&mut rig.connect(0).await).await);
        rig.until("down", |view| view.forwards[0].state.as_str() == "down" && !view.ready).await;
        let told = forward(&rig);
        let message = told.message.unwrap();
        assert!(message.contains("db:1") && message.contains(SHOWN), "{code}: {message}");
        assert_eq!((told.failed, told.last_refused.len()), (1, 1), "{code}");
        let last = &told.last_refused[0];
        assert_eq!((last.code, last.target.as_str()), (Some(code), "db:1"));
        assert!(last.message.contains(SHOWN), "{code}: {}", last.message);
        rig.server.set_target("db", Target::Echo);
        assert!(echoes(&mut rig.connect(0).await).await);
        rig.until("ready", |view| view.ready).await;
        assert_eq!((forward(&rig).message, forward(&rig).last_refused.len()), (None, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn refused_user_is_counted_on_the_forward_and_not_on_the_session() {
    for probe in [ProbeSpec::Auto, ProbeSpec::Off] {
        let mut rig = TestTunnel::ready(TunnelSpec { probe, ..tunnel_spec("t", &["L0:refuse:1"]) }).await;
        assert!(!echoes(&mut rig.connect(0).await).await);
        let view = rig.until("told", |view| view.last_failure.is_some()).await;
        assert_eq!(view.last_failure.as_ref().unwrap().failure.kind(), FailureKind::ProbeFailed);
        assert!(view.status(clock::now()).failures.is_empty());
        assert_eq!(forward(&rig).failed, 1);
    }
    // A probe of ours that finds the forward disproven is a failure of the tunnel's.
    let probing = TunnelSpec { probe: ProbeSpec::Tcp, ..tunnel_spec("t", &["L0:refuse:1"]) };
    let mut rig = TestTunnel::started(probing);
    let view = rig.until("down", |view| view.forwards[0].state.as_str() == "down").await;
    assert_eq!(view.status(clock::now()).failures.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusal_behind_a_unix_target_is_told_too() {
    let mut spec = tunnel_spec("t", &["L0:db:1"]);
    spec.forwards[0].connect = Connect::Unix("/run/app.sock".into());
    let mut rig = TestTunnel::ready(spec).await;
    rig.server.set_target("/run/app.sock", Target::RefuseWith(4, WORDS.to_owned()));
    assert!(!echoes(&mut rig.connect(0).await).await);
    rig.until("down", |view| view.forwards[0].state.as_str() == "down").await;
    let last = forward(&rig).last_refused.remove(0);
    assert_eq!((last.code, last.target.as_str()), (Some(4), "/run/app.sock"));
}

#[tokio::test(start_paused = true)]
async fn socks_peer_and_status_are_told_what_refused() {
    let rig = TestTunnel::ready(tunnel_spec("t", &["D0"])).await;
    let refusals = [
        (1, "no", 2),
        (2, "Connection refused", 5),
        (2, "No route to host", 4),
        (3, "no", 1),
        (4, "no", 1),
        (99, "Network is unreachable", 3),
    ];
    for (count, (code, words, reply)) in refusals.into_iter().enumerate() {
        rig.server.set_target("db", Target::RefuseWith(code, words.to_owned()));
        let mut peer = rig.connect(0).await;
        peer.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x02db\x00\x01").await.unwrap();
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer[2..4], [5, reply], "{code} {words}");
        // The peer is answered first, and then it is counted.
        while forward(&rig).failed <= count as u64 {
            tokio::time::sleep_until((clock::now() + Duration::from_millis(1)).into()).await;
        }
        let told = forward(&rig);
        assert_eq!((told.state.as_str(), told.failed), ("up", count as u64 + 1), "{told:?}");
        let message = told.message.unwrap();
        assert!(message.contains("db:1") && message.contains(words), "{message}");
        assert_eq!(told.last_refused[0].code, Some(code));
    }
    assert_eq!(forward(&rig).last_refused.len(), 5, "a bounded list");
    assert!(rig.view.borrow().ready, "what a peer asks for says nothing about the forward");
}
