//! The key exchange methods that the server names in its first SSH_MSG_KEXINIT (RFC 4253 section 7.1), read before russh
//! sees it: they decide on which thread the session is served.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock;
use crate::dial::LinkIo;

/// A server names its methods as soon as it knows who we are. One that waits for ours first loses this much of each
/// login; one behind a longer path is served by threads that it may not need.
const PATIENCE: Duration = Duration::from_secs(1);
/// RFC 4253 section 6.1: what every implementation must be able to take. Real offers have 1 to 2 KiB.
const MAX_PACKET: usize = 35_000;
/// Packets that may come before it (SSH_MSG_IGNORE, SSH_MSG_DEBUG).
const MAX_BEFORE: usize = 8;

const MSG_IGNORE: u8 = 2;
const MSG_DEBUG: u8 = 4;
const MSG_KEXINIT: u8 = 20;
/// Of SSH_MSG_KEXINIT, between the number of the message and the first list.
const COOKIE: usize = 16;

/// What is known of the server's methods.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerOffer {
    /// Its names, in its order.
    Methods(Vec<String>),
    /// It names none in time: it may take any.
    Silent,
    /// What it sends instead is not the beginning of a key exchange: there will be none.
    None,
}

/// Introduces us with `ours` and reads until the server's methods are known. `early` is what was read behind its
/// identification; what is read is added to it.
///
/// # Errors
/// The link's.
pub(super) async fn receive(io: &mut dyn LinkIo, ours: &[u8], early: &mut Vec<u8>) -> io::Result<ServerOffer> {
    // A failure to write is not the news: what the server said, or how it closed, is.
    let _ = io.write_all(ours).await;
    let _ = io.flush().await;
    let begin = early.iter().position(|byte| *byte == b'\n').map_or(early.len(), |end| end + 1);
    let reading = async {
        loop {
            if let Some(offer) = look(&early[begin..]) {
                return Ok(offer);
            }
            if io.read_buf(early).await? == 0 {
                return Ok(ServerOffer::None);
            }
        }
    };
    clock::timeout(PATIENCE, reading).await.unwrap_or(Ok(ServerOffer::Silent))
}

/// What the packets so far say; `None`: more is needed.
fn look(mut packets: &[u8]) -> Option<ServerOffer> {
    for _ in 0..=MAX_BEFORE {
        let (length, rest) = packets.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if !(2..=MAX_PACKET).contains(&length) {
            return Some(ServerOffer::None);
        }
        let (packet, after) = rest.split_at_checked(length)?;
        let (padding, content) = (usize::from(packet[0]), &packet[1..]);
        let content = content.len().checked_sub(padding).map_or(&[][..], |end| &content[..end]);
        match content.split_first() {
            Some((&(MSG_IGNORE | MSG_DEBUG), _)) => packets = after,
            Some((&MSG_KEXINIT, lists)) => return Some(methods(lists).map_or(ServerOffer::None, ServerOffer::Methods)),
            Some(_) | None => return Some(ServerOffer::None),
        }
    }
    Some(ServerOffer::None)
}

/// The first name-list (RFC 4251 section 5) after the cookie.
fn methods(lists: &[u8]) -> Option<Vec<String>> {
    let (length, rest) = lists.get(COOKIE..)?.split_first_chunk::<4>()?;
    let names = rest.get(..u32::from_be_bytes(*length) as usize)?;
    Some(String::from_utf8_lossy(names).split(',').map(str::to_owned).collect())
}

/// For `fuzz/`: the names in the first packets; the inner `None` where they are not the beginning of a key exchange, the outer
/// one where more of them is needed.
pub fn first_methods(packets: &[u8]) -> Option<Option<Vec<String>>> {
    look(packets).map(|offer| match offer {
        ServerOffer::Methods(names) => Some(names),
        ServerOffer::Silent | ServerOffer::None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANNER: &[u8] = b"SSH-2.0-test\r\n";

    fn packet(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 5).expect("short");
        [&length.to_be_bytes()[..], &[4], content, &[0; 4]].concat()
    }

    fn offer(names: &str) -> Vec<u8> {
        let length = u32::try_from(names.len()).expect("short");
        packet(&[&[MSG_KEXINIT][..], &[7; COOKIE], &length.to_be_bytes(), names.as_bytes(), &[0; 40]].concat())
    }

    fn methods_of(names: &[&str]) -> ServerOffer {
        ServerOffer::Methods(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn methods_are_read_behind_packets_that_may_come_first() {
        assert_eq!(look(&offer("a,b@c")), Some(methods_of(&["a", "b@c"])));
        let debug = packet(&[MSG_DEBUG, 0, 0, 0]);
        assert_eq!(look(&[debug.clone(), offer("a")].concat()), Some(methods_of(&["a"])));
        assert_eq!(look(&debug.repeat(MAX_BEFORE + 1)), Some(ServerOffer::None));
    }

    #[test]
    fn part_of_a_packet_is_waited_for_and_odd_ones_are_not() {
        let whole = offer("diffie-hellman-group14-sha256");
        assert!((0..whole.len()).all(|end| look(&whole[..end]).is_none()));
        let disconnect = packet(&[1, 0, 0, 0, 2]);
        let odd: [&[u8]; 5] = [&[0; 4], &[0, 0, 0, 1, 0], &[0xff; 4], &disconnect, &packet(&[MSG_KEXINIT, 1, 2])];
        for packet in odd {
            assert_eq!(look(packet), Some(ServerOffer::None), "{packet:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn server_that_names_no_method_is_silent_and_keeps_what_it_said() {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let mut early = BANNER.to_vec();
        far.write_all(&offer("a")[..9]).await.expect("room");
        assert_eq!(receive(&mut near, b"us", &mut early).await.expect("a link"), ServerOffer::Silent);
        assert_eq!(early, [BANNER, &offer("a")[..9]].concat());
        far.write_all(&offer("a")[9..]).await.expect("room");
        assert_eq!(receive(&mut near, b"", &mut early).await.expect("a link"), methods_of(&["a"]));
        drop(far);
        assert_eq!(receive(&mut near, b"", &mut BANNER.to_vec()).await.expect("an end"), ServerOffer::None);
    }
}
