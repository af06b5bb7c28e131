//! The arithmetic of availability and outages.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tunnel_engine::clock;

use super::outages::MAX_OUTAGES;
use super::record::{Availability, TunnelRecord};
use super::samples::MAX_SAMPLES;
use super::*;
use crate::word::Word;

const HOUR: u64 = 3600;

/// A day of 2026 at noon, and a monotonic clock that began somewhere.
fn noon() -> Moment {
    Moment { awake: clock::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_268_800) }
}

fn after(start: Moment, seconds: u64) -> Moment {
    let later = Duration::from_secs(seconds);
    Moment { awake: start.awake + later, wall: start.wall + later }
}

fn cause(kind: &str) -> Cause {
    Cause { kind: Some(Word::read(kind)), message: format!("a failure: {kind}") }
}

fn report(record: &mut TunnelRecord, now: Moment) -> TunnelHistory {
    record.advance(now);
    record.report("t", now.wall_ms())
}

#[test]
fn outage_has_first_failure_as_cause_and_its_length() {
    let (start, lost) = (noon(), cause("keepalive_timeout"));
    let mut record = TunnelRecord::new(start);
    record.change(Availability::NotReady, None, start);
    record.change(Availability::Ready, None, after(start, 1));
    record.change(Availability::NotReady, Some(&lost), after(start, 100));
    record.change(Availability::NotReady, Some(&cause("connect_refused")), after(start, 110));
    let told = report(&mut record, after(start, 120));
    assert_eq!(told.outages.len(), 1);
    assert_eq!((told.outages[0].until.as_deref(), told.outages[0].seconds), (None, 20.0));
    record.change(Availability::Ready, None, after(start, 130));
    let told = report(&mut record, after(start, 200));
    let outage = &told.outages[0];
    assert_eq!((outage.from.as_str(), outage.seconds), ("2026-01-01T12:01:40Z", 30.0));
    assert_eq!(outage.until.as_deref(), Some("2026-01-01T12:02:10Z"));
    assert_eq!((outage.kind.clone(), outage.message.clone()), (lost.kind, lost.message));
    assert_eq!((told.availability, told.mttr_s), (Some(169.0 / 200.0), Some(30.0)));
}

#[test]
fn start_is_an_outage_only_if_it_fails() {
    let start = noon();
    let mut record = TunnelRecord::new(start);
    record.change(Availability::NotReady, None, start);
    record.change(Availability::Ready, None, after(start, 2));
    assert_eq!(report(&mut record, after(start, 2)).outages, []);
    record.change(Availability::NotWanted, None, after(start, 10));
    record.change(Availability::NotReady, None, after(start, 20));
    record.change(Availability::NotReady, Some(&cause("dns")), after(start, 25));
    let outage = &report(&mut record, after(start, 30)).outages[0];
    assert_eq!((outage.from.as_str(), outage.seconds), ("2026-01-01T12:00:20Z", 10.0));
    assert_eq!(outage.kind, Some(Word::read("dns")));
}

#[test]
fn failed_order_has_the_failure_as_cause() {
    let start = noon();
    let mut record = TunnelRecord::new(start);
    record.change(Availability::Ready, None, start);
    record.change(Availability::NotReady, Some(&Cause::without_kind("restarted by an operator")), after(start, 1));
    assert_eq!(report(&mut record, after(start, 2)).outages[0].message, "restarted by an operator");
    record.change(Availability::NotReady, Some(&cause("auth_rejected")), after(start, 3));
    assert_eq!(report(&mut record, after(start, 4)).outages[0].kind, Some(Word::read("auth_rejected")));
}

#[test]
fn unwanted_time_does_not_count() {
    let start = noon();
    let mut record = TunnelRecord::new(start);
    assert_eq!(report(&mut record, after(start, HOUR)).availability, None);
    record.change(Availability::Ready, None, after(start, HOUR));
    record.change(Availability::NotWanted, None, after(start, 2 * HOUR));
    let told = report(&mut record, after(start, 3 * HOUR));
    assert_eq!((told.availability, told.outages), (Some(1.0), vec![]));
    assert_eq!(told.samples.iter().filter(|sample| sample.ready.is_some()).count(), 12);
}

#[test]
fn record_forgets_what_is_older_than_a_day() {
    let start = noon();
    let mut record = TunnelRecord::new(start);
    record.change(Availability::Ready, None, start);
    record.change(Availability::NotReady, Some(&cause("dns")), after(start, 60));
    record.change(Availability::Ready, None, after(start, 120));
    record.advance(after(start, 12 * HOUR));
    assert_eq!(report(&mut record, after(start, 23 * HOUR)).outages.len(), 1);
    for hour in 24..=25 {
        record.advance(after(start, hour * HOUR));
    }
    let told = report(&mut record, after(start, 25 * HOUR));
    assert_eq!((told.availability, told.outages.len(), told.mttr_s), (Some(1.0), 0, None));
    assert_eq!((told.since.as_str(), told.samples.len()), ("2026-01-01T13:00:00Z", MAX_SAMPLES));
}

#[test]
fn clock_that_is_set_back_moves_the_record_with_it() {
    let start = noon();
    let mut record = TunnelRecord::new(start);
    record.change(Availability::Ready, None, start);
    record.change(Availability::NotReady, Some(&cause("dns")), after(start, 1800));
    record.change(Availability::Ready, None, after(start, 1860));
    let awake = after(start, 3600).awake;
    let told = report(&mut record, Moment { awake, wall: start.wall - Duration::from_secs(6 * HOUR) });
    assert_eq!(told.outages[0].from, "2026-01-01T05:30:00Z");
    assert_eq!(told.samples.last().map(|sample| sample.at.as_str()), Some("2026-01-01T06:00:00Z"));
    assert_eq!(told.samples.first().map(|sample| sample.at.as_str()), Some("2026-01-01T05:00:00Z"));
    assert_eq!(told.availability, Some(3540.0 / 3600.0));
}

#[test]
fn clock_that_is_set_forward_leaves_a_gap() {
    let start = noon();
    let mut record = TunnelRecord::new(start);
    record.change(Availability::NotReady, Some(&cause("dns")), start);
    record.advance(after(start, 600));
    let told = report(&mut record, Moment { awake: after(start, 900).awake, wall: after(start, 7200).wall });
    assert_eq!(told.outages[0].seconds, 900.0, "measured, not the calendar's");
    assert_eq!((told.availability, told.samples.len()), (Some(0.0), 25));
    let far = Moment { awake: after(start, 960).awake, wall: after(start, 40 * 365 * 24 * HOUR).wall };
    let told = report(&mut record, far);
    assert_eq!((told.samples.len(), told.outages[0].seconds), (MAX_SAMPLES, 960.0));
}

#[test]
fn record_of_a_flapping_tunnel_is_bounded() {
    let start = noon();
    let mut record = TunnelRecord::new(start);
    for second in 0..20_000 {
        let state = if second % 2 == 0 { Availability::Ready } else { Availability::NotReady };
        record.change(state, Some(&cause("connection_lost")), after(start, second));
    }
    let told = report(&mut record, after(start, 20_000));
    assert_eq!((told.outages.len(), told.availability), (MAX_OUTAGES + 1, Some(0.5)));
}

/// The same by brute force: the state of each second.
fn model(seconds: &[Availability]) -> (Option<f64>, Vec<(usize, usize)>) {
    let wanted = seconds.iter().filter(|state| **state != Availability::NotWanted).count();
    let ready = seconds.iter().filter(|state| **state == Availability::Ready).count();
    let mut outages: Vec<(usize, usize)> = Vec::new();
    for (at, _) in seconds.iter().enumerate().filter(|(_, state)| **state == Availability::NotReady) {
        match outages.last_mut() {
            Some((from, length)) if *from + *length == at => *length += 1,
            _ => outages.push((at, 1)),
        }
    }
    outages.reverse();
    ((wanted > 0).then(|| ready as f64 / wanted as f64), outages)
}

proptest! {
    #[test]
    fn availability_and_outages_are_those_of_each_second(
        changes in proptest::collection::vec((0u8..3, 1u64..2000), 1..40),
        looks in proptest::collection::btree_set(0u64..40_000, 0..20),
    ) {
        let start = noon();
        let mut record = TunnelRecord::new(start);
        let mut seconds = Vec::new();
        for (state, length) in changes {
            let state = [Availability::NotWanted, Availability::NotReady, Availability::Ready][usize::from(state)];
            let now = seconds.len() as u64;
            record.change(state, Some(&cause("dns")), after(start, now));
            seconds.extend((0..length).map(|_| state));
            for look in looks.iter().filter(|look| (now..now + length).contains(look)) {
                record.advance(after(start, *look));
            }
        }
        let told = report(&mut record, after(start, seconds.len() as u64));
        let (availability, outages) = model(&seconds);
        prop_assert_eq!(told.availability, availability);
        let from = |at: usize| rfc3339(after(start, at as u64).wall);
        let found: Vec<_> = told.outages.iter().map(|outage| (outage.from.clone(), outage.seconds)).collect();
        let right: Vec<_> = outages.iter().map(|(at, length)| (from(*at), *length as f64)).collect();
        prop_assert_eq!(found, right);
    }
}
