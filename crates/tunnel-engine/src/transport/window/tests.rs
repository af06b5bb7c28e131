//! Windows by hand: what came and was taken, and what is granted and how they grow and shrink then.

use std::collections::VecDeque;

use super::*;

const MIB: u32 = 1024 * 1024;

fn window(max: u32) -> (Window, Room) {
    let mut room = Room::new(max);
    (Window::new(&mut room), room)
}

/// The server uses all of it eight times, and each piece is taken at once.
fn use_much(window: &mut Window, room: &mut Room, now: Instant) {
    for _ in 0..8 {
        while window.granted > 0 {
            let piece = window.granted.min(32 * 1024) as usize;
            window.received(piece).unwrap();
            window.taken(piece, room, now);
        }
        window.grant();
    }
}

#[test]
fn reader_that_takes_nothing_is_granted_nothing() {
    let (mut window, mut room) = window(16 * MIB);
    window.received(2 * MIB as usize).unwrap();
    assert_eq!(window.grant(), None);
    assert_eq!(window.received(1), Err(TransportError::WindowExceeded));
    window.taken(MIB as usize, &mut room, crate::clock::now());
    assert_eq!(window.grant(), Some(MIB));
    assert_eq!(window.unread, MIB);
}

#[test]
fn small_amounts_are_granted_together() {
    let (mut window, mut room) = window(16 * MIB);
    window.received(300 * 1024).unwrap();
    window.taken(255 * 1024, &mut room, crate::clock::now());
    assert_eq!(window.grant(), None);
    window.taken(1024, &mut room, crate::clock::now());
    assert_eq!(window.grant(), Some(256 * 1024));
}

#[test]
fn window_grows_while_the_reader_keeps_up() {
    let (mut fast, mut room) = window(16 * MIB);
    use_much(&mut fast, &mut room, crate::clock::now());
    assert_eq!((fast.size, room.begun, room.grown), (16 * MIB, 2 << 20, 14 << 20));
    let (mut slow, mut room) = window(16 * MIB);
    slow.received(2 * MIB as usize).unwrap();
    slow.taken(2 * MIB as usize, &mut room, crate::clock::now());
    assert_eq!(slow.size, 2 * MIB, "what came waits for its reader");
    let (mut trickle, mut room) = window(16 * MIB);
    let mut now = crate::clock::now();
    for _ in 0..10_000 {
        trickle.received(1024).unwrap();
        trickle.taken(1024, &mut room, now);
        trickle.grant();
        now += Duration::from_millis(1);
    }
    assert_eq!(trickle.size, 2 * MIB, "a MiB a second needs no more on any path");
    let (mut small, mut room) = window(MIB);
    use_much(&mut small, &mut room, crate::clock::now());
    assert_eq!((small.size, room.begun, room.grown), (MIB, 1 << 20, 0));
}

/// The size of a window, in MiB, after a GiB from a server that sends as fast as the path and the window let it.
fn size_after(path_mib_a_second: u32, round_trip: Duration, known: Option<Duration>) -> u32 {
    let (mut window, mut room) = window(16 * MIB);
    known.into_iter().for_each(|known| room.note_round_trip(known, crate::clock::now()));
    download(&mut window, &mut room, path_mib_a_second, round_trip);
    window.size / MIB
}

fn download(window: &mut Window, room: &mut Room, path_mib_a_second: u32, round_trip: Duration) {
    const PIECE: u32 = 32 * 1024;
    let (mut sent, mut credit, mut grants) = (crate::clock::now(), window.granted, VecDeque::new());
    for _ in 0..32 * 1024 {
        while let Some(&(came, bytes)) = grants.front()
            && (credit < PIECE || came <= sent)
        {
            (sent, credit) = (sent.max(came), credit + bytes);
            grants.pop_front();
        }
        credit -= PIECE;
        sent += Duration::from_secs(1) / (32 * path_mib_a_second);
        window.received(PIECE as usize).unwrap();
        window.taken(PIECE as usize, room, sent + round_trip / 2);
        grants.extend(window.grant().map(|bytes| (sent + round_trip, bytes)));
    }
}

#[test]
fn window_grows_to_what_the_path_needs() {
    let millis = Duration::from_millis;
    for (mib_a_second, round_trip, mib) in [
        (1024, Duration::from_micros(100), 2),
        (1024, millis(1), 4),
        (1024, millis(3), 8),
        (1024, millis(10), 16),
        (100, millis(10), 4),
        (100, millis(30), 8),
        (100, millis(100), 16),
        (4, millis(100), 2),
        (4, millis(600), 8),
        (4, millis(2000), 16),
    ] {
        let grown = size_after(mib_a_second, round_trip, Some(round_trip));
        assert_eq!(grown, mib, "{mib_a_second} MiB/s, {round_trip:?}");
    }
}

#[test]
fn window_that_gains_nothing_stays() {
    let near = Duration::from_micros(100);
    for known in [None, Some(Duration::from_millis(2))] {
        assert_eq!(size_after(1024, near, known), 8, "a round trip that is not so long: {known:?}");
    }
}

#[test]
fn window_shrinks_when_the_server_has_become_slow() {
    let (mut window, mut room) = window(16 * MIB);
    let near = Duration::from_millis(20);
    room.note_round_trip(near, crate::clock::now());
    download(&mut window, &mut room, 1024, near);
    assert_eq!(window.size, 16 * MIB);
    download(&mut window, &mut room, 13, near);
    assert_eq!((window.size, room.begun, room.grown), (2 * MIB, 2 << 20, 0));
    assert_eq!(window.wanted_in_a_row, 8);
    download(&mut window, &mut room, 1024, near);
    assert_eq!(window.size, 16 * MIB, "it grows again, later");
}

#[test]
fn pauses_between_bursts_are_not_the_path() {
    let (mut window, mut room) = window(16 * MIB);
    let mut now = crate::clock::now();
    room.note_round_trip(Duration::from_millis(20), now);
    download(&mut window, &mut room, 1024, Duration::from_millis(20));
    now += Duration::from_secs(60);
    for _ in 0..1000 {
        use_much(&mut window, &mut room, now);
        now += Duration::from_secs(1);
    }
    assert_eq!(window.size, 16 * MIB);
}

#[test]
fn window_that_comes_at_once_grows() {
    let (mut room, mut now) = (Room::new(16 * MIB), crate::clock::now());
    room.note_round_trip(Duration::from_millis(100), now);
    let _beside: Vec<Window> = (0..70).map(|_| Window::new(&mut room)).collect();
    let mut window = Window::new(&mut room);
    assert_eq!(window.size, MIN_INITIAL);
    for _ in 0..32 {
        // All of it is there before its reader runs.
        let all = std::mem::take(&mut window.granted);
        window.unread += all;
        (0..all / (32 * 1024)).for_each(|_| window.taken(32 * 1024, &mut room, now));
        window.grant();
        now += Duration::from_millis(100);
    }
    assert!(window.size >= MIB / 2, "{}", window.size);
}

#[test]
fn window_beside_many_idle_ones_grows_as_one_alone() {
    let (mut room, now) = (Room::new(16 * MIB), crate::clock::now());
    let _idle: Vec<Window> = (0..1000).map(|_| Window::new(&mut room)).collect();
    let mut window = Window::new(&mut room);
    assert_eq!(window.size, MIN_INITIAL);
    use_much(&mut window, &mut room, now);
    assert_eq!(window.size, 16 * MIB);
}

#[test]
fn sum_of_all_windows_is_bounded() {
    let mut room = Room::new(16 * MIB);
    let mut windows: Vec<Window> = (0..8).map(|_| Window::new(&mut room)).collect();
    windows.iter_mut().for_each(|window| use_much(window, &mut room, crate::clock::now()));
    let growth = (16 << 20) + FOR_GROWTH;
    assert!(room.grown > growth / 2 && room.grown <= growth, "{}", room.grown);
    windows.extend((0..2000).map(|_| Window::new(&mut room)));
    assert!(windows.iter().all(|window| window.size >= MIN_INITIAL));
    assert!(room.begun < FOR_NEW + 2000 * u64::from(MIN_INITIAL), "{}", room.begun);
    windows.iter_mut().for_each(|window| window.give_back(&mut room));
    assert!(windows.iter_mut().all(|window| window.grant().is_none()));
    assert_eq!((room.begun, room.grown, Window::new(&mut room).initial()), (0, 0, INITIAL));
}

#[test]
fn sum_of_granted_and_unread_never_exceeds_the_size() {
    let (mut window, mut room) = window(4 * MIB);
    for step in 0..1000_usize {
        let bytes = (step * 7919) % 40_000;
        if window.received(bytes).is_ok() && step % 3 == 0 {
            window.taken(bytes, &mut room, crate::clock::now());
            let _ = window.grant();
        }
        assert!(window.granted + window.unread <= window.size && window.size <= 4 * MIB);
    }
}
