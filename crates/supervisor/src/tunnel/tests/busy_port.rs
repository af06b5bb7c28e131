//! How often a server is asked for a port that another program holds, on virtual time.

use std::time::Duration;

use tunnel_engine::clock;
use tunnel_engine::failure::FailureKind;

use super::last_kind;
use crate::tunnel::test_support::{TestTunnel, tunnel_spec};
use crate::tunnel::{Order, TunnelView};

const MINUTE: Duration = Duration::from_secs(60);

impl TestTunnel {
    /// Requests to listen in this time.
    async fn requests_within(&self, time: Duration) -> u64 {
        let before = self.server.counts().forward_requests;
        tokio::time::sleep_until((clock::now() + time).into()).await;
        self.server.counts().forward_requests - before
    }
}

fn is_busy(view: &TunnelView) -> bool {
    last_kind(view) == Some(FailureKind::RemotePortBusy)
}

#[tokio::test(start_paused = true)]
async fn port_is_asked_for_each_second_for_five_minutes_and_then_rarely() {
    let mut rig = TestTunnel::started(tunnel_spec("t", &["R7000:localhost:1"]));
    let held = rig.server.hold_port(7000);
    rig.until("busy", is_busy).await;
    let early = rig.requests_within(5 * MINUTE).await;
    assert!((250..=301).contains(&early), "{early}");
    rig.requests_within(MINUTE).await;
    let late = rig.requests_within(10 * MINUTE).await;
    assert!((50..=66).contains(&late), "{late}");
    rig.order(Order::RetryNow);
    let anew = rig.requests_within(MINUTE).await;
    assert!((50..=62).contains(&anew), "{anew}");
    rig.requests_within(10 * MINUTE).await;
    let freed = clock::now();
    drop(held);
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - freed <= Duration::from_secs(12), "{:?}", clock::now() - freed);
}
