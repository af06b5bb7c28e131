//! A remote port that the server refuses: since when it has been busy, by which the waits between the requests grow.

use super::*;

fn refused() -> ForwardError {
    ForwardError::Refused { listen: "localhost:7000".to_owned(), reason: None }
}

/// The answer to a request.
fn answer(request: &ListenRequest, result: Result<Option<u16>, ForwardError>) -> TunnelEvent {
    let (session, forward, listen) = (request.session, request.target.forward, request.target.listen.clone());
    TunnelEvent::Requested(Requested { session, forward, listen, report: None, result })
}

/// Since when the port has been busy for the request that goes on.
fn busy_since(request: &ListenRequest) -> Instant {
    match request.mode {
        ListenMode::Until { busy_since, .. } => busy_since,
        ListenMode::Once { .. } => panic!("it is asked once: {request:?}"),
    }
}

/// A tunnel whose remote port was refused at once, and the request that goes on.
fn busy() -> (Bench, ListenRequest) {
    let mut bench = Bench::new(tunnel_spec("t", &["R7000:localhost:1"]));
    let session = logins(&bench.tell(TunnelEvent::Order(Order::Start)))[0];
    let effects = bench.logged_in(session);
    let first = requests(&effects).remove(0);
    let again = requests(&bench.tell(answer(&first, Err(refused())))).remove(0);
    (bench, again)
}

#[test]
fn busy_port_is_asked_for_again_until_it_is_ours() {
    let (mut bench, again) = busy();
    assert_eq!(again.mode, ListenMode::Until { refused: refused(), busy_since: bench.now.awake, until: None });
    assert!(matches!(bench.core.snapshot().forwards[0].state, ForwardState::Down(_)));
    bench.tell(answer(&again, Ok(None)));
    assert_eq!(bench.core.poll_timeout(), Some(bench.now.awake), "it is to be proven at once");
}

#[test]
fn port_stays_busy_from_its_first_refusal() {
    let (mut bench, mut again) = busy();
    let first = bench.now.awake;
    for _ in 0..10 {
        bench.passes(60 * SECOND);
        again = requests(&bench.tell(answer(&again, Err(refused())))).remove(0);
        assert_eq!(busy_since(&again), first);
    }
}

#[test]
fn orders_and_the_network_begin_the_row_anew() {
    for order in [Order::RetryNow, Order::NetworkChanged] {
        let (mut bench, _) = busy();
        bench.passes(600 * SECOND);
        let now = bench.now.awake;
        bench.tell(TunnelEvent::Order(order));
        let asked = requests(&bench.passes(Duration::ZERO)).remove(0);
        assert!(matches!(asked.mode, ListenMode::Once { .. }), "{asked:?}");
        let again = requests(&bench.tell(answer(&asked, Err(refused())))).remove(0);
        assert_eq!(busy_since(&again), now);
    }
}

#[test]
fn another_session_begins_the_row_anew() {
    let (mut bench, again) = busy();
    bench.passes(600 * SECOND);
    let now = bench.now.awake;
    let session = logins(&bench.tell(TunnelEvent::Order(Order::Restart)))[0];
    bench.tell(TunnelEvent::Closed(again.session));
    bench.tell(TunnelEvent::PortsReleased);
    let effects = bench.logged_in(session);
    let asked = requests(&effects).remove(0);
    let again = requests(&bench.tell(answer(&asked, Err(refused())))).remove(0);
    assert_eq!(busy_since(&again), now);
}

#[test]
fn port_that_was_ours_in_between_begins_the_row_anew() {
    let (mut bench, again) = busy();
    let request = requests(&{
        bench.tell(answer(&again, Ok(None)));
        bench.passes(600 * SECOND)
    });
    assert!(request.is_empty(), "{request:?}");
    let now = bench.now.awake;
    let again = requests(&bench.tell(answer(&again, Err(refused())))).remove(0);
    assert_eq!(busy_since(&again), now);
}
