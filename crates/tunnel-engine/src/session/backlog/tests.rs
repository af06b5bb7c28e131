//! What is counted, whom it slows down and who is cut off.

use std::task::Waker;

use super::*;

const MIB: usize = 1024 * 1024;

fn pace(backlog: &Backlog) -> Pace {
    backlog.pace(Waker::noop())
}

fn stops(backlog: &Backlog) -> bool {
    matches!(pace(backlog), Pace::Stop(_))
}

#[test]
fn the_more_waits_the_slower_the_link_is_read_until_not_at_all() {
    assert_eq!(pace(&Backlog::default()), Pace::Free);
    assert_eq!(pause(FREE), Some(Duration::ZERO));
    assert_eq!(pause((FREE + FULL) / 2), Some(LONGEST_PAUSE / 2));
    assert_eq!(pause(FULL), None);
}

#[test]
fn what_is_taken_or_abandoned_waits_no_more() {
    let backlog = Backlog::default();
    backlog.arrived(1, FULL);
    assert!(stops(&backlog));
    backlog.taken(1, FULL);
    assert_eq!(pace(&backlog), Pace::Free);
    backlog.arrived(2, FULL);
    backlog.abandoned(2);
    assert_eq!(pace(&backlog), Pace::Free);
    backlog.arrived(2, FULL);
    assert_eq!(pace(&backlog), Pace::Free, "nobody will take it, and russh does not keep it");
}

#[test]
fn a_reader_that_is_faster_than_the_count_is_counted_once() {
    let backlog = Backlog::default();
    backlog.taken(1, FULL);
    backlog.arrived(1, FULL);
    backlog.arrived(1, FULL);
    assert!(stops(&backlog));
    backlog.taken(1, FULL);
    assert_eq!(pace(&backlog), Pace::Free);
}

#[test]
fn a_channel_number_is_used_again_after_the_channel_was_closed() {
    let backlog = Backlog::default();
    backlog.abandoned(1);
    backlog.closed(1);
    assert!(backlog.lock().channels.is_empty());
    backlog.abandoned(1);
    backlog.opened(1, CancellationToken::new());
    backlog.arrived(1, FULL);
    assert!(stops(&backlog));
}

#[test]
fn a_channel_that_both_sides_are_done_with_leaves_nothing_whoever_is_first() {
    let backlog = Backlog::default();
    for (first, second) in [
        (Backlog::closed as fn(&Backlog, u32), Backlog::abandoned as fn(&Backlog, u32)),
        (Backlog::abandoned, Backlog::closed),
    ] {
        first(&backlog, 1);
        second(&backlog, 1);
        assert!(backlog.lock().channels.is_empty());
    }
}

#[test]
fn many_small_messages_count_as_what_they_cost() {
    let backlog = Backlog::default();
    for _ in 0..FULL / PER_MESSAGE {
        backlog.arrived(1, 1);
    }
    assert!(stops(&backlog));
}

/// Channel 1 stands still, channel 2 reads.
fn two_readers() -> (Backlog, CancellationToken, CancellationToken) {
    let (backlog, still, reads) = (Backlog::default(), CancellationToken::new(), CancellationToken::new());
    backlog.opened(1, still.clone());
    backlog.opened(2, reads.clone());
    backlog.belongs_to(1, Owner { listen: "3307".to_owned(), peer: "127.0.0.1:4000".to_owned() });
    backlog.arrived(1, 40 * MIB);
    backlog.arrived(2, 24 * MIB);
    (backlog, still, reads)
}

#[tokio::test(start_paused = true)]
async fn the_reader_that_holds_a_session_back_is_named_once_and_until_little_waits() {
    let (backlog, _, _) = two_readers();
    let mut told = backlog.held_back();
    assert!(stops(&backlog) && stops(&backlog));
    let held = told.borrow_and_update().clone().expect("told");
    assert_eq!(held.to_string(), "held back by a slow reader: 3307 from 127.0.0.1:4000 has 40 MiB waiting");
    backlog.taken(1, 20 * MIB);
    assert!(matches!(pace(&backlog), Pace::After(_)));
    assert!(!told.has_changed().expect("sender"), "the link is read, but slowly");
    backlog.taken(2, 24 * MIB);
    backlog.taken(1, 10 * MIB);
    assert_eq!(*told.borrow_and_update(), None);
}

#[tokio::test(start_paused = true)]
async fn only_the_reader_with_the_most_unread_bytes_is_cut_off_and_only_when_it_takes_nothing() {
    let (backlog, still, reads) = two_readers();
    let Pace::Stop(until) = pace(&backlog) else { panic!("it stops") };
    assert_eq!(until, clock::now() + SLOW_READER_LIMIT);
    tokio::time::advance(SLOW_READER_LIMIT / 2).await;
    backlog.taken(1, 1);
    tokio::time::advance(SLOW_READER_LIMIT / 2).await;
    backlog.cut_slowest(clock::now());
    assert!(!still.is_cancelled(), "it took a byte in the meantime");
    backlog.arrived(2, MIB);
    assert_eq!(pace(&backlog), Pace::Stop(clock::now() + SLOW_READER_LIMIT / 2));
    tokio::time::advance(SLOW_READER_LIMIT / 2).await;
    backlog.cut_slowest(clock::now());
    assert!(still.is_cancelled() && !reads.is_cancelled());
    backlog.abandoned(1);
    assert!(matches!(pace(&backlog), Pace::After(_)));
}
