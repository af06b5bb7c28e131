//! russh, which logs in over the clear stream of the transport: how it is set, and what it calls back. Its `none` methods are
//! named here only, and meet only that stream. Its callbacks run inside its loop, so they only note, and never wait.
//!
//! What passes below russh, and all that comes after the login, is told to [`super::transport_watcher`] and
//! [`super::server_offers`].

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use russh::client::{Config, DisconnectReason, GexParams, Handle, Session, connect_stream};
use russh::keys::Algorithm;
use russh::{Limits, Preferred, SshId, cipher, compression, kex, mac};

use super::banner::IDENTIFICATION;
use super::fault::{self, sanitised};
use super::link::{MAX_BANNER, SessionShared};
use super::monitored_io::MonitoredIo;
use super::server_offers::ServerOffers;
use crate::login_record::LoginStep;
use crate::{task, transport};

/// Encryption is not russh's here.
const NONE: Preferred = Preferred {
    kex: Cow::Borrowed(&[kex::NONE]),
    key: Cow::Borrowed(&[Algorithm::Ed25519]),
    host_key_certificates: Cow::Borrowed(&[]),
    cipher: Cow::Borrowed(&[cipher::NONE]),
    mac: Cow::Borrowed(&[mac::NONE]),
    compression: Cow::Borrowed(&[compression::NONE]),
};

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

/// Starts the transport's task, and russh above it for the login.
pub(super) async fn begin(shared: &Arc<SessionShared>, input: BytesMut) -> Result<Handle<LoginHandler>, russh::Error> {
    let offers = Box::new(ServerOffers::new(shared.clone()));
    let parts = transport::start(&shared.link, MonitoredIo(shared.link_monitor.clone()), input, offers);
    // Ends with the wire, or when this side has said all.
    task::without_span(parts.driver);
    connect_stream(config(), parts.stream, LoginHandler(shared.clone())).await
}

/// Settings for a login.
fn config() -> Arc<Config> {
    Arc::new(Config {
        client_id: SshId::Standard(Cow::Borrowed(IDENTIFICATION)),
        limits: LIMITS,
        preferred: NONE,
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

/// What russh calls back for one login.
pub(super) struct LoginHandler(pub(super) Arc<SessionShared>);

impl Drop for LoginHandler {
    /// russh's loop has ended, even if it ended without a word.
    fn drop(&mut self) {
        if !self.0.logged_in.load(Ordering::Relaxed) {
            self.0.ending.end(fault::broken_off(&self.0.who));
        }
    }
}

impl russh::client::Handler for LoginHandler {
    type Error = russh::Error;

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Self::Error> {
        let text = sanitised(banner.as_bytes(), MAX_BANNER);
        self.0.recorder.note(&self.0.who, LoginStep::Banner(text.clone()));
        self.0.note(|facts| {
            facts.banner = Some(text);
            facts.banners = facts.banners.saturating_add(1);
        });
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        if !self.0.logged_in.load(Ordering::Relaxed) {
            self.0.ending.end(match reason {
                DisconnectReason::ReceivedDisconnect(info) => fault::from_disconnect(&self.0.who, &info),
                DisconnectReason::Error(error) => fault::from_russh(&self.0.who, error),
            });
        }
        Ok(())
    }
}
