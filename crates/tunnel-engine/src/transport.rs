//! SSH's transport layer (RFC 4253) and connection layer (RFC 4254) for the client: packets, key exchange, ciphers, requests
//! and channels. The login between them (RFC 4252) is russh's, which speaks to this without encryption inside this process
//! and is gone when the login is over.
//!
//! Everything but [`driver`] is pure: no socket, no clock, no runtime. Time is an argument.
//!
//! ```text
//! socket ◄─► driver ◄─► connection (packet · compression · negotiate · exchange · kex · cipher · mac · rekey)
//!               ▲
//!               └─ link (stage) ◄─► global · channels (window · inbox)
//!                        └────────► russh side (text · clear stream) ◄─► russh, until the login is over
//! ```

mod channels;
mod cipher;
mod compression;
mod compute;
mod connection;
mod driver;
mod error;
mod exchange;
mod global;
mod handshake;
mod inbox;
mod kex;
mod link;
mod mac;
mod message;
mod negotiate;
mod packet;
mod proof;
mod random;
mod read_batching;
mod rekey;
mod round_trip;
mod russh_side;
mod stage;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod tests;
mod window;
mod wire;

pub(crate) use channels::{Content, Ended, Offered, OpenRefusal, SendError};
pub(crate) use cipher::CipherName;
pub(crate) use connection::{Config, Connection, ConnectionEvent, SessionProof};
pub(crate) use driver::{ServerIo, start};
pub(crate) use error::TransportError;
pub(crate) use global::GlobalAnswer;
pub(crate) use handshake::{Handshake, HandshakeError};
pub(crate) use kex::KexName;
pub(crate) use link::{ChannelHandle, LinkObserver, OfferReceiver, OfferedChannel, StreamEvent, TransportLink};
pub(crate) use mac::MacName;
pub(crate) use message::DebugText;
pub(crate) use negotiate::{Agreement, KexInit, ListKind, LocalOffer};
pub(crate) use proof::is_known as is_known_host_key;
pub(crate) use rekey::Limits;
pub(crate) use russh_side::ClearStream;
pub(crate) use wire::{MessageReader, put_string, put_u32};

fn wake(slot: &mut Option<std::task::Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}
