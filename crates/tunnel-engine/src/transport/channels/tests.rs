//! Open channels: windows, ends, and what hostile servers say. They are the server's, so that a test begins with one.

use super::*;

fn waker() -> Waker {
    Waker::noop().clone()
}

fn message(number: u8, numbers: &[u32], text: Option<&[u8]>) -> Vec<u8> {
    let mut out = about(number, numbers);
    if let Some(text) = text {
        put_string(&mut out, text);
    }
    out
}

/// The server opens a channel, which is taken; gives its number and the answer. `takes`: the server's window, and its
/// longest message.
fn agree(channels: &mut Channels, theirs: u32, takes: [u32; 2]) -> (u32, Vec<u8>) {
    let mut open = vec![MSG_CHANNEL_OPEN];
    put_string(&mut open, b"forwarded-tcpip");
    [theirs, takes[0], takes[1]].into_iter().for_each(|number| put_u32(&mut open, number));
    for host in [b"localhost", b"127.0.0.1"] {
        put_string(&mut open, host);
        put_u32(&mut open, 80);
    }
    let Ok(FromServer::Offered(offer)) = take(channels, open.into()) else { panic!("an offer") };
    let ours = channels.accept(&offer);
    let mut sent = std::iter::from_fn(|| channels.poll_message());
    (ours, sent.find(|message| message[0] == MSG_CHANNEL_OPEN_CONFIRMATION).expect("yes"))
}

/// Ours of the channel that the tests are about.
const OURS: u32 = 0;

/// With one channel, which the server calls 70.
fn channels() -> Channels {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    assert_eq!(agree(&mut channels, 70, [1 << 20, 32768]).0, OURS);
    channels
}

fn take(channels: &mut Channels, payload: Bytes) -> Result<FromServer, TransportError> {
    channels.server_says(payload, crate::clock::now())
}

fn data(channels: &mut Channels, bytes: usize) -> Result<FromServer, TransportError> {
    take(channels, message(MSG_CHANNEL_DATA, &[OURS], Some(&vec![7; bytes])).into())
}

#[test]
fn window_is_granted_when_the_reader_has_taken() {
    let mut channels = channels();
    for _ in 0..64 {
        assert_eq!(data(&mut channels, 32 * 1024), Ok(FromServer::Data(32 * 1024)));
    }
    assert_eq!(channels.poll_message(), None);
    assert_eq!(data(&mut channels, 1), Err(TransportError::WindowExceeded));
    let mut channels = self::channels();
    for _ in 0..8 {
        data(&mut channels, 32 * 1024).unwrap();
        assert_eq!(channels.read(OURS, &waker(), crate::clock::now()).map(|bytes| bytes.len()), Some(32 * 1024));
    }
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_WINDOW_ADJUST, &[70, 256 * 1024], None)));
    assert_eq!(channels.poll_message(), None);
    assert_eq!(channels.read(OURS, &waker(), crate::clock::now()), None);
}

#[test]
fn requests_of_the_server_are_refused_where_they_want_an_answer() {
    let mut channels = channels();
    let mut request = message(MSG_CHANNEL_REQUEST, &[OURS], Some(b"exit-signal"));
    request.push(0);
    assert_eq!(take(&mut channels, request.clone().into()), Ok(FromServer::Handled));
    assert_eq!(channels.poll_message(), None);
    *request.last_mut().unwrap() = 1;
    assert_eq!(take(&mut channels, request.into()), Ok(FromServer::Handled));
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_FAILURE, &[70], None)));
    for number in [MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE] {
        assert_eq!(take(&mut channels, message(number, &[OURS], None).into()), Ok(FromServer::Handled));
    }
}

#[test]
fn data_for_no_channel_and_after_close_is_an_error() {
    let mut channels = channels();
    let other = message(MSG_CHANNEL_DATA, &[6], Some(b"x"));
    assert_eq!(take(&mut channels, other.into()), Err(TransportError::Unexpected(MSG_CHANNEL_DATA)));
    take(&mut channels, message(MSG_CHANNEL_CLOSE, &[OURS], None).into()).unwrap();
    assert_eq!(data(&mut channels, 1), Err(TransportError::Unexpected(MSG_CHANNEL_DATA)));
}

#[test]
fn bytes_sent_obey_window_and_packet_size() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    agree(&mut channels, 70, [50_000, 1 << 20]);
    assert_eq!(channels.may_send(OURS, 100_000, &waker()), Ok(Some((70, 32 * 1024))));
    assert_eq!(channels.may_send(OURS, 100_000, &waker()), Ok(Some((70, 50_000 - 32 * 1024))));
    assert_eq!(channels.may_send(OURS, 100_000, &waker()), Ok(None));
    let adjust = message(MSG_CHANNEL_WINDOW_ADJUST, &[OURS, 7], None);
    assert_eq!(take(&mut channels, adjust.into()), Ok(FromServer::Adjusted));
    assert_eq!(channels.may_send(OURS, 100_000, &waker()), Ok(Some((70, 7))));
    let adjust = message(MSG_CHANNEL_WINDOW_ADJUST, &[OURS, u32::MAX], None);
    take(&mut channels, adjust.clone().into()).unwrap();
    take(&mut channels, adjust.into()).unwrap();
    take(&mut channels, message(MSG_CHANNEL_CLOSE, &[OURS], None).into()).unwrap();
    assert_eq!(channels.may_send(OURS, 1, &waker()), Err(Ended));
}

#[test]
fn eof_comes_before_close_and_each_once() {
    let mut channels = channels();
    channels.end(OURS);
    channels.end(OURS);
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_EOF, &[70], None)));
    assert_eq!(channels.poll_message(), None);
    assert_eq!(channels.may_send(OURS, 1, &waker()), Err(Ended));
    channels.close(OURS);
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
    channels.close(OURS);
    assert_eq!(channels.poll_message(), None);
}

#[test]
fn server_may_use_a_number_again_after_both_have_closed() {
    let mut channels = channels();
    channels.close(OURS);
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
    take(&mut channels, message(MSG_CHANNEL_CLOSE, &[OURS], None).into()).unwrap();
    let (second, _) = agree(&mut channels, 70, [1 << 20, 32768]);
    assert_eq!((second, channels.poll_message()), (OURS + 1, None), "the first one's reader has not gone yet");
    channels.abandon(OURS);
    channels.close(second);
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
}

#[test]
fn closed_channels_are_forgotten_when_their_reader_has_gone() {
    let mut channels = channels();
    data(&mut channels, 9).unwrap();
    take(&mut channels, message(MSG_CHANNEL_CLOSE, &[OURS], None).into()).unwrap();
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
    assert_eq!(
        channels.read(OURS, &waker(), crate::clock::now()).map(|bytes| bytes.len()),
        Some(9),
        "what came is still read"
    );
    channels.abandon(OURS);
    assert!(channels.open.is_empty());
}

#[test]
fn any_message_of_the_server_is_handled_without_panic() {
    let mut channels = channels();
    for number in 80..=100 {
        for length in 0..24 {
            for byte in [0, 5, 70, 0xff] {
                let _ = take(&mut channels, [&[number][..], &vec![byte; length]].concat().into());
                let _ = channels.poll_message();
            }
        }
    }
}

#[test]
fn writer_that_asks_again_waits_once() {
    let mut channels = channels();
    (0..3).for_each(|_| channels.wait(OURS, &waker()));
    assert_eq!(channels.waiting.len(), 1);
    channels.wake_waiting();
    assert!(channels.waiting.is_empty() && channels.open[&OURS].writer.is_none());
}

#[test]
fn writers_are_woken_a_few_at_a_time() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    let last = MAX_WOKEN as u32;
    for ours in OURS..=last {
        assert_eq!(agree(&mut channels, 70 + ours, [1 << 20, 32768]).0, ours);
        channels.wait(ours, &waker());
    }
    assert!(channels.wake_waiting(), "one is left");
    assert!(channels.open[&OURS].writer.is_none() && channels.open[&last].writer.is_some());
    assert!(!channels.wake_waiting() && channels.open[&last].writer.is_none());
}

/// The server takes its time with CLOSE, or never says it.
#[test]
fn abandoned_channels_take_no_window_from_new_ones() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    for ours in OURS..200 {
        assert_eq!(agree(&mut channels, 70 + ours, [1 << 20, 32768]).0, ours);
        channels.close(ours);
        channels.abandon(ours);
    }
    assert_eq!(data(&mut channels, 2 << 20), Ok(FromServer::Data(2 << 20)), "it was granted, and is dropped");
    let (_, sent) = agree(&mut channels, 700, [1 << 20, 32768]);
    assert_eq!(sent, message(MSG_CHANNEL_OPEN_CONFIRMATION, &[700, 200, 2 << 20, 32768], None));
}

#[test]
fn windows_of_a_hostile_server_are_its_own_loss() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    // It takes nothing.
    agree(&mut channels, 70, [0, 1]);
    assert_eq!(channels.may_send(OURS, 9, &waker()), Ok(None));
    for bytes in [0, u32::MAX, u32::MAX] {
        let adjust = message(MSG_CHANNEL_WINDOW_ADJUST, &[OURS, bytes], None);
        assert_eq!(take(&mut channels, adjust.into()), Ok(FromServer::Adjusted), "beyond 2^32 it counts as all");
    }
    assert_eq!(channels.may_send(OURS, 9, &waker()), Ok(Some((70, 1))));
    let (second, _) = agree(&mut channels, 71, [u32::MAX, u32::MAX]);
    assert_eq!(channels.may_send(second, 1 << 20, &waker()), Ok(Some((71, 32 * 1024))), "as OpenSSH takes it");
    let third = channels.open("x", &[], Content::Bytes);
    let yes = message(MSG_CHANNEL_OPEN_CONFIRMATION, &[third, 72, u32::MAX, 0], None);
    assert_eq!(take(&mut channels, yes.into()), Ok(FromServer::Handled));
    assert_eq!(channels.may_send(third, 9, &waker()), Ok(None), "no message is so short");
    let unknown = message(MSG_CHANNEL_WINDOW_ADJUST, &[4711, 1], None);
    assert_eq!(take(&mut channels, unknown.into()), Ok(FromServer::Adjusted));
}

#[test]
fn thousands_of_channels_leave_no_window_behind() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    for ours in OURS..6000 {
        assert_eq!(agree(&mut channels, 70, [1 << 20, 32768]).0, ours);
        channels.close(ours);
        channels.abandon(ours);
        assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
        take(&mut channels, message(MSG_CHANNEL_CLOSE, &[ours], None).into()).unwrap();
    }
    assert!(channels.open.is_empty());
    let (_, sent) = agree(&mut channels, 70, [1 << 20, 32768]);
    assert_eq!(sent, message(MSG_CHANNEL_OPEN_CONFIRMATION, &[70, 6000, 2 << 20, 32768], None));
}
