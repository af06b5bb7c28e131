//! russh's callbacks. They run inside the session's loop, so they only note and hand on, and never wait.
//!
//! What passes below russh, keys and the data of channels, is told to [`super::transport_setup::TransportWatcher`].

use std::sync::Arc;

use russh::client::{ChannelOpenHandle, DisconnectReason, Msg, Session};
use russh::keys::PublicKey;
use russh::{Channel, ChannelId};
use tokio::sync::oneshot;
use tracing::Span;

use super::fault::{self, sanitised};
use super::incoming::{Originator, PendingChannel, RejectReason, RemoteListen};
use super::link::{MAX_BANNER, SessionShared};
use crate::clock;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};
use crate::login_record::LoginStep;
use crate::transport::NOT_ASKED_FOR;

/// What russh calls back for one session.
pub(super) struct ClientHandler {
    shared: Arc<SessionShared>,
    announced: Option<oneshot::Sender<Vec<PublicKey>>>,
    /// What the last channel is that was not asked for.
    asked_for: &'static str,
    /// For what the server can repeat.
    log: LogLimiter,
    /// Of the login: russh calls from a task of its own.
    span: Span,
}

impl ClientHandler {
    /// `announced` is told once which host keys the server says that it has.
    pub(super) fn new(shared: Arc<SessionShared>, announced: Option<oneshot::Sender<Vec<PublicKey>>>) -> Self {
        Self { shared, announced, asked_for: "unknown", log: LogLimiter::new(PEER_INTERVAL), span: Span::current() }
    }

    /// A connection on a remote forward: to whom it belongs is looked up, the rest is theirs.
    async fn offer(
        &self,
        announced: RemoteListen,
        origin: Originator,
        channel: Channel<Msg>,
        answer: ChannelOpenHandle,
    ) {
        let session = self.shared.ending.gone().clone();
        let (link, counted) = (self.shared.link.clone(), self.shared.connections.count());
        let offer = PendingChannel { channel, answer, origin, session, link, counted };
        self.shared.incoming.place(announced, offer).await;
    }

    async fn refuse(&mut self, what: &str, answer: ChannelOpenHandle) {
        if let Some(suppressed) = self.log.admit(what, clock::now()) {
            let server = &self.shared.who;
            let _tunnel = self.span.enter();
            tracing::warn!(
                server,
                channel = what,
                suppressed,
                "`{server}`: refused a channel that was not asked for: {what}"
            );
        }
        answer.reject(RejectReason::Prohibited.into()).await;
    }
}

impl Drop for ClientHandler {
    /// The session's loop has ended, even if it ended without a word.
    fn drop(&mut self) {
        let suppressed = self.log.suppressed();
        if suppressed > 0 {
            let _tunnel = self.span.enter();
            let server = &self.shared.who;
            tracing::warn!(
                server,
                suppressed,
                "`{server}`: refused {suppressed} more channels that were not asked for"
            );
        }
        {
            let _tunnel = self.span.enter();
            self.shared.unknown.log_due(true);
        }
        self.shared.ending.end(fault::from_russh(&self.shared.who, russh::Error::SendError));
        self.shared.finished.cancel();
    }
}

impl russh::client::Handler for ClientHandler {
    type Error = russh::Error;

    async fn openssh_ext_host_keys_announced(
        &mut self,
        keys: Vec<PublicKey>,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(announced) = self.announced.take() {
            // There is no receiver where known_hosts is not to follow.
            let _ = announced.send(keys);
        }
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Self::Error> {
        let text = sanitised(banner.as_bytes(), MAX_BANNER);
        self.shared.recorder.note(&self.shared.who, LoginStep::Banner(text.clone()));
        self.shared.note(|facts| {
            facts.banner = Some(text);
            facts.banners = facts.banners.saturating_add(1);
        });
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        connected_address: &str,
        connected_port: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let (Ok(port), Ok(origin_port)) = (u16::try_from(connected_port), u16::try_from(originator_port)) else {
            self.refuse("forwarded-tcpip", reply).await;
            return Ok(());
        };
        let listen = RemoteListen::Tcp { address: connected_address.to_owned(), port };
        let origin = Originator { address: originator_address.to_owned(), port: origin_port };
        self.offer(listen, origin, channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.offer(RemoteListen::Unix(socket_path.to_owned()), Originator::unknown(), channel, reply).await;
        Ok(())
    }

    // Of all others russh hears as of channels of unknown types: the transport has seen to it. Those that it knows it would
    // take unless told otherwise.

    /// Yes, so that it is refused below: with no, russh refuses it twice.
    async fn should_accept_unknown_server_channel(&mut self, _: ChannelId, channel_type: &str) -> bool {
        self.asked_for = match channel_type.strip_suffix(NOT_ASKED_FOR).unwrap_or(channel_type) {
            "session" => "session",
            "x11" => "x11",
            "direct-tcpip" => "direct-tcpip",
            "direct-streamlocal@openssh.com" => "direct-streamlocal",
            "auth-agent@openssh.com" => "auth-agent",
            "forwarded-tcpip" | "forwarded-streamlocal@openssh.com" => "a forwarded connection that cannot be read",
            _ => "unknown",
        };
        true
    }

    async fn server_channel_open_unknown(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse(self.asked_for, reply).await;
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let failure = match reason {
            DisconnectReason::ReceivedDisconnect(info) => fault::from_disconnect(&self.shared.who, &info),
            DisconnectReason::Error(error) => self.shared.fault(error),
        };
        self.shared.ending.end(failure);
        Ok(())
    }
}
