//! russh's callbacks. They run inside the session's loop, so they only note and hand on, and never wait for anybody.
//!
//! russh drops SSH_MSG_DEBUG without a callback, so the reason that OpenSSH sends there beside a refused remote
//! forward cannot be had. What can: USERAUTH_BANNER, DISCONNECT, and the text of a refused channel.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use russh::client::{ChannelOpenHandle, DisconnectReason, Msg, Session};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelOpenFailure, Names};
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::fault::{self, sanitised};
use super::incoming::{Offer, Origin, RejectReason, RemoteListen};
use super::link::{MAX_BANNER, Shared};
use crate::examine::Step;
use crate::failure::{Failure, FailureKind};
use crate::hostkey::HostKeys;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};
use crate::{auth, clock};

/// What russh calls back for one session.
pub(super) struct Handler {
    shared: Arc<Shared>,
    host_keys: HostKeys,
    /// Shorter RSA host keys are not believed.
    required_rsa_size: u32,
    announced: Option<oneshot::Sender<Vec<PublicKey>>>,
    /// For what the server can repeat.
    log: LogLimiter,
    /// The type of the host key that was believed.
    host_key_type: Option<Algorithm>,
    /// Of the login: russh calls from a task of its own.
    span: Span,
}

impl Handler {
    /// `announced` is told once which host keys the server says that it has.
    pub(super) fn new(
        shared: Arc<Shared>,
        host_keys: HostKeys,
        required_rsa_size: u32,
        announced: Option<oneshot::Sender<Vec<PublicKey>>>,
    ) -> Self {
        Self {
            shared,
            host_keys,
            required_rsa_size,
            announced,
            log: LogLimiter::new(PEER_INTERVAL),
            host_key_type: None,
            span: Span::current(),
        }
    }

    /// A connection on a remote forward: to whom it belongs is looked up, the rest is theirs.
    async fn offer(&self, announced: RemoteListen, origin: Origin, channel: Channel<Msg>, answer: ChannelOpenHandle) {
        let session = self.shared.ending.gone().clone();
        let backlog = self.shared.backlog.clone();
        let _on_its_way = backlog.on_its_way();
        let offer = Offer { channel, answer, origin, session, backlog, _on_its_way };
        self.shared.incoming.place(announced, offer).await;
    }

    fn note_host_key(&self, presented: &PublicKeyOrCertificate, key: &str) {
        let recorder = &self.shared.recorder;
        if recorder.is_active() {
            let (files, lines) = (self.host_keys.files(), self.host_keys.about(presented));
            let certified = presented.certificate().is_some();
            recorder.note(&self.shared.who, Step::HostKey { key: key.to_owned(), certified, files, lines });
        }
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

/// RSA keys sign in several ways.
fn is_same_type(first: &Algorithm, now: &Algorithm) -> bool {
    matches!((first, now), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. })) || first == now
}

fn other_host_key(who: &str, first: &Algorithm, now: &Algorithm) -> Failure {
    let message = format!(
        "`{who}` showed another host key when keys were exchanged again: `{now}`, and it was `{first}` when the session began"
    );
    Failure::new(FailureKind::HostKeyChanged, message)
        .with_hint("ask the server's owner: no server that is in order does this; another machine may be in between")
}

fn short_host_key(who: &str, bits: u32, required: u32) -> Failure {
    let message = format!("the host key of `{who}` is an RSA key of {bits} bits, and required_rsa_size is {required}");
    Failure::new(FailureKind::NoCommonAlgorithm, message)
        .with_hint("give the server a longer host key, or one of another type, or lower required_rsa_size")
}

impl Drop for Handler {
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
            self.shared.unknown.tell(true);
        }
        self.shared.ending.end(fault::from_russh(&self.shared.who, russh::Error::SendError));
        self.shared.finished.cancel();
    }
}

impl russh::client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let key = presented.public_key();
        let fingerprint = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        self.note_host_key(presented, &fingerprint);
        self.shared.note(|facts| facts.host_key = fingerprint);
        if let Some(bits) = auth::too_short(key.key_data(), self.required_rsa_size) {
            self.shared.ending.end(short_host_key(&self.shared.who, bits, self.required_rsa_size));
            return Ok(false);
        }
        let checked = self.host_keys.check(presented, clock::wall()).instrument(self.span.clone());
        match checked.await {
            Ok(proof) => {
                self.shared.note(|facts| facts.proof = Some(proof));
                self.shared.recorder.note(&self.shared.who, Step::Believed);
                Ok(true)
            }
            Err(failure) => {
                self.shared.ending.end(failure);
                Ok(false)
            }
        }
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, _: &mut Session) -> Result<(), Self::Error> {
        // russh shows the host key of the first exchange only. Of a later one it tells the type, and OpenSSH's client,
        // too, ends a session whose server comes with another one then.
        let first = self.host_key_type.get_or_insert_with(|| names.key.clone());
        if !is_same_type(first, &names.key) {
            self.shared.ending.end(other_host_key(&self.shared.who, first, &names.key));
            return Err(russh::Error::UnknownKey);
        }
        let (kex, cipher) = (names.kex.as_ref().to_owned(), names.cipher.as_ref().to_owned());
        let before_keys = self.shared.wire.bytes();
        self.shared.note(|facts| (facts.kex, facts.cipher, facts.before_keys) = (kex, cipher, before_keys));
        self.shared.key_exchanges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        keys: Vec<PublicKey>,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(announced) = self.announced.take() {
            // Nobody listens where known_hosts is not to follow.
            let _ = announced.send(keys);
        }
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Self::Error> {
        let text = sanitised(banner.as_bytes(), MAX_BANNER);
        self.shared.recorder.note(&self.shared.who, Step::Banner(text.clone()));
        self.shared.note(|facts| {
            facts.banner = Some(text);
            facts.banners = facts.banners.saturating_add(1);
        });
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.shared.refusals.note(reason, description);
        Ok(())
    }

    /// Called right after the bytes were put into the channel's queue.
    async fn data(&mut self, channel: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        self.shared.backlog.arrived(channel.number(), data.len());
        self.shared.answers.received(data.len());
        Ok(())
    }

    async fn window_adjusted(&mut self, _: ChannelId, _: u32, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.answers.window_adjusted();
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.backlog.closed(channel.number());
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
        let origin = Origin { address: originator_address.to_owned(), port: origin_port };
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
        self.offer(RemoteListen::Unix(socket_path.to_owned()), Origin::unknown(), channel, reply).await;
        Ok(())
    }

    // russh takes all of these unless told otherwise. None is ever asked for by a tunnel.

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("auth-agent", reply).await;
        Ok(())
    }

    async fn should_accept_unknown_server_channel(&mut self, _: ChannelId, _: &str) -> bool {
        false
    }

    async fn server_channel_open_unknown(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("unknown", reply).await;
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("session", reply).await;
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("direct-tcpip", reply).await;
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("direct-streamlocal", reply).await;
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("x11", reply).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_type_of_host_key_in_a_rekey_is_a_changed_key() {
        let rsa = |hash| Algorithm::Rsa { hash };
        assert!(is_same_type(&rsa(Some(HashAlg::Sha256)), &rsa(Some(HashAlg::Sha512))));
        assert!(is_same_type(&Algorithm::Ed25519, &Algorithm::Ed25519));
        assert!(!is_same_type(&Algorithm::Ed25519, &rsa(Some(HashAlg::Sha512))));
        let failure = other_host_key("h:22", &Algorithm::Ed25519, &rsa(Some(HashAlg::Sha512)));
        assert_eq!(failure.kind(), FailureKind::HostKeyChanged);
        assert!(
            failure.message().contains("`rsa-sha2-512`") && failure.message().contains("`ssh-ed25519`"),
            "{failure}"
        );
    }
}
