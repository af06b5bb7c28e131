//! russh's settings for one session. Each of its defaults that is wrong for a tunnel is set right here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{Config, GexParams};
use russh::{Limits, Preferred, SshId};

/// How we introduce ourselves, without the line end.
pub(super) const IDENTIFICATION: &str = concat!("SSH-2.0-tunneld_", env!("CARGO_PKG_VERSION"));

/// The longest channel packet that OpenSSH sends.
const PACKET: u32 = 32 * 1024;
/// Messages that a channel's queue holds: never full, because a full queue stops russh's loop and with it everything
/// of the session. The data of channels does not pass there.
const QUEUED_MESSAGES: usize = 1 << 20;

/// russh's own exchange means nothing: keys are renewed below it (`transport::rekey`).
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
pub(super) fn config(window: u32, preferred: Preferred) -> Arc<Config> {
    Arc::new(Config {
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
        gex: GexParams::default(),
        // The dialer's business: russh never sees the socket.
        nodelay: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_the_specs_and_rekeys_are_ours() {
        let config = config(1 << 24, Preferred::default());
        assert_eq!(config.window_size, 1 << 24);
        assert!(config.limits.rekey_read_limit > 64 << 30, "never in practice");
        assert!(config.keepalive_interval.is_none() && config.inactivity_timeout.is_none());
    }
}
