//! The pacing of starts: how many log in at once, who goes first, who is held.

use std::time::Duration;

use tunnel_engine::backoff::{PENALTY, SERVER_BUSY};

use super::login_limit::MAX_HANDSHAKES;
use super::pacing::Pacing;
use super::*;

#[test]
fn at_most_four_logins_run_at_once() {
    let now = clock::now();
    let mut pacing = Pacing::default();
    let requests: Vec<_> = (0..200).map(|_| pacing.ask("a:22", None)).collect();
    let admitted: Vec<_> = requests.iter().filter(|request| pacing.admit(**request, now)).collect();
    assert_eq!(admitted.len(), MAX_HANDSHAKES);
    pacing.give_back(requests[0]);
    assert!(pacing.admit(requests[4], now));
    assert!(!pacing.admit(requests[5], now));
}

#[test]
fn fewer_logins_run_at_once_at_a_server_that_drops_them() {
    let mut now = clock::now();
    let mut pacing = Pacing::default();
    for logins in [4, 2, 1, 1] {
        let requests: Vec<_> = (0..6).map(|_| pacing.ask("a:22", None)).collect();
        let admitted = requests.iter().filter(|request| pacing.admit(**request, now)).count();
        assert_eq!(admitted, logins);
        for _ in 0..admitted {
            pacing.learn("a:22", Err(FailureKind::ServerBusy), now);
        }
        for request in requests {
            pacing.give_back(request);
        }
        now += SERVER_BUSY.longest * 2;
    }
    pacing.learn("a:22", Ok(()), now);
    let (first, second) = (pacing.ask("a:22", None), pacing.ask("a:22", None));
    assert!(pacing.admit(first, now) && !pacing.admit(second, now), "one login is no proof of room for two");
}

#[test]
fn servers_do_not_wait_for_each_other() {
    let now = clock::now();
    let mut pacing = Pacing::default();
    for _ in 0..MAX_HANDSHAKES {
        let request = pacing.ask("a:22", None);
        assert!(pacing.admit(request, now));
    }
    let other = pacing.ask("b:22", None);
    assert!(pacing.admit(other, now));
}

#[test]
fn tunnels_that_were_up_recently_go_first() {
    let now = clock::now();
    let mut pacing = Pacing::default();
    let busy: Vec<_> = (0..MAX_HANDSHAKES).map(|_| pacing.ask("a:22", None)).collect();
    assert!(busy.iter().all(|request| pacing.admit(*request, now)));
    let never = pacing.ask("a:22", None);
    let long_ago = pacing.ask("a:22", Some(now));
    let just_now = pacing.ask("a:22", Some(now + Duration::from_secs(9)));
    pacing.give_back(busy[0]);
    assert!(!pacing.admit(never, now) && !pacing.admit(long_ago, now));
    assert!(pacing.admit(just_now, now));
    pacing.give_back(just_now);
    assert!(pacing.admit(long_ago, now) && !pacing.admit(never, now));
}

#[test]
fn refusing_server_gets_no_login_during_the_hold() {
    let now = clock::now();
    let mut pacing = Pacing::default();
    let refused = pacing.ask("a:22", None);
    let other = pacing.ask("a:22", None);
    assert!(pacing.admit(refused, now));
    pacing.learn("a:22", Err(FailureKind::ServerBusy), now);
    pacing.give_back(refused);
    assert!(!pacing.admit(other, now));
    assert_eq!(pacing.hold(other), Some(now + SERVER_BUSY.first));
    assert!(pacing.admit(other, now + SERVER_BUSY.first));
}

#[test]
fn consecutive_refusals_double_the_hold() {
    let mut now = clock::now();
    let mut pacing = Pacing::default();
    let request = pacing.ask("a:22", None);
    for factor in [1, 2, 4] {
        let asked = PENALTY.first * factor;
        assert_eq!(pacing.learn("a:22", Err(FailureKind::Penalized), now), Some(asked));
        let second = Duration::from_secs(1);
        assert_eq!(pacing.learn("a:22", Err(FailureKind::Penalized), now + second), Some(asked - second));
        assert_eq!(pacing.hold(request), Some(now + PENALTY.first * factor));
        now += PENALTY.first * factor;
    }
    pacing.learn("a:22", Ok(()), now);
    assert!(pacing.admit(request, now));
    pacing.learn("a:22", Err(FailureKind::Penalized), now);
    assert_eq!(pacing.hold(request), Some(now + PENALTY.first));
}

#[test]
fn other_words_of_a_server_begin_its_refusals_anew() {
    let mut now = clock::now();
    let mut pacing = Pacing::default();
    pacing.ask("a:22", None);
    for kind in [FailureKind::ServerBusy, FailureKind::AuthRejected, FailureKind::ServerBusy] {
        let asked = pacing.learn("a:22", Err(kind), now);
        assert_eq!(asked, (kind == FailureKind::ServerBusy).then_some(SERVER_BUSY.first));
        now += SERVER_BUSY.first;
    }
}

#[test]
fn other_failures_delay_no_start() {
    let now = clock::now();
    let mut pacing = Pacing::default();
    let request = pacing.ask("a:22", None);
    pacing.learn("a:22", Err(FailureKind::ConnectRefused), now);
    assert!(pacing.admit(request, now));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_lets_the_next_one_go() {
    let governor = Governor::default();
    let spec = crate::tunnel::test_support::session_spec("server", 22);
    let mut permits = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        permits.push(governor.permit(&spec, None).await);
    }
    let next = governor.permit(&spec, None);
    tokio::pin!(next);
    assert!(tokio::time::timeout(Duration::from_secs(60), &mut next).await.is_err());
    permits.pop();
    next.await;
}

#[tokio::test(start_paused = true)]
async fn waiting_start_goes_when_the_hold_ends() {
    let governor = Governor::default();
    let spec = crate::tunnel::test_support::session_spec("server", 22);
    let began = clock::now();
    governor.permit(&spec, None).await.finish("server:22", Err(FailureKind::ServerBusy));
    drop(governor.permit(&spec, None).await);
    assert!(clock::now() >= began + SERVER_BUSY.first);

    governor.permit(&spec, None).await.finish("server:22", Err(FailureKind::Penalized));
    let began = clock::now();
    let next = governor.permit(&spec, None);
    tokio::pin!(next);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut next).await.is_err());
    governor.forget_holds();
    next.await;
    assert!(clock::now() < began + PENALTY.first);
}

#[test]
fn the_jump_hosts_are_servers_too() {
    let mut spec = crate::tunnel::test_support::session_spec("server", 22);
    spec.dial.via = Route::Jump(Box::new(crate::tunnel::test_support::session_spec("bastion", 2222)));
    assert_eq!(servers(&spec), ["bastion:2222", "server:22"]);
}

#[test]
fn each_source_address_is_paced_by_itself() {
    let mut spec = crate::tunnel::test_support::session_spec("server", 22);
    spec.dial.bind_address = Some("127.0.0.1".to_owned());
    assert_eq!(servers(&spec), ["server:22 from 127.0.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_start_says_what_it_waits_for() {
    let (governor, entry) = (Governor::default(), QueueEntry::default());
    let mut spec = crate::tunnel::test_support::session_spec("server", 22);
    spec.dial.bind_address = Some("127.0.0.1".to_owned());
    let mut permits = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        permits.push(governor.permit(&spec, None).await);
    }
    let (other, ours) = (governor.permit(&spec, None), governor.permit_at(&entry, &spec, None));
    tokio::pin!(other, ours);
    let both = async { tokio::join!(&mut other, &mut ours) };
    assert!(tokio::time::timeout(Duration::from_secs(1), both).await.is_err());
    let waits_for = || entry.waits_for(&governor, clock::now()).unwrap_or_default();
    assert_eq!(waits_for(), "its turn at server:22 from 127.0.0.1: 1 before it");

    permits.remove(0).finish("server:22", Err(FailureKind::ServerBusy));
    assert_eq!(waits_for(), "server:22 from 127.0.0.1 to take logins again, in 6 s");

    // Fewer may be under way at once now.
    permits.truncate(1);
    let asked = clock::now();
    entry.bypass_hold();
    drop(governor.permit_at(&entry, &spec, Some(asked)).await);
    assert_eq!(clock::now(), asked);
    assert_eq!(entry.waits_for(&governor, clock::now()), None);
}
