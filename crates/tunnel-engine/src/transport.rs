//! The transport layer of SSH (RFC 4253) for the client: packets, key exchange, ciphers, and the windows of channels.
//! The layers above it are russh's, which speaks to it without encryption inside this process: authentication, requests,
//! and the channels that the server opens. Ours are opened here.
//!
//! Everything but [`driver`] is pure: no socket, no clock, no runtime. Time is an argument.
//!
//! ```text
//! socket ◄─► driver ◄─► connection (packet · compression · negotiate · exchange · kex · cipher · mac · rekey)
//!               ▲            ▲
//!               └─ channels (window · stage · text) ◄─► clear stream ◄─► russh
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
mod text;
mod window;
mod wire;

pub(crate) use channels::{Content, Ended, OwnRefusal, SendError};
pub(crate) use cipher::CipherName;
pub(crate) use connection::{Config, Connection, ConnectionEvent, SessionProof};
pub(crate) use driver::{ServerIo, start};
pub(crate) use error::TransportError;
pub(crate) use handshake::{Handshake, HandshakeError};
pub(crate) use kex::KexName;
pub(crate) use link::{ClearStream, LinkObserver, OwnChannel, StreamEvent, TransportLink};
pub(crate) use mac::MacName;
pub(crate) use message::DebugText;
pub(crate) use negotiate::{Agreement, KexInit, ListKind, LocalOffer};
pub(crate) use proof::is_known as is_known_host_key;
pub(crate) use rekey::Limits;
pub(crate) use text::NOT_ASKED_FOR;
pub(crate) use wire::{MessageReader, put_string, put_u32};
