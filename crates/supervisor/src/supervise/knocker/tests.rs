//! Knocking on a server in memory, on virtual time.

use tunnel_engine::demo_server::ConnectFault;
use tunnel_engine::spec::Via;

use super::*;
use crate::tunnel::testing::{server, session_spec};

fn wish(last_up: Option<Instant>) -> Waiting {
    Waiting { last_up, away_since: clock::now(), at_most_every: Duration::from_millis(250) }
}

async fn pause(time: Duration) {
    tokio::time::sleep_until((clock::now() + time).into()).await;
}

#[test]
fn a_server_is_asked_often_at_first_and_rarely_later_and_never_more_often_than_the_config_says() {
    let short = Duration::from_millis(250);
    assert_eq!(beat(Duration::ZERO, short), EAGER);
    assert_eq!(beat(EAGER_FOR, short), PATIENT);
    assert_eq!(beat(Duration::ZERO, Duration::from_secs(7)), Duration::from_secs(7));
    assert_eq!(beat(EAGER_FOR, Duration::from_secs(20)), Duration::from_secs(20));
}

#[test]
fn the_first_hop_of_a_jump_is_what_is_knocked_on() {
    let mut spec = session_spec("server", 22);
    spec.dial.via = Via::Jump(Box::new(session_spec("bastion", 2222)));
    assert_eq!(Door::of(&spec).unwrap().server, "bastion:2222");
    spec.dial.via = Via::Command("nc server 22".into());
    assert_eq!(Door::of(&spec), None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_back_is_found_within_a_beat_and_its_connection_goes_to_the_healthiest() {
    let server = server();
    let knocker = Knocker::new(Arc::new(server.dialer()));
    let spec = session_spec("server", 22);
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let now = clock::now();
    let never = knocker.back(&spec, wish(None));
    let long_ago = knocker.back(&spec, wish(Some(now)));
    let just_now = knocker.back(&spec, wish(Some(now + Duration::from_secs(9))));
    let opens = async {
        pause(Duration::from_secs(30)).await;
        server.set_faults(|faults| faults.connect = ConnectFault::None);
        clock::now()
    };
    let (never, long_ago, just_now, opened) = tokio::join!(never, long_ago, just_now, opens);
    assert!(just_now.is_some() && never.is_none() && long_ago.is_none());
    assert!(clock::now() - opened <= EAGER);
    drop(just_now);
    assert_eq!(server.counts().connections, 1, "no connection for nothing");
}

#[tokio::test(start_paused = true)]
async fn after_five_minutes_it_is_found_within_ten_seconds_even_where_packets_are_lost() {
    let server = server();
    let knocker = Knocker::new(Arc::new(server.dialer()));
    let spec = session_spec("server", 22);
    server.set_faults(|faults| faults.connect = ConnectFault::Lost);
    let opens = async {
        pause(Duration::from_secs(600)).await;
        server.set_faults(|faults| faults.connect = ConnectFault::None);
        clock::now()
    };
    let (link, opened) = tokio::join!(knocker.back(&spec, wish(None)), opens);
    assert!(link.is_some());
    assert!(clock::now() - opened <= PATIENT + SINGLE_KNOCK_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn nobody_knocks_when_nobody_waits() {
    let server = server();
    let knocker = Knocker::new(Arc::new(server.dialer()));
    let spec = session_spec("server", 22);
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    assert!(tokio::time::timeout(Duration::from_secs(5), knocker.back(&spec, wish(None))).await.is_err());
    assert!(knocker.shared.doors().waiting.is_empty());
    server.set_faults(|faults| faults.connect = ConnectFault::None);
    pause(Duration::from_secs(60)).await;
    assert_eq!(server.counts().connections, 0);
}
