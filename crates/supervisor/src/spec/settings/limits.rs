//! The bounds of values, each with its reason.

use std::time::Duration;

/// In bytes, of a tunnel's name: as of a file's, and every line of the log has it.
pub(crate) const MAX_NAME: usize = 255;

/// Below it no handshake is possible, and 0 would read as "none".
pub(super) const SHORTEST_CONNECT: Duration = Duration::from_millis(100);

/// interval × (count + 1) stays far from what overflows a clock.
pub(super) const MAX_ALIVE_COUNT: u32 = 10_000;

/// A second apart, they end with the connect timeout in any case.
pub(super) const MAX_ATTEMPTS: u32 = 10_000;

/// Of the longest RSA keys that ssh-keygen makes.
pub(super) const MAX_RSA_BITS: u32 = 16_384;

/// In bytes. Two packets of 32 KiB: less would stop after every packet.
pub(super) const SMALLEST_WINDOW: u32 = 64 << 10;

/// In bytes: what one connection whose reader has stalled may cost in memory.
pub(super) const LARGEST_WINDOW: u32 = 1 << 30;

/// A connection costs two file descriptors; more than this is beyond any process's limit.
pub(crate) const MAX_CONNECTIONS: u32 = 1 << 20;

/// More logins than this at one server are no longer for throughput; OpenSSH takes ten at once by default.
pub(super) const MAX_SESSIONS: u32 = 16;

/// Each held connection is a socket of a peer that waits.
pub(super) const MAX_HELD: u32 = 1 << 16;

/// More often than once a second a probe measures itself.
pub(super) const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Each session is a login, which servers count.
pub(super) const SHORTEST_SESSION: Duration = Duration::from_secs(60);
