//! The server's side of one session: russh asks, this answers, by the faults of the moment.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::{Algorithm, Certificate};
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use super::builder::User;
use super::counts::CountGuard;
use super::faults::{AuthFault, Faults};
use super::listeners::Listeners;
use super::relay;
use super::server::DemoShared;
use super::targets::Connected;
use crate::{clock, task};

/// Session channels without a command, as MaxSessions of sshd.
const MAX_SHELLS: usize = 10;

/// One session.
pub(super) struct DemoHandler {
    shared: Arc<DemoShared>,
    peer: Option<SocketAddr>,
    gone: CancellationToken,
    listeners: Listeners,
    /// Session channels that wait for their command.
    shells: HashMap<ChannelId, Channel<Msg>>,
    session: Option<CountGuard>,
}

enum ChannelTarget {
    Tcp { host: String, port: u16 },
    Unix(String),
}

/// The target in memory that plays the shell: it is told the command in its first line.
const SHELL: &str = "exec";

impl DemoHandler {
    pub(super) fn new(shared: Arc<DemoShared>, peer: Option<SocketAddr>, gone: CancellationToken) -> Self {
        let listeners = Listeners::new(shared.clone(), gone.clone());
        Self { shared, peer, gone, listeners, shells: HashMap::new(), session: None }
    }

    /// Counts a proof and judges it, unless a fault has the say.
    async fn judge(&self, user: &str, judge: impl FnOnce(&User) -> bool) -> Result<Auth, russh::Error> {
        self.shared.counts.change(|counts| counts.auth_attempts += 1);
        self.decide(user, judge).await
    }

    async fn decide(&self, user: &str, judge: impl FnOnce(&User) -> bool) -> Result<Auth, russh::Error> {
        self.wait_while(|faults| faults.auth == AuthFault::Stall).await;
        let fault = self.shared.faults.borrow().auth;
        match fault {
            AuthFault::Drop => Err(russh::Error::Disconnect),
            AuthFault::Reject | AuthFault::Stall => Ok(self.reject()),
            AuthFault::None if self.shared.users.get(user).is_some_and(judge) => Ok(Auth::Accept),
            AuthFault::None => Ok(self.reject()),
        }
    }

    /// As sshd: what was refused once may be tried again. (By itself russh takes the method off the list.)
    fn reject(&self) -> Auth {
        Auth::Reject { proceed_with_methods: Some(self.shared.methods()), partial_success: false }
    }

    async fn wait_while(&self, fault: impl Fn(&Faults) -> bool) {
        let mut faults = self.shared.faults.subscribe();
        let over = faults.wait_for(|faults| !fault(faults));
        // A session that ends meanwhile waits for nothing.
        let _ = self.gone.run_until_cancelled(over).await;
    }

    /// Answers an open once the target has. In a task: the session goes on meanwhile.
    fn open(&self, channel: Channel<Msg>, reply: ChannelOpenHandle, wanted: ChannelTarget) {
        let (shared, gone) = (self.shared.clone(), self.gone.clone());
        shared.counts.change(|counts| counts.opens += 1);
        task::detached(async move {
            let ended = gone.clone();
            ended.run_until_cancelled(answer(shared, channel, reply, wanted, gone)).await
        });
    }
}

async fn answer(
    shared: Arc<DemoShared>,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
    wanted: ChannelTarget,
    gone: CancellationToken,
) {
    let mut faults = shared.faults.subscribe();
    if faults.wait_for(|faults| !faults.hold_channels).await.is_err() {
        return;
    }
    if shared.faults.borrow().deny_channels {
        return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    }
    let target: Connected = match wanted {
        ChannelTarget::Tcp { host, port } => shared.connect_tcp(&host, port).await,
        ChannelTarget::Unix(path) => shared.connect_unix(&path).await,
    };
    match target {
        Ok(target) => {
            reply.accept().await;
            relay::relay(shared, channel, target, gone).await;
        }
        Err(refusal) => reply.reject(refusal).await,
    }
}

impl russh::server::Handler for DemoHandler {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.shared.banner.clone())
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.decide(user, |user| user.nothing).await
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.judge(user, |user| user.password.as_deref() == Some(password)).await
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        // As OpenSSH since 8.8: no SHA-1.
        let modern = !matches!(offer.algorithm, Algorithm::Rsa { hash: None });
        let key = offer.public_key.key_data();
        let known = |user: &User| user.keys.iter().chain(&user.authorities).any(|own| own.key_data() == key);
        // The key of a certificate is offered here too, and belongs to no user: the certificate decides later.
        let certified = |user: &User| !user.authorities.is_empty();
        self.judge(user, |user| modern && (known(user) || certified(user))).await
    }

    async fn auth_publickey(&mut self, user: &str, proven: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let key = proven.public_key.key_data();
        self.decide(user, |user| user.keys.iter().any(|own| own.key_data() == key)).await
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        let named = certificate.valid_principals().iter().any(|principal| principal == user);
        let now = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let signed = |user: &User| {
            let authorities: Vec<_> =
                user.authorities.iter().map(|key| key.fingerprint(russh::keys::HashAlg::Sha256)).collect();
            certificate.validate_at(now, &authorities).is_ok()
        };
        self.decide(user, |user| named && signed(user)).await
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(response) = response else {
            return Ok(Auth::Partial {
                name: Cow::Borrowed(""),
                instructions: Cow::Borrowed(""),
                prompts: Cow::Borrowed(&[(Cow::Borrowed("Password: "), false)]),
            });
        };
        let answers: Vec<_> = response.collect();
        let right = |user: &User| match (&user.interactive, answers.as_slice()) {
            (Some(password), [answer]) => answer.as_ref() == password.as_bytes(),
            _ => false,
        };
        self.judge(user, right).await
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.shared.counts.change(|counts| counts.sessions += 1);
        self.session = Some(self.shared.counts.hold(|counts| &mut counts.sessions_now));
        tracing::debug!(peer = ?self.peer, "demo server: logged in");
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match u16::try_from(port) {
            Ok(port) => self.open(channel, reply, ChannelTarget::Tcp { host: host.to_owned(), port }),
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open(channel, reply, ChannelTarget::Unix(path.to_owned()));
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.shared.faults.borrow().deny_channels || self.shells.len() >= MAX_SHELLS {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        } else {
            self.shells.insert(channel.id(), channel);
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(channel) = self.shells.remove(&id) else { return session.channel_failure(id) };
        let Ok(mut shell) = self.shared.targets.connect_tcp(SHELL, 0).await else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let (shared, gone, mut first) = (self.shared.clone(), self.gone.clone(), command.to_vec());
        first.push(b'\n');
        task::detached(async move {
            if shell.write_all(&first).await.is_ok() {
                relay::relay(shared, channel, shell, gone).await;
            }
        });
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        if !self.may_listen().await {
            return Ok(false);
        }
        let Ok(wanted) = u16::try_from(*port) else { return Ok(false) };
        let real = self.listeners.listen_tcp(&session.handle(), address, wanted);
        *port = real.map_or(*port, u32::from);
        Ok(real.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(u16::try_from(port).is_ok_and(|port| self.listeners.cancel_tcp(address, port)))
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, Self::Error> {
        Ok(self.may_listen().await && self.listeners.listen_unix(&session.handle(), path).is_some())
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Self::Error> {
        Ok(self.listeners.cancel_unix(path))
    }
}

impl DemoHandler {
    async fn may_listen(&self) -> bool {
        self.shared.counts.change(|counts| counts.forward_requests += 1);
        self.wait_while(|faults| faults.hold_forwards).await;
        !self.shared.faults.borrow().deny_forwards
    }
}
