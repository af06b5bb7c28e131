//! russh's settings for one login. Each of its defaults that is wrong for that is set right here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{Config, GexParams};
use russh::{Limits, Preferred, SshId};

/// How we introduce ourselves, without the line end.
pub(super) const IDENTIFICATION: &str = concat!("SSH-2.0-tunneld_", env!("CARGO_PKG_VERSION"));

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

/// Settings for a login.
pub(super) fn config(preferred: Preferred) -> Arc<Config> {
    Arc::new(Config {
        client_id: SshId::Standard(Cow::Borrowed(IDENTIFICATION)),
        limits: LIMITS,
        preferred,
        // The wire has a watchdog of its own, which also sees a peer that takes nothing: see `watchdog`.
        inactivity_timeout: None,
        keepalive_interval: None,
        keepalive_max: 0,
        anonymous: false,
        gex: GexParams::default(),
        // The dialer's business: russh never sees the socket.
        nodelay: false,
        // It has no channels.
        ..Config::default()
    })
}
