//! The file after each kind of end, and its bounds.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tunnel_engine::clock;

use super::super::cause::Cause;
use super::super::record::Availability;
use super::super::report::TunnelHistory;
use super::*;
use crate::word::Word;

const DAY: u64 = 24 * 3600;

fn at(seconds: u64) -> u64 {
    (1_767_268_800 + seconds) * 1000
}

fn moment(seconds: u64) -> Moment {
    Moment { awake: clock::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_millis(at(seconds)) }
}

fn state(seconds: u64, state: Availability, cause: Option<Cause>) -> StoreLine {
    let (kind, message) = cause.map(|cause| (cause.kind, Some(cause.message))).unwrap_or_default();
    StoreLine::State(StateLine { tunnel: "t".to_owned(), at: at(seconds), state, kind, message, length: None })
}

fn cause(kind: &str) -> Cause {
    Cause { kind: Some(Word::read(kind)), message: format!("a failure: {kind}") }
}

fn told(lines: Vec<StoreLine>, seconds: u64) -> TunnelHistory {
    let mut records = replay::replay(lines, moment(seconds)).records;
    assert_eq!(records.len(), 1);
    records.remove(0).1.report("t", at(seconds))
}

#[test]
fn time_after_an_orderly_stop_does_not_count() {
    let lines = vec![
        StoreLine::Started { at: at(0) },
        state(0, Availability::Ready, None),
        state(100, Availability::NotWanted, None),
        StoreLine::Stopped { at: at(100) },
    ];
    let told = told(lines, 1000);
    assert_eq!((told.availability, told.outages), (Some(1.0), vec![]));
}

#[test]
fn crash_is_an_outage_since_the_last_sign_of_life() {
    let lines =
        vec![StoreLine::Started { at: at(0) }, state(0, Availability::Ready, None), StoreLine::Alive { at: at(60) }];
    let added = replay::replay(lines.clone(), moment(80)).added;
    let told = told(lines.clone(), 80);
    let outage = &told.outages[0];
    assert_eq!(
        (outage.kind.as_ref().map(Word::as_str), outage.until.as_deref(), outage.seconds),
        (Some("not_running"), None, 20.0)
    );
    assert_eq!(told.availability, Some(0.75));
    let next = [
        lines,
        added,
        vec![StoreLine::Started { at: at(80) }, state(85, Availability::Ready, None), StoreLine::Alive { at: at(90) }],
    ];
    let mut next = replay::replay(next.concat(), moment(90));
    assert_eq!(
        next.records.remove(0).1.report("t", at(90)).outages[1].seconds,
        25.0,
        "it is known to the next one, too"
    );
}

#[test]
fn open_outage_goes_on_with_its_cause() {
    let lines = vec![
        StoreLine::Started { at: at(0) },
        state(0, Availability::Ready, None),
        state(50, Availability::NotReady, Some(cause("dns"))),
        StoreLine::Alive { at: at(60) },
    ];
    let told = told(lines, 3 * DAY);
    assert_eq!(told.outages.len(), 1);
    assert_eq!(
        (told.outages[0].kind.as_ref().map(Word::as_str), told.outages[0].from.as_str()),
        (Some("dns"), "2026-01-01T12:00:50Z")
    );
    assert_eq!((told.outages[0].seconds, told.availability), ((3 * DAY - 50) as f64, Some(0.0)));
}

#[test]
fn clock_set_back_between_runs_makes_no_negative_time() {
    let lines = vec![
        StoreLine::Started { at: at(DAY) },
        state(DAY, Availability::Ready, None),
        state(DAY + 50, Availability::NotReady, Some(cause("dns"))),
        state(DAY + 60, Availability::Ready, None),
        StoreLine::Alive { at: at(DAY + 100) },
    ];
    let told = told(lines, 0);
    assert_eq!(told.outages.len(), 2, "{told:?}");
    assert_eq!((told.outages[1].seconds, told.outages[0].seconds), (10.0, 0.0));
    assert_eq!(told.availability, Some(0.9));
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("history.jsonl")
    }

    fn open(&self) -> std::io::Result<(file::HistoryFile, Vec<StoreLine>)> {
        file::open(self.0.path())
    }
}

#[test]
fn truncated_line_is_skipped_and_the_next_one_read() {
    let folder = Folder::new();
    let (line, next) = (state(0, Availability::Ready, None), state(9, Availability::NotWanted, None));
    folder.open().unwrap().0.append(&line.encoded()).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(folder.path()).unwrap();
    file.write_all(&next.encoded()[..20]).unwrap();
    let (mut file, lines) = folder.open().unwrap();
    assert_eq!(lines, std::slice::from_ref(&line));
    file.append(&next.encoded()).unwrap();
    drop(file);
    assert_eq!(folder.open().unwrap().1, [line, next]);
    assert!(!folder.0.path().join("history.jsonl.damaged").exists());
}

#[test]
fn damaged_file_is_moved_aside_good_lines_kept() {
    let folder = Folder::new();
    let line = state(0, Availability::Ready, None);
    let (mut file, _) = folder.open().unwrap();
    let zeros = [&[0; 100][..], b"\n"].concat();
    for text in [&line.encoded(), &zeros, &vec![b'x'; 40_000], &line.encoded()] {
        file.append(text).unwrap();
    }
    drop(file);
    let (file, lines) = folder.open().unwrap();
    assert_eq!(lines.first(), Some(&line));
    drop(file);
    assert_eq!(folder.open().unwrap().1, lines, "whole again");
    assert!(folder.0.path().join("history.jsonl.damaged").exists());
}

#[test]
fn foreign_file_is_moved_aside() {
    for foreign in ["a,b,c\n1,2,3\n", "x", "{\"line\":\"history\",\"version\":99}\n"] {
        let folder = Folder::new();
        fs::write(folder.path(), foreign).unwrap();
        assert_eq!(folder.open().unwrap().1, []);
        assert_eq!(fs::read_to_string(folder.0.path().join("history.jsonl.damaged")).unwrap(), foreign);
    }
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    assert!(folder.open().is_ok(), "a folder of that name");
}

#[test]
fn second_process_does_not_write_into_the_same_file() {
    let folder = Folder::new();
    let _first = folder.open().unwrap();
    assert!(folder.open().unwrap_err().to_string().starts_with("another tunneld uses it"));
}

#[test]
fn file_is_bounded_and_keeps_the_last_day() {
    const MIB: u64 = 1 << 20;
    let folder = Folder::new();
    let (mut file, _) = folder.open().unwrap();
    let long = Cause { kind: Some(Word::read("connection_lost")), message: "\"".repeat(300) };
    let mut longest = 0;
    for second in (0..7 * DAY).step_by(60) {
        let mut text = state(second, Availability::NotReady, Some(long.clone())).encoded();
        text.extend(state(second + 30, Availability::Ready, None).encoded());
        text.extend(StoreLine::Alive { at: at(second + 30) }.encoded());
        if second % 300 == 0 {
            let sample = super::super::samples::Sample::default();
            text.extend(StoreLine::Sample(SampleLine { tunnel: "t".to_owned(), at: at(second), sample }).encoded());
        }
        file.append(&text).unwrap();
        file.compact(at(second)).unwrap();
        longest = longest.max(fs::metadata(folder.path()).unwrap().len());
    }
    assert!(longest < MIB, "{longest} bytes");
    drop(file);
    let lines = folder.open().unwrap().1;
    assert!(lines.iter().filter(|line| matches!(line, StoreLine::Sample(_))).count() >= 288);
    let told = told(lines, 7 * DAY);
    assert_eq!(told.outages.first().map(|outage| outage.seconds), Some(30.0));
    assert_eq!(told.outages.len(), 101);
}

#[test]
fn tunnel_that_left_the_config_is_forgotten_after_a_day() {
    let lines = vec![
        state(0, Availability::Ready, None),
        state(60, Availability::NotWanted, None),
        StoreLine::Alive { at: at(60) },
    ];
    assert_eq!(compact::compacted(lines.clone(), at(DAY)).len(), 3);
    assert_eq!(compact::compacted(lines, at(DAY + 61)), [StoreLine::Alive { at: at(60) }]);
}

proptest! {
    #[test]
    fn record_that_is_read_again_is_the_same(changes in proptest::collection::vec((0u8..3, 1u64..2000), 1..40)) {
        let start = moment(0);
        let after = |seconds: u64| {
            let later = Duration::from_secs(seconds);
            Moment { awake: start.awake + later, wall: start.wall + later }
        };
        let mut live = TunnelRecord::new(start);
        let mut lines = vec![StoreLine::Started { at: at(0) }];
        let mut now = 0;
        for (number, length) in changes {
            let next = [Availability::NotWanted, Availability::NotReady, Availability::Ready][usize::from(number)];
            live.change(next, Some(&cause("dns")), after(now));
            lines.push(state(now, next, Some(cause("dns"))));
            now += length;
        }
        live.change(Availability::NotWanted, None, after(now));
        lines.extend([state(now, Availability::NotWanted, None), StoreLine::Stopped { at: at(now) }]);
        let (live, read) = (live.report("t", at(now)), told(lines, now));
        prop_assert_eq!((live.availability, live.outages), (read.availability, read.outages));
    }
}
