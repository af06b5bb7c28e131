//! russh's settings for one session. Each of its defaults that is wrong for a tunnel is set right here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{Config, GexParams};
use russh::{Limits, Preferred, SshId};

use super::apart::Effort;
use crate::failure::{Failure, FailureKind};

/// How we introduce ourselves, without the line end.
pub(super) const IDENTIFICATION: &str = concat!("SSH-2.0-tunneld_", env!("CARGO_PKG_VERSION"));

/// Smallest and preferred group of diffie-hellman-group-exchange (RFC 4419), in bits. russh prefers 8192, which take a
/// third of a second. The largest is [`Effort::largest_group`].
const GROUP_BITS: (usize, usize) = (2048, 3072);
/// What OpenSSH sends at most.
const PACKET: u32 = 32 * 1024;
/// Messages that a channel's queue holds: never full, because a full queue stops russh's loop and with it everything
/// of the session. What waits is bounded in bytes by `backlog`, and on a jump host's session by the windows inside it.
const QUEUED_MESSAGES: usize = 1 << 20;

/// When we ask for new keys while more than two windows are under way to us, russh 0.65 gives the session up. So we ask
/// only at a quiet moment (`rekey`), and where the user set a limit; otherwise the server is left to ask, which it does in time (1 GiB with ChaCha20, 64 GiB with AES), and which works. A server
/// that never asks is asked before 2^32 of the smallest packets have passed, for nonces are numbered with 32 bits.
const FAR: usize = match 1_usize.checked_shl(37) {
    Some(bytes) => bytes,
    None => usize::MAX,
};
const LIMITS: Limits = Limits {
    rekey_write_limit: FAR,
    rekey_read_limit: FAR,
    rekey_time_limit: Duration::from_secs(100 * 365 * 24 * 3600),
};

/// Settings for a session that gives each channel `window` bytes.
///
/// # Errors
/// Never with the constants above; russh checks them at run time.
pub(super) fn config(window: u32, preferred: Preferred) -> Result<Arc<Config>, Failure> {
    let (smallest, wanted) = GROUP_BITS;
    let gex = GexParams::new(smallest, wanted, Effort::largest_group(&preferred.kex))
        .map_err(|error| Failure::new(FailureKind::Protocol, "our own group sizes are refused").with_source(error))?;
    Ok(Arc::new(Config {
        client_id: SshId::Standard(Cow::Borrowed(IDENTIFICATION)),
        limits: LIMITS,
        window_size: window,
        maximum_packet_size: PACKET,
        channel_buffer_size: QUEUED_MESSAGES,
        preferred,
        // The wire has a watchdog of its own, which also sees a peer that takes nothing: see `watchdog`.
        inactivity_timeout: None,
        keepalive_interval: None,
        keepalive_max: 0,
        anonymous: false,
        gex,
        // The dialer's business: russh never sees the socket.
        nodelay: false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_the_specs_and_new_keys_are_left_to_the_server() {
        let config = config(1 << 24, Preferred::default()).expect("config");
        assert_eq!(config.window_size, 1 << 24);
        assert!(config.limits.rekey_read_limit > 64 << 30, "OpenSSH asks at 64 GiB");
        assert!(config.keepalive_interval.is_none() && config.inactivity_timeout.is_none());
    }
}
