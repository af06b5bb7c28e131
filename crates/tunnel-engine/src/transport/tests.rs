//! The server that unit tests and fuzz targets play, and the transport for `fuzz/`: a first exchange with a server that sends these bytes, whole connections with a server
//! that has faults, what its messages hold, and messages about channels in any order.

mod answer;
mod decoders;
pub(super) mod server;
mod session;

use std::task::Waker;

use bytes::{Bytes, BytesMut};

use super::channels::{Channels, Content, FromServer, MessageCount};
use super::global::GlobalRequests;
use super::{CipherName, Config, Connection, ConnectionEvent, KexName, Limits, LocalOffer, MacName};
use crate::clock;

pub use decoders::{Decoded, decode};
pub use session::{Played, play};

pub(super) const CLIENT_IDENT: &str = "SSH-2.0-client";
pub(super) const SERVER_IDENT: &[u8] = b"SSH-2.0-server";

/// What a connection keeps and says after all that a server sent.
#[derive(Debug)]
pub struct Handshaken {
    /// Bytes that it has made for the server.
    pub said: usize,
    /// Number of bytes that it waits for.
    pub wanted: usize,
    /// Keys were taken into use.
    pub is_keyed: bool,
}

/// A client that has each algorithm.
fn everything(limits: Limits) -> Config {
    Config {
        client_ident: CLIENT_IDENT.to_owned(),
        server_ident: SERVER_IDENT.to_vec(),
        offer: LocalOffer {
            kex: KexName::ALL.to_vec(),
            host_keys: ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"].map(str::to_owned).to_vec(),
            ciphers: CipherName::ALL.to_vec(),
            macs: MacName::ALL.to_vec(),
            compression: true,
        },
        limits,
    }
}

/// A server sends this behind its identification, in pieces of `piece` bytes.
pub fn handshake(sent: &[u8], piece: usize) -> Handshaken {
    let config = everything(Limits::default());
    let mut seen = Handshaken { said: 0, wanted: 0, is_keyed: false };
    let Ok(mut connection) = Connection::new(config) else { return seen };
    let (mut input, now) = (BytesMut::new(), clock::now());
    for piece in sent.chunks(piece.max(1)) {
        input.extend_from_slice(piece);
        let mut handled = connection.handle_input(&mut input, now);
        while let Some(event) = connection.poll_event() {
            match event {
                ConnectionEvent::HostKey { .. } => handled = handled.and(connection.believe_host_key(now)),
                ConnectionEvent::NewKeys(_) => seen.is_keyed = true,
                ConnectionEvent::Message(_, _) | ConnectionEvent::Debug(_) => {}
            }
        }
        while let Some(work) = connection.poll_work() {
            if work.is_long() {
                return seen;
            }
            handled = handled.and(connection.handle_work(work.run(), now));
        }
        seen.said += connection.poll_transmit().map_or(0, |output| output.len());
        if handled.is_err() {
            return seen;
        }
        seen.wanted = connection.wanted();
    }
    seen
}

/// Messages of a server's, and what readers and writers do, each behind its kind and its length. Gives the bytes that are
/// kept for readers, and those that came for them.
pub fn channel_messages(script: &[u8]) -> (usize, usize) {
    let mut channels = Channels::new(1 << 20, MessageCount::OpenSsh);
    let mut global = GlobalRequests::default();
    let (mut came, now, waker) = (0, clock::now(), Waker::noop());
    let mut offers = Vec::new();
    let mut rest = script;
    while let Some(((kind, length), behind)) =
        rest.split_first_chunk::<2>().map(|([kind, length], rest)| ((*kind, *length), rest))
    {
        let (message, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        let ours = message.first().copied().map_or(0, u32::from);
        let mut went_on = Ok(());
        match kind % 12 {
            0..=2 => match channels.server_says(Bytes::copy_from_slice(message), now) {
                Ok(FromServer::Data(bytes)) => came += bytes,
                Ok(FromServer::Offered(offer)) => offers.push(offer),
                Ok(FromServer::Adjusted | FromServer::Refused(_) | FromServer::Handled) => {}
                Err(error) => went_on = Err(error),
            },
            3 => went_on = global.asked(message).map(drop),
            4 => global.answer(message),
            5 => {
                global.unimplemented(ours);
                let id = global.ask("tcpip-forward", message);
                let _ = global.take_answer(id / 2, waker);
                if ours % 2 == 0 {
                    global.forget(id);
                }
            }
            6 => offers.drain(..).for_each(|offer| {
                channels.accept(&offer);
            }),
            7 => offers.drain(..).for_each(|offer| channels.refuse(&offer, ours)),
            8 => {
                let content = if ours % 2 == 0 { Content::Bytes } else { Content::Messages };
                channels.open("direct-tcpip", message, content);
            }
            9 => {
                let _ = channels.take_answer(ours, waker);
                if ours % 2 == 0 {
                    channels.ask(ours, "exec", message);
                }
                let _ = channels.take_reply(ours, waker);
                while channels.read(ours, waker, now).is_some() || channels.read_message(ours, waker, now).is_some() {}
                let _ = channels.stream_end(ours);
            }
            10 => {
                let _ = channels.may_send(ours, message.len(), waker);
                let _ = channels.may_send_whole(ours, (4, message.len()), waker);
                channels.end(ours);
            }
            _ => {
                channels.close(ours);
                channels.abandon(ours);
            }
        }
        while global.poll_message(ours).is_some() || channels.poll_message().is_some() {}
        if went_on.is_err() {
            break;
        }
    }
    (channels.kept(), came)
}
