//! What an outage of two days writes to the log, on virtual time: some lines a tunnel, each with its count, and at the
//! end how long it took.

use std::time::Duration;

use tracing::Level;
use tunnel_engine::clock;
use tunnel_engine::demo_server::{AuthFault, ConnectFault, Faults};
use tunnel_engine::failure::FailureKind;

use crate::lifecycle::Phase;
use crate::os::RecentLine;
use crate::tunnel::report;
use crate::tunnel::test_support::{TestTunnel, listen, tunnel_spec};

const WEEKEND: Duration = Duration::from_secs(60 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Lines that two days may have: 10 min, doubling up to 6 h, and again for a reason that is found out later.
const MAX_LINES: usize = 20;

async fn two_days(spoil: impl FnOnce(&mut Faults), phase: Phase) -> Vec<RecentLine> {
    let (lines, _guard) = listen();
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    rig.server.set_faults(spoil);
    rig.server.cut();
    rig.until("away", |view| view.phase == phase).await;
    tokio::time::sleep_until((clock::now() + WEEKEND).into()).await;
    rig.server.set_faults(|faults| *faults = Faults::default());
    rig.until("ready again", |view| view.ready).await;
    lines.of("t")
}

fn assert_bounded(lines: &[RecentLine], kind: FailureKind) {
    let kind = format!("kind={kind}");
    let told: Vec<&str> = lines.iter().map(|line| line.message.as_str()).filter(|text| text.contains(&kind)).collect();
    assert!((5..=MAX_LINES).contains(&told.len()), "{}: {lines:#?}", told.len());
    assert!(told[1..].iter().all(|text| text.contains("more times")), "{told:#?}");
    let warnings = lines.iter().filter(|line| line.level == Level::WARN).count();
    assert!(warnings <= told.len() + 4, "{lines:#?}");
    let last = &lines.last().unwrap().message;
    assert!(last.starts_with("ready again after 2days 12h") && last.contains(" attempts"), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_server_away_for_two_days_is_some_lines() {
    let lines = two_days(|faults| faults.connect = ConnectFault::Refuse, Phase::Backoff).await;
    assert_bounded(&lines, FailureKind::ConnectRefused);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_some_lines() {
    let busy = || ConnectFault::SayAndClose("Exceeded MaxStartups\r\n".to_owned());
    assert_bounded(&two_days(|faults| faults.connect = busy(), Phase::Backoff).await, FailureKind::ServerBusy);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_some_lines() {
    let lines = two_days(|faults| faults.auth = AuthFault::Reject, Phase::Blocked).await;
    assert_bounded(&lines, FailureKind::AuthRejected);
}

#[test]
fn every_kind_is_told_with_its_count() {
    let start = clock::now();
    for kind in FailureKind::ALL {
        let mut limiter = report::limiter(1);
        let minutes = u32::try_from(WEEKEND.as_secs() / 60).unwrap();
        let told: Vec<u64> = (0..minutes).filter_map(|at| limiter.admit((kind, "same"), start + MINUTE * at)).collect();
        assert!(told.len() <= MAX_LINES && told[1..].iter().all(|more| *more > 0), "{kind}: {told:?}");
        let counted = told.iter().sum::<u64>() + told.len() as u64 + limiter.suppressed();
        assert_eq!(counted, u64::from(minutes), "{kind}");
    }
}

#[test]
fn texts_that_differ_each_time_are_bounded_by_their_kind() {
    let start = clock::now();
    let mut limiter = report::limiter(report::TEXTS_LOGGED);
    let told = (0..3600).filter(|at| limiter.admit(FailureKind::ProxyCommandFailed, start + MINUTE * *at).is_some());
    assert!(told.count() <= MAX_LINES * report::TEXTS_LOGGED as usize);
}
