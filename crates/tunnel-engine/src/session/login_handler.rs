//! russh's callbacks during the login. They run inside its loop, so they only note, and never wait.
//!
//! What passes below russh, and all that comes after the login, is told to [`super::transport_setup::TransportWatcher`] and
//! [`super::server_offers::ServerOffers`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use russh::client::{DisconnectReason, Session};

use super::fault::{self, sanitised};
use super::link::{MAX_BANNER, SessionShared};
use crate::login_record::LoginStep;

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
