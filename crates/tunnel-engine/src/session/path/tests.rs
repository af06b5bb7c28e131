//! The judge over samples: no runtime, no network.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A session that wrote at the start and has received nothing since.
struct PathScene {
    start: Instant,
    judge: PathJudge,
    seen: PathSample,
}

fn scene(tcp: Option<bool>) -> PathScene {
    let start = crate::clock::now();
    let tcp = tcp.map(|outstanding| TcpStatus { outstanding, last_ack: start });
    let seen = PathSample {
        bytes_in: 100,
        last_byte: start,
        unanswered_since: Some(start),
        unanswered_bytes: FEW_BYTES + 1,
        reading: true,
        tcp,
        rtt: Some(10 * MS),
        last_answer: start,
        asked_at: None,
        counts_from: None,
        open_since: None,
        opens_count_from: None,
        may_ask: true,
        address_gone: false,
    };
    PathScene { start, judge: PathJudge::new(start), seen }
}

impl PathScene {
    /// Judges as often as it wants to be asked, until `ms` after the start.
    fn run(&mut self, ms: u32) -> Path {
        let end = self.start + ms * MS;
        let mut now = self.start;
        while now <= end {
            let next = self.judge.judge(&self.seen, now);
            if next.ask {
                self.seen.asked_at.get_or_insert(now);
                self.seen.counts_from.get_or_insert(now);
            }
            match next.check_again {
                Some(at) => {
                    assert!(at > now, "the time goes on");
                    now = at;
                }
                None => break,
            }
        }
        self.start = end;
        self.judge.path()
    }

    fn receive(&mut self) {
        self.seen.bytes_in += 1;
        self.seen.last_byte = self.start;
        self.seen.last_answer = self.start;
        self.seen.unanswered_since = None;
        self.seen.asked_at = None;
        self.seen.counts_from = None;
    }

    fn write(&mut self) {
        self.seen.unanswered_since = Some(self.start);
    }
}

fn why(path: Path) -> Option<Doubt> {
    match path {
        Path::Clear => None,
        Path::Doubtful { why, .. } => Some(why),
    }
}

#[test]
fn unacknowledged_bytes_raise_doubt_within_four_seconds() {
    let mut scene = scene(Some(true));
    assert_eq!(why(scene.run(2900)), None);
    let began = scene.start;
    let Path::Doubtful { since, why } = scene.run(1000) else { panic!("clear") };
    assert_eq!(why, Doubt::Unacknowledged);
    assert!(since > began && since <= began + 1000 * MS);
}

#[test]
fn a_path_that_is_slow_but_acknowledges_is_not_doubtful() {
    let mut scene = scene(Some(true));
    for _ in 0..20 {
        assert_eq!(why(scene.run(1000)), None);
        scene.seen.tcp = Some(TcpStatus { outstanding: true, last_ack: scene.start });
    }
}

/// A server that is stuck while connections go on being made: at each look something has not been acknowledged yet.
#[test]
fn acknowledgements_for_a_stuck_server_are_not_enough() {
    let mut scene = scene(Some(true));
    scene.seen.unanswered_bytes = FEW_BYTES;
    let mut waited = 0;
    while why(scene.run(100)).is_none() {
        scene.seen.tcp = Some(TcpStatus { outstanding: true, last_ack: scene.start });
        waited += 100;
        assert!(waited <= 5000, "not noticed");
    }
    assert!(waited >= 4000, "after {waited} ms: asked after 1.5 s, and given 3");
    assert_eq!(why(scene.judge.path()), Some(Doubt::Unanswered));
}

#[test]
fn a_long_round_trip_is_given_its_time() {
    let mut scene = scene(Some(true));
    scene.seen.rtt = Some(2000 * MS);
    assert_eq!(why(scene.run(7900)), None);
    assert_eq!(why(scene.run(1000)), Some(Doubt::Unacknowledged));
}

#[test]
fn write_after_rest_is_not_doubtful_at_once() {
    let mut scene = scene(None);
    scene.receive();
    assert_eq!(scene.judge.judge(&scene.seen, scene.start).check_again, None, "at rest");
    let acknowledged = scene.start;
    scene.start += 600 * 1000 * MS;
    scene.write();
    scene.seen.tcp = Some(TcpStatus { outstanding: true, last_ack: acknowledged });
    assert_eq!(why(scene.run(2900)), None);
    assert_eq!(why(scene.run(1000)), Some(Doubt::Unacknowledged));
}

#[test]
fn unanswered_bytes_lead_to_question_then_doubt() {
    let mut scene = scene(None);
    assert_eq!(why(scene.run(1400)), None);
    assert_eq!(scene.seen.asked_at, None);
    scene.run(200);
    assert!(scene.seen.asked_at.is_some(), "asked after 1.5 s");
    assert_eq!(why(scene.run(2800)), None);
    assert_eq!(why(scene.run(200)), Some(Doubt::Unanswered));
}

#[test]
fn late_question_of_idle_session_is_examined() {
    let mut scene = scene(Some(false));
    scene.receive();
    (scene.seen.asked_at, scene.seen.counts_from) = (Some(scene.start), Some(scene.start));
    let late = scene.start + UNANSWERED;
    assert_eq!(scene.judge.judge(&scene.seen, scene.start).check_again, Some(late));
    scene.judge.judge(&scene.seen, late);
    assert_eq!(why(scene.judge.path()), Some(Doubt::Unanswered));
}

#[test]
fn a_session_without_a_keepalive_is_not_asked_and_rests() {
    let mut scene = scene(Some(false));
    scene.seen.may_ask = false;
    assert_eq!(scene.judge.judge(&scene.seen, scene.start), PathStep { ask: false, check_again: None });
}

#[test]
fn a_byte_ends_the_doubt_and_the_session_rests() {
    let mut scene = scene(Some(true));
    assert!(why(scene.run(4000)).is_some());
    scene.receive();
    scene.seen.tcp = Some(TcpStatus { outstanding: false, last_ack: scene.start });
    assert_eq!(scene.judge.judge(&scene.seen, scene.start), PathStep { ask: false, check_again: None });
    assert_eq!(scene.judge.path(), Path::Clear);
}

#[test]
fn acknowledgements_alone_do_not_end_doubt() {
    for (may_ask, doubtful) in [(true, true), (false, false)] {
        let mut scene = scene(Some(true));
        scene.seen.may_ask = may_ask;
        assert!(why(scene.run(4000)).is_some());
        scene.seen.tcp = Some(TcpStatus { outstanding: false, last_ack: scene.start });
        scene.judge.judge(&scene.seen, scene.start);
        assert_eq!(scene.judge.path() != Path::Clear, doubtful, "may ask: {may_ask}");
    }
}

#[test]
fn probed_session_is_asked_and_has_a_second() {
    let mut scene = scene(Some(false));
    scene.receive();
    scene.judge.probe_path(scene.start);
    assert_eq!(why(scene.run(900)), None);
    assert!(scene.seen.asked_at.is_some());
    assert_eq!(why(scene.run(200)), Some(Doubt::Unanswered));
}

#[test]
fn an_examined_session_that_answers_is_left_alone() {
    let mut scene = scene(Some(false));
    scene.judge.probe_path(scene.start);
    scene.run(100);
    scene.receive();
    assert_eq!(why(scene.run(60_000)), None);
    assert!(!scene.judge.is_suspicious());
}

#[test]
fn probed_session_on_full_path_has_longer() {
    let mut scene = scene(Some(true));
    scene.judge.probe_path(scene.start);
    scene.run(200);
    scene.seen.tcp = Some(TcpStatus { outstanding: true, last_ack: scene.start });
    assert_eq!(why(scene.run(2600)), None);
    assert_eq!(why(scene.run(1000)), Some(Doubt::Unacknowledged));
}

#[test]
fn an_address_that_is_gone_is_doubted_when_a_caller_asks() {
    let mut scene = scene(Some(false));
    scene.receive();
    scene.seen.address_gone = true;
    assert_eq!(why(scene.run(0)), None);
    scene.judge.probe_path(scene.start);
    assert_eq!(why(scene.run(0)), Some(Doubt::AddressGone));
}

#[test]
fn slow_reader_of_ours_raises_no_doubt() {
    let mut scene = scene(Some(false));
    scene.seen.reading = false;
    assert_eq!(why(scene.run(60_000)), None);
}

#[test]
fn round_trip_over_a_gap_does_not_count() {
    let mut scene = scene(Some(true));
    scene.judge.judge(&scene.seen, scene.start);
    scene.seen.rtt = Some(6400 * MS);
    assert!(matches!(scene.run(4000), Path::Doubtful { .. }));
}

/// Bytes that come by themselves: padding, keepalives of the server's own, one connection that goes on.
#[test]
fn bytes_that_are_no_answer_neither_prevent_nor_end_doubt() {
    let mut scene = scene(Some(false));
    scene.seen.open_since = Some(scene.start);
    let mut waited = 0;
    while why(scene.run(100)).is_none() {
        scene.seen.bytes_in += 1;
        scene.seen.last_byte = scene.start;
        scene.seen.unanswered_since = None;
        waited += 100;
        assert!(waited <= 5000, "not noticed");
    }
    assert!(waited >= 4000, "after {waited} ms: asked after 1.5 s, and given 3");
    scene.seen.bytes_in += 1;
    scene.seen.last_byte = scene.start;
    assert_eq!(why(scene.run(1000)), Some(Doubt::Unanswered));
    scene.receive();
    scene.seen.open_since = None;
    assert_eq!(why(scene.run(1000)), None);
}

#[test]
fn a_question_behind_a_full_queue_raises_no_doubt() {
    let mut scene = scene(Some(false));
    scene.run(1600);
    assert!(scene.seen.asked_at.is_some());
    for _ in 0..60 {
        scene.seen.counts_from = Some(scene.start);
        assert_eq!(why(scene.run(1000)), None);
    }
}

#[test]
fn stopped_process_raises_no_doubt() {
    let mut scene = scene(Some(true));
    scene.run(1000);
    scene.start += 60 * 1000 * MS;
    scene.judge.resumed(scene.start);
    scene.seen.counts_from = Some(scene.start);
    assert_eq!(why(scene.run(2900)), None);
    assert_eq!(why(scene.run(1000)), Some(Doubt::Unacknowledged));
}

#[test]
fn server_that_opens_nothing_is_doubted() {
    let mut scene = scene(Some(false));
    scene.seen.opens_count_from = Some(scene.start);
    scene.receive();
    assert_eq!(why(scene.run(2900)), None);
    scene.receive();
    assert_eq!(why(scene.run(200)), Some(Doubt::OpensNothing));
    scene.receive();
    assert_eq!(why(scene.run(1000)), Some(Doubt::OpensNothing), "answers are no opens");
    scene.seen.opens_count_from = None;
    assert_eq!(why(scene.run(10)), None);
}

#[test]
fn first_check_after_a_write_is_delayed() {
    let mut scene = scene(Some(true));
    let first = scene.judge.first_check(scene.start).expect("the path is at rest");
    assert_eq!(first, scene.start + LOOK_EVERY);
    assert_eq!(scene.judge.first_check(scene.start), None, "it is at rest no more");
    scene.start = first;
    assert_eq!(scene.run(2400), Path::Clear);
    assert_eq!(why(scene.run(700)), Some(Doubt::Unacknowledged), "three seconds after the write");
}
