//! Channels between a server and russh: windows, ends, and what hostile servers say.

use super::*;
use crate::transport::wire::put_string;

fn waker() -> Waker {
    Waker::noop().clone()
}

fn message(number: u8, numbers: &[u32], text: Option<&[u8]>) -> Vec<u8> {
    let mut out = vec![number];
    numbers.iter().for_each(|number| put_u32(&mut out, *number));
    if let Some(text) = text {
        put_string(&mut out, text);
    }
    out
}

/// The server opens a channel, and russh says yes; gives what is sent of that. `takes`: the server's window, and its
/// longest message.
fn agree(channels: &mut Channels, ours: u32, theirs: u32, takes: [u32; 2]) -> Vec<u8> {
    let mut open = vec![MSG_CHANNEL_OPEN];
    put_string(&mut open, b"forwarded-tcpip");
    [theirs, takes[0], takes[1]].into_iter().for_each(|number| put_u32(&mut open, number));
    assert!(matches!(take(channels, open.into()), Ok(FromServer::Pass(_))));
    let yes = message(MSG_CHANNEL_OPEN_CONFIRMATION, &[theirs, ours, 1, 32768], None);
    channels.client_says(&yes).unwrap().unwrap().into_owned()
}

/// With channel 5, which the server calls 70.
fn channels() -> Channels {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    agree(&mut channels, 5, 70, [1 << 20, 32768]);
    channels
}

fn take(channels: &mut Channels, payload: Bytes) -> Result<FromServer, TransportError> {
    channels.server_says(payload, crate::clock::now())
}

fn data(channels: &mut Channels, bytes: usize) -> Result<FromServer, TransportError> {
    take(channels, message(MSG_CHANNEL_DATA, &[5], Some(&vec![7; bytes])).into())
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
        assert_eq!(channels.read(5, &waker(), crate::clock::now()).map(|bytes| bytes.len()), Some(32 * 1024));
    }
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_WINDOW_ADJUST, &[70, 256 * 1024], None)));
    assert_eq!(channels.poll_message(), None);
    assert_eq!(channels.read(5, &waker(), crate::clock::now()), None);
}

/// russh queues each of these for the channel's reader, who may be slow.
#[test]
fn requests_are_answered_here_and_eof_is_passed_once() {
    let mut channels = channels();
    let mut request = message(MSG_CHANNEL_REQUEST, &[5], Some(b"exit-signal"));
    request.push(0);
    assert_eq!(take(&mut channels, request.clone().into()), Ok(FromServer::Handled));
    assert_eq!(channels.poll_message(), None);
    *request.last_mut().unwrap() = 1;
    assert_eq!(take(&mut channels, request.into()), Ok(FromServer::Handled));
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_FAILURE, &[70], None)));
    for number in [MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE] {
        assert_eq!(take(&mut channels, message(number, &[5], None).into()), Ok(FromServer::Handled));
    }
    let eof = Bytes::from(message(MSG_CHANNEL_EOF, &[5], None));
    assert_eq!(take(&mut channels, eof.clone()), Ok(FromServer::Pass(eof.clone())));
    assert_eq!(take(&mut channels, eof), Ok(FromServer::Handled));
}

#[test]
fn adjustments_of_russhs_are_not_sent() {
    let mut channels = channels();
    assert_eq!(channels.client_says(&message(MSG_CHANNEL_WINDOW_ADJUST, &[70, 9], None)), Ok(None));
}

#[test]
fn data_for_no_channel_and_after_close_is_an_error() {
    let mut channels = channels();
    let other = message(MSG_CHANNEL_DATA, &[6], Some(b"x"));
    assert_eq!(take(&mut channels, other.into()), Err(TransportError::Unexpected(MSG_CHANNEL_DATA)));
    take(&mut channels, message(MSG_CHANNEL_CLOSE, &[5], None).into()).unwrap();
    assert_eq!(data(&mut channels, 1), Err(TransportError::Unexpected(MSG_CHANNEL_DATA)));
}

#[test]
fn bytes_sent_obey_window_and_packet_size() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    agree(&mut channels, 5, 70, [50_000, 1 << 20]);
    assert_eq!(channels.may_send(5, 100_000, &waker()), Ok(Some((70, 32 * 1024))));
    assert_eq!(channels.may_send(5, 100_000, &waker()), Ok(Some((70, 50_000 - 32 * 1024))));
    assert_eq!(channels.may_send(5, 100_000, &waker()), Ok(None));
    let adjust = message(MSG_CHANNEL_WINDOW_ADJUST, &[5, 7], None);
    assert_eq!(take(&mut channels, adjust.into()), Ok(FromServer::Adjusted));
    assert_eq!(channels.may_send(5, 100_000, &waker()), Ok(Some((70, 7))));
    let adjust = message(MSG_CHANNEL_WINDOW_ADJUST, &[5, u32::MAX], None);
    take(&mut channels, adjust.clone().into()).unwrap();
    take(&mut channels, adjust.into()).unwrap();
    take(&mut channels, message(MSG_CHANNEL_CLOSE, &[5], None).into()).unwrap();
    assert_eq!(channels.may_send(5, 1, &waker()), Err(Ended));
}

#[test]
fn window_of_servers_channel_is_in_its_open() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    let mut asked = vec![MSG_CHANNEL_OPEN];
    put_string(&mut asked, b"forwarded-tcpip");
    [70, 9, 4].into_iter().for_each(|number| put_u32(&mut asked, number));
    take(&mut channels, asked.into()).unwrap();
    channels.attach(5);
    assert_eq!(channels.may_send(5, 100, &waker()), Ok(None), "russh has not said yes");
    channels.client_says(&message(MSG_CHANNEL_OPEN_CONFIRMATION, &[70, 5, 1, 32768], None)).unwrap();
    assert!(channels.offered.is_empty());
    assert_eq!(channels.may_send(5, 100, &waker()), Ok(Some((70, 4))));
    assert_eq!(channels.may_send(5, 100, &waker()), Ok(Some((70, 4))));
    assert_eq!(channels.may_send(5, 100, &waker()), Ok(Some((70, 1))));
}

#[test]
fn eof_comes_before_close_and_each_once() {
    let mut channels = channels();
    channels.end(5);
    channels.end(5);
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_EOF, &[70], None)));
    assert_eq!(channels.poll_message(), None);
    assert_eq!(channels.may_send(5, 1, &waker()), Err(Ended));
    channels.close(5);
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
    channels.close(5);
    assert_eq!(channels.poll_message(), None);
}

#[test]
fn russhs_late_close_is_swallowed() {
    let mut channels = channels();
    channels.close(5);
    assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
    let close = message(MSG_CHANNEL_CLOSE, &[5], None);
    assert!(matches!(take(&mut channels, close.into()), Ok(FromServer::Pass(_))), "russh forgets the channel");
    // The server gives the number to another channel before russh has answered.
    agree(&mut channels, 6, 70, [1 << 20, 32768]);
    let close = message(MSG_CHANNEL_CLOSE, &[70], None);
    assert_eq!(channels.client_says(&close), Ok(None), "of the old one");
    assert_eq!(channels.client_says(&close).unwrap().as_deref(), Some(&close[..]), "of the new one");
}

#[test]
fn closed_channels_are_forgotten_when_their_reader_has_gone() {
    let mut channels = channels();
    data(&mut channels, 9).unwrap();
    take(&mut channels, message(MSG_CHANNEL_CLOSE, &[5], None).into()).unwrap();
    channels.client_says(&message(MSG_CHANNEL_CLOSE, &[70], None)).unwrap();
    assert_eq!(
        channels.read(5, &waker(), crate::clock::now()).map(|bytes| bytes.len()),
        Some(9),
        "what came is still read"
    );
    channels.abandon(5);
    assert!(channels.open.is_empty() && channels.by_theirs.is_empty() && channels.unsaid.is_empty());
}

#[test]
fn any_message_of_the_server_is_handled_without_panic() {
    let mut channels = channels();
    for number in 80..=100 {
        for length in 0..24 {
            for byte in [0, 5, 70, 0xff] {
                let _ = take(&mut channels, [&[number][..], &vec![byte; length]].concat().into());
                let _ = channels.client_says(&[&[number][..], &vec![byte; length]].concat());
                let _ = channels.poll_message();
            }
        }
    }
}

#[test]
fn reader_may_come_before_russh_has_said_yes() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    channels.attach(5);
    assert_eq!(channels.read(5, &waker(), crate::clock::now()), None);
    let yes = message(MSG_CHANNEL_OPEN_CONFIRMATION, &[70, 5, 1, 32768], None);
    let sent = channels.client_says(&yes).unwrap().unwrap().into_owned();
    assert_eq!(sent, message(MSG_CHANNEL_OPEN_CONFIRMATION, &[70, 5, 2 << 20, 32768], None));
    assert!(channels.open[&5].reader.is_some(), "still to be woken");
    data(&mut channels, 3).unwrap();
    assert_eq!(channels.read(5, &waker(), crate::clock::now()).map(|bytes| bytes.len()), Some(3));
}

#[test]
fn writer_that_asks_again_waits_once() {
    let mut channels = channels();
    (0..3).for_each(|_| channels.wait(5, &waker()));
    assert_eq!(channels.waiting.len(), 1);
    channels.wake_waiting();
    assert!(channels.waiting.is_empty() && channels.open[&5].writer.is_none());
}

#[test]
fn writers_are_woken_a_few_at_a_time() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    let last = 5 + MAX_WOKEN as u32;
    for ours in 5..=last {
        agree(&mut channels, ours, 70 + ours, [1 << 20, 32768]);
        channels.wait(ours, &waker());
    }
    assert!(channels.wake_waiting(), "one is left");
    assert!(channels.open[&5].writer.is_none() && channels.open[&last].writer.is_some());
    assert!(!channels.wake_waiting() && channels.open[&last].writer.is_none());
}

/// The server takes its time with CLOSE, or never says it.
#[test]
fn abandoned_channels_take_no_window_from_new_ones() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    for ours in 5..205 {
        agree(&mut channels, ours, 70 + ours, [1 << 20, 32768]);
        channels.close(ours);
        channels.abandon(ours);
    }
    assert_eq!(data(&mut channels, 2 << 20), Ok(FromServer::Data(2 << 20)), "it was granted, and is dropped");
    let sent = agree(&mut channels, 205, 700, [1 << 20, 32768]);
    assert_eq!(sent, message(MSG_CHANNEL_OPEN_CONFIRMATION, &[700, 205, 2 << 20, 32768], None));
}

#[test]
fn windows_of_a_hostile_server_are_its_own_loss() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    // It takes nothing, or nothing in one message.
    agree(&mut channels, 5, 70, [0, 0]);
    assert_eq!(channels.may_send(5, 9, &waker()), Ok(None));
    for bytes in [0, u32::MAX, u32::MAX] {
        let adjust = message(MSG_CHANNEL_WINDOW_ADJUST, &[5, bytes], None);
        assert_eq!(take(&mut channels, adjust.into()), Ok(FromServer::Adjusted), "beyond 2^32 it counts as all");
    }
    assert_eq!(channels.may_send(5, 9, &waker()), Ok(None), "no message is so short");
    agree(&mut channels, 6, 71, [u32::MAX, u32::MAX]);
    assert_eq!(channels.may_send(6, 1 << 20, &waker()), Ok(Some((71, 32 * 1024))), "as OpenSSH takes it");
    let unknown = message(MSG_CHANNEL_WINDOW_ADJUST, &[4711, 1], None);
    assert_eq!(take(&mut channels, unknown.into()), Ok(FromServer::Adjusted));
}

#[test]
fn thousands_of_channels_leave_no_window_behind() {
    let mut channels = Channels::new(16 << 20, MessageCount::OpenSsh);
    for ours in 5..6005 {
        agree(&mut channels, ours, 70, [1 << 20, 32768]);
        channels.attach(ours);
        channels.close(ours);
        channels.abandon(ours);
        assert_eq!(channels.poll_message(), Some(message(MSG_CHANNEL_CLOSE, &[70], None)));
        take(&mut channels, message(MSG_CHANNEL_CLOSE, &[ours], None).into()).unwrap();
        assert_eq!(channels.client_says(&message(MSG_CHANNEL_CLOSE, &[70], None)), Ok(None));
    }
    assert!(channels.open.is_empty() && channels.by_theirs.is_empty() && channels.unsaid.is_empty());
    let sent = agree(&mut channels, 6005, 70, [1 << 20, 32768]);
    assert_eq!(sent, message(MSG_CHANNEL_OPEN_CONFIRMATION, &[70, 6005, 2 << 20, 32768], None));
}
