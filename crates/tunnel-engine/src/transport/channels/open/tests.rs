//! Channels that are asked for here and by the server: streams, messages, requests, refusals, and what odd servers say.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::clock;
use crate::transport::channels::{Ended, MAX_UNANSWERED, MessageCount, SendError, StreamEnd};
use crate::transport::message::{
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_FAILURE, MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS, MSG_CHANNEL_WINDOW_ADJUST,
};

impl Channels {
    fn come(&mut self, message: Bytes) -> Result<FromServer, TransportError> {
        self.server_says(message, clock::now())
    }

    fn next_message(&mut self) -> Option<Bytes> {
        self.read_message(FIRST, Waker::noop(), clock::now())
    }
}

/// A message about the first channel.
fn first(number: u8, fields: &[u32]) -> Bytes {
    about(number, &[&[FIRST], fields].concat()).into()
}

fn data(bytes: &[u8]) -> Bytes {
    let mut out = first(MSG_CHANNEL_DATA, &[]).to_vec();
    put_string(&mut out, bytes);
    out.into()
}

fn refused(code: u32) -> Bytes {
    let mut out = first(MSG_CHANNEL_OPEN_FAILURE, &[code]).to_vec();
    put_string(&mut out, b"open failed");
    put_string(&mut out, b"");
    out.into()
}

/// With one channel, whose request is sent.
fn opening() -> Channels {
    opening_of(Content::Messages)
}

fn opening_of(content: Content) -> Channels {
    let mut channels = Channels::new(1 << 24, MessageCount::OpenSsh);
    assert_eq!(channels.open("x@example.com", &[0, 0, 0, 1], content), FIRST);
    let open = channels.poll_message().unwrap();
    let mut reader = MessageReader::new("open", &open);
    assert_eq!((reader.u8(), reader.string()), (Ok(MSG_CHANNEL_OPEN), Ok(&b"x@example.com"[..])));
    assert_eq!((reader.u32(), reader.u32()), (Ok(FIRST), Ok(2 << 20)));
    assert_eq!((reader.u32(), reader.rest()), (Ok(MAX_DATA), &[0, 0, 0, 1][..]));
    assert_eq!(channels.poll_message(), None);
    channels
}

/// And open, as the server's number 7, with this window.
fn open(window: u32) -> Channels {
    open_of(Content::Messages, window)
}

fn open_of(content: Content, window: u32) -> Channels {
    let mut channels = opening_of(content);
    let confirmation = first(MSG_CHANNEL_OPEN_CONFIRMATION, &[7, window, 1000]);
    assert_eq!(channels.come(confirmation), Ok(FromServer::Handled));
    assert_eq!(channels.take_answer(FIRST, Waker::noop()), Some(Ok(())));
    while channels.poll_message().is_some() {}
    channels
}

#[test]
fn long_data_are_taken_from_a_server_that_is_near() {
    for (round_trip, max_data) in [(Duration::from_micros(900), MAX_DATA_NEAR), (Duration::from_millis(1), MAX_DATA)] {
        let mut channels = Channels::new(1 << 24, MessageCount::OpenSsh);
        channels.note_round_trip(round_trip, clock::now());
        channels.open("x", &[], Content::Bytes);
        assert!(channels.poll_message().unwrap().ends_with(&max_data.to_be_bytes()));
    }
}

#[test]
fn messages_of_an_abandoned_channel_are_forgotten() {
    let mut channels = open(5000);
    assert_eq!(channels.come(data(b"first")), Ok(FromServer::Data(5)));
    channels.abandon(FIRST);
    assert_eq!((channels.next_message(), channels.come(data(b"second"))), (None, Ok(FromServer::Data(6))));
    assert_eq!(channels.next_message(), None);
}

#[test]
fn messages_are_read_one_by_one_until_the_server_closes() {
    let mut channels = open(5000);
    assert_eq!(channels.come(data(b"first")), Ok(FromServer::Data(5)));
    assert_eq!(channels.come(data(b"second")), Ok(FromServer::Data(6)));
    assert_eq!(channels.come(first(MSG_CHANNEL_CLOSE, &[])), Ok(FromServer::Handled));
    assert_eq!(channels.next_message().as_deref(), Some(&b"first"[..]));
    assert_eq!(channels.next_message().as_deref(), Some(&b"second"[..]));
    assert!(channels.has_ended(FIRST));
    assert_eq!(channels.poll_message(), Some(vec![MSG_CHANNEL_CLOSE, 0, 0, 0, 7]));
    channels.abandon(FIRST);
    assert!(channels.open.is_empty());
}

#[test]
fn stream_tells_its_bytes_then_its_eof_then_its_close() {
    let mut channels = open_of(Content::Bytes, 5000);
    let read = |channels: &mut Channels| channels.read(FIRST, Waker::noop(), clock::now());
    assert_eq!((read(&mut channels), channels.stream_end(FIRST)), (None, None));
    assert_eq!(channels.come(data(b"first ")), Ok(FromServer::Data(6)));
    assert_eq!(channels.come(data(b"second")), Ok(FromServer::Data(6)));
    assert_eq!(channels.come(first(MSG_CHANNEL_EOF, &[])), Ok(FromServer::Handled));
    assert_eq!(read(&mut channels).as_deref(), Some(&b"first second"[..]), "there are no messages");
    assert_eq!((read(&mut channels), channels.stream_end(FIRST)), (None, Some(StreamEnd::Eof)));
    assert_eq!(channels.stream_end(FIRST), None, "it is told once, and the other way is open");
    assert_eq!(channels.may_send(FIRST, 3, Waker::noop()), Ok(Some((7, 3))));
    assert_eq!(channels.come(first(MSG_CHANNEL_CLOSE, &[])), Ok(FromServer::Handled));
    assert_eq!(channels.stream_end(FIRST), Some(StreamEnd::Closed));
    assert_eq!(channels.may_send(FIRST, 3, Waker::noop()), Err(Ended));
    assert_eq!(channels.poll_message(), Some(vec![MSG_CHANNEL_CLOSE, 0, 0, 0, 7]));
    assert_eq!(channels.poll_message(), None);
    channels.abandon(FIRST);
    assert!(channels.open.is_empty());
}

#[test]
fn stream_that_the_server_resets_is_closed_without_eof() {
    let mut channels = open_of(Content::Bytes, 5000);
    assert_eq!(channels.come(data(b"last")), Ok(FromServer::Data(4)));
    assert_eq!(channels.come(first(MSG_CHANNEL_CLOSE, &[])), Ok(FromServer::Handled));
    // What came before it is read first, also after our own CLOSE.
    assert_eq!(channels.poll_message(), Some(vec![MSG_CHANNEL_CLOSE, 0, 0, 0, 7]));
    assert_eq!(channels.read(FIRST, Waker::noop(), clock::now()).as_deref(), Some(&b"last"[..]));
    assert_eq!(channels.stream_end(FIRST), Some(StreamEnd::Closed));
}

#[test]
fn our_eof_goes_before_our_close_and_late_bytes_are_dropped() {
    let mut channels = open_of(Content::Bytes, 5000);
    channels.end(FIRST);
    channels.close(FIRST);
    channels.abandon(FIRST);
    assert_eq!(channels.poll_message(), Some(vec![MSG_CHANNEL_EOF, 0, 0, 0, 7]));
    assert_eq!(channels.poll_message(), Some(vec![MSG_CHANNEL_CLOSE, 0, 0, 0, 7]));
    assert_eq!(channels.come(data(b"late")), Ok(FromServer::Data(4)));
    assert_eq!(channels.come(first(MSG_CHANNEL_EOF, &[])), Ok(FromServer::Handled));
    assert_eq!(channels.come(first(MSG_CHANNEL_CLOSE, &[])), Ok(FromServer::Handled));
    assert!(channels.open.is_empty(), "nothing is left of it");
    assert!(channels.come(data(b"later")).is_err(), "and the server knows that");
}

#[test]
fn answers_that_were_not_asked_for_are_passed_over() {
    let mut channels = open_of(Content::Bytes, 5000);
    for number in [MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE] {
        assert_eq!(channels.come(first(number, &[])), Ok(FromServer::Handled));
    }
    assert_eq!(channels.take_reply(FIRST, Waker::noop()), None);
}

#[test]
fn request_is_sent_once_and_its_answer_is_told_once() {
    for (number, answer) in [(MSG_CHANNEL_SUCCESS, true), (MSG_CHANNEL_FAILURE, false)] {
        let mut channels = open_of(Content::Bytes, 5000);
        channels.ask(FIRST, "exec", b"fields");
        assert_eq!(channels.poll_message().unwrap(), b"\x62\0\0\0\x07\0\0\0\x04exec\x01fields");
        assert_eq!((channels.poll_message(), channels.take_reply(FIRST, Waker::noop())), (None, None));
        // What the command says comes before or after.
        assert_eq!(channels.come(data(b"out")), Ok(FromServer::Data(3)));
        assert_eq!(channels.come(first(number, &[])), Ok(FromServer::Handled));
        assert_eq!(channels.take_reply(FIRST, Waker::noop()), Some(answer));
        assert_eq!(channels.take_reply(FIRST, Waker::noop()), None);
        assert_eq!(channels.read(FIRST, Waker::noop(), clock::now()).as_deref(), Some(&b"out"[..]));
    }
}

#[test]
fn numbers_begin_again_behind_the_last_and_leave_out_those_in_use() {
    let mut channels = open_of(Content::Bytes, 5000);
    channels.next = END - 1;
    let numbers = [(); 3].map(|()| channels.open("x", &[], Content::Bytes));
    assert_eq!(numbers, [END - 1, FIRST + 1, FIRST + 2]);
}

#[test]
fn unread_messages_are_bounded_and_block_nothing() {
    let (mut channels, most) = (open(5000), crate::transport::channels::messages::MAX_MESSAGES);
    for _ in 0..3 * most {
        assert_eq!(channels.come(data(&[7; 200])), Ok(FromServer::Data(200)), "the window is granted again");
        while channels.poll_message().is_some() {}
    }
    let mut kept = 0;
    while channels.next_message().is_some() {
        kept += 1;
    }
    assert_eq!(kept, most);
}

#[test]
fn message_is_sent_whole_and_counted_as_openssh_counts() {
    let mut channels = open(1100);
    assert_eq!(channels.may_send_whole(FIRST, (4, 993), Waker::noop()), Err(SendError::TooLong));
    assert_eq!(channels.may_send_whole(FIRST, (4, 992), Waker::noop()), Ok(Some(7)));
    assert_eq!(channels.may_send_whole(FIRST, (4, 93), Waker::noop()), Ok(None), "100 bytes of window are left");
    assert_eq!(channels.may_send_whole(FIRST, (4, 92), Waker::noop()), Ok(Some(7)));
    assert_eq!(channels.come(first(MSG_CHANNEL_WINDOW_ADJUST, &[500])), Ok(FromServer::Adjusted));
    assert_eq!(channels.may_send_whole(FIRST, (4, 492), Waker::noop()), Ok(Some(7)));
}

#[test]
fn refusal_has_the_words_that_came_before_it() {
    let mut channels = opening();
    channels.debug_text("key options: port-forwarding");
    channels.debug_text("Server has rejected tunnel device forwarding");
    assert_eq!(channels.take_answer(FIRST, Waker::noop()), None);
    assert_eq!(channels.come(refused(2)), Ok(FromServer::Handled));
    let refusal = channels.take_answer(FIRST, Waker::noop()).unwrap().unwrap_err();
    assert_eq!((refusal.code, refusal.text.as_str()), (2, "open failed"));
    assert_eq!(refusal.said, "Server has rejected tunnel device forwarding");
    channels.debug_text("later");
    channels.close(FIRST);
    channels.abandon(FIRST);
    assert!(channels.open.is_empty() && channels.poll_message().is_none());
}

#[test]
fn request_that_is_given_up_leaves_nothing() {
    for answer in [refused(1), first(MSG_CHANNEL_OPEN_CONFIRMATION, &[7, 1, 1])] {
        let mut channels = opening();
        channels.close(FIRST);
        channels.abandon(FIRST);
        assert_eq!(channels.come(answer.clone()), Ok(FromServer::Handled));
        if answer[0] == MSG_CHANNEL_OPEN_CONFIRMATION {
            assert_eq!(channels.poll_message(), Some(vec![MSG_CHANNEL_CLOSE, 0, 0, 0, 7]));
            assert_eq!(channels.come(first(MSG_CHANNEL_CLOSE, &[])), Ok(FromServer::Handled));
        }
        assert!(channels.open.is_empty() && channels.opening.is_empty());
    }
}

#[test]
fn keepalive_on_the_channel_is_answered() {
    let mut channels = open(1000);
    let mut request = first(MSG_CHANNEL_REQUEST, &[]).to_vec();
    put_string(&mut request, b"keepalive@openssh.com");
    request.push(1);
    assert_eq!(channels.come(request.clone().into()), Ok(FromServer::Handled));
    assert_eq!(channels.poll_message(), Some(vec![MSG_CHANNEL_FAILURE, 0, 0, 0, 7]));
    assert_eq!(channels.poll_message(), None);
    for _ in 0..MAX_UNANSWERED {
        assert_eq!(channels.come(request.clone().into()), Ok(FromServer::Handled));
    }
    assert_eq!(channels.come(request.into()), Err(TransportError::Flood));
}

#[test]
fn nothing_follows_close() {
    let mut channels = open(1000);
    channels.ask(FIRST, "exec", b"");
    let mut request = first(MSG_CHANNEL_REQUEST, &[]).to_vec();
    put_string(&mut request, b"keepalive@openssh.com");
    request.push(1);
    channels.come(request.clone().into()).unwrap();
    channels.close(FIRST);
    assert_eq!(
        channels.poll_message(),
        Some(vec![MSG_CHANNEL_CLOSE, 0, 0, 0, 7]),
        "what was not sent yet is not meant"
    );
    channels.come(request.into()).unwrap();
    assert_eq!(channels.poll_message(), None);
}

#[test]
fn messages_about_channels_that_are_not_there_are_judged_as_by_openssh() {
    let mut channels = Channels::new(1 << 24, MessageCount::OpenSsh);
    for number in MSG_CHANNEL_OPEN_CONFIRMATION..=MSG_CHANNEL_FAILURE {
        if number != MSG_CHANNEL_WINDOW_ADJUST {
            let taken = channels.come(first(number, &[0, 0, 0]));
            assert_eq!(taken.is_ok(), number >= MSG_CHANNEL_REQUEST, "{number}");
        }
    }
    assert_eq!(channels.poll_message(), None);
    let mut channels = open(1000);
    assert!(channels.come(first(MSG_CHANNEL_OPEN_CONFIRMATION, &[8, 1, 1])).is_err(), "a second answer");
    assert!(channels.come(refused(1)).is_err());
}

/// The server's request for a channel, as its number 7.
fn asked(kind: &[u8], max_data: u32, fields: &[u8]) -> Bytes {
    let mut out = vec![MSG_CHANNEL_OPEN];
    put_string(&mut out, kind);
    [7, 1000, max_data].into_iter().for_each(|number| put_u32(&mut out, number));
    [&out[..], fields].concat().into()
}

fn address(host: &[u8], port: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_string(&mut out, host);
    put_u32(&mut out, port);
    out
}

fn offered(message: Bytes) -> (Channels, Offer) {
    let mut channels = Channels::new(1 << 24, MessageCount::OpenSsh);
    let Ok(FromServer::Offered(offer)) = channels.come(message.clone()) else { panic!("{message:?}") };
    assert!((1..message.len()).all(|end| !matches!(channels.come(message.slice(..end)), Ok(FromServer::Offered(_)))));
    while channels.poll_message().is_some() {}
    (channels, offer)
}

#[test]
fn connections_of_forwards_are_offered_whatever_their_words() {
    let fields = [address(b"local\xe9", 80), address(b"::1", 65535)].concat();
    let (mut channels, offer) = offered(asked(b"forwarded-tcpip", 1, &fields));
    let (address, originator) = ("local\u{fffd}".to_owned(), "::1".to_owned());
    assert_eq!(offer.what, Offered::Tcp { address, port: 80, originator, originator_port: 65535 });
    assert_eq!(channels.accept(&offer), FIRST);
    assert_eq!(
        channels.poll_message().unwrap(),
        first(MSG_CHANNEL_OPEN_CONFIRMATION, &[])[..1]
            .iter()
            .copied()
            .chain([0, 0, 0, 7, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0x80, 0])
            .collect::<Vec<_>>()
    );
    assert_eq!(channels.may_send(FIRST, 100, Waker::noop()), Ok(Some((7, 1))), "as much as it takes in one message");
    let (mut channels, offer) = offered(asked(b"forwarded-streamlocal@openssh.com", 1, b"\0\0\0\x02/s\0\0\0\0"));
    assert_eq!(offer.what, Offered::Unix("/s".to_owned()));
    channels.refuse(&offer, 2);
    assert_eq!(channels.poll_message().unwrap(), no(2));
    assert!(channels.open.is_empty() && channels.offered == 0);
}

fn no(code: u8) -> Vec<u8> {
    [&[MSG_CHANNEL_OPEN_FAILURE, 0, 0, 0, 7, 0, 0, 0, code][..], &[0; 8]].concat()
}

#[test]
fn channels_that_are_no_connections_are_refused() {
    let fine = address(b"a", 80).repeat(2);
    let unreadable = "a forwarded connection that cannot be read";
    let odd: [(&[u8], u32, &[u8], &str); 8] = [
        (b"forwarded-tcpip", 0, &fine, unreadable),
        (b"forwarded-tcpip", 1, &fine[..9], unreadable),
        (b"forwarded-tcpip", 1, &[&fine[..], &[0]].concat(), unreadable),
        (b"forwarded-tcpip", 1, &[address(b"a", 80), address(b"a", 65536)].concat(), unreadable),
        (b"session", 1, b"more", "session"),
        (b"x11", 1, b"", "x11"),
        (b"direct-tcpip", 1, &fine, "direct-tcpip"),
        (b"\xe9", 1, b"\xff", "unknown"),
    ];
    let mut channels = Channels::new(1 << 24, MessageCount::OpenSsh);
    for (kind, max_data, fields, told) in odd {
        assert_eq!(channels.come(asked(kind, max_data, fields)), Ok(FromServer::Refused(told)));
        assert_eq!((channels.poll_message(), channels.poll_message()), (Some(no(1)), None));
    }
    let whole = asked(b"x", 1, b"");
    assert!((1..whole.len()).all(|end| channels.come(whole.slice(..end)).is_err()));
}

#[test]
fn offers_without_an_answer_are_bounded() {
    let mut channels = Channels::new(1 << 24, MessageCount::OpenSsh);
    let offer = asked(b"forwarded-tcpip", 1, &address(b"a", 80).repeat(2));
    for at in 0..MAX_OFFERED {
        let taken = channels.come(if at % 2 == 0 { offer.clone() } else { asked(b"x11", 1, b"") });
        assert!(matches!(taken, Ok(FromServer::Offered(_) | FromServer::Refused(_))));
    }
    assert_eq!(channels.come(offer.clone()), Err(TransportError::Flood));
    assert!(channels.poll_message().is_some() && channels.come(offer).is_ok(), "there is room again");
}
