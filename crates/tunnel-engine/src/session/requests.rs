//! What is asked of the server on a living session: channels, remote forwards, signs of life. A remote forward is asked for in a
//! task of its own, which finishes it even when the asker has gone: what the server grants late is taken back. A channel that
//! the asker has given up is seen to by [`Opening`].

use std::future::{Future, poll_fn};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PublicKey;
use tokio::sync::oneshot;

use super::ForwardError;
use super::channel::{Channel, OpenError};
use super::fault::escaped;
use super::host_key_proof;
use super::incoming::{Originator, RemoteListen};
use super::link::SessionShared;
use super::opening::Opening;
use super::round_trip::RoundTrip;
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::spec::{Bind, Connect, Listen};
use crate::task;
use crate::transport::{Content, GlobalAnswer, MessageReader, OpenRefusal, put_string, put_u32};

/// The server connects to the target before it answers; two minutes is how long its kernel tries.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(120);
/// A request to listen needs only the server itself.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(20);
/// A loop that writes nothing for so long has to show that it reads.
const TURN_READS: Duration = Duration::from_secs(1);
/// What is kept of the server's words about a refused listener, in characters.
const MAX_REASON: usize = 200;
/// What is kept of its words about a channel, in characters.
const MAX_REFUSAL: usize = 200;

/// Names of a request about a listener: at a port (RFC 4254 section 7.1) and at a socket (OpenSSH's PROTOCOL, section 2.4).
struct ListenRequest {
    tcp: &'static str,
    unix: &'static str,
}

const LISTEN: ListenRequest = ListenRequest { tcp: "tcpip-forward", unix: "streamlocal-forward@openssh.com" };
const CANCEL: ListenRequest =
    ListenRequest { tcp: "cancel-tcpip-forward", unix: "cancel-streamlocal-forward@openssh.com" };

/// SSH_DISCONNECT_BY_APPLICATION.
pub(super) const BY_APPLICATION: u32 = 11;
/// A request that servers refuse, which is an answer.
const KEEPALIVE: &str = "keepalive@openssh.com";

/// The way to ask. Does not keep the session alive by itself.
pub(super) struct Requests {
    pub shared: Arc<SessionShared>,
    rtt: RoundTrip,
}

impl Requests {
    pub(super) fn new(shared: Arc<SessionShared>) -> Self {
        Self { shared, rtt: RoundTrip::default() }
    }

    pub(super) async fn open_direct(
        self: &Arc<Self>,
        target: &Connect,
        origin: &Originator,
    ) -> Result<Channel, OpenError> {
        let Some((kind, fields)) = direct(target, origin) else {
            return Err(OpenError::UnknownType(format!("`{target}` is no target of a server's")));
        };
        let (shared, asked) = (&self.shared, clock::now());
        let mut opening = Opening::new(shared, shared.link.open_channel(kind, &fields, Content::Bytes));
        match clock::timeout(OPEN_TIMEOUT, opening.answer()).await {
            Ok(Ok((channel, counted))) => {
                shared.link.note_round_trip(clock::now().saturating_duration_since(asked));
                Ok(Channel::new(channel, shared.ending.gone(), counted, shared.link.clone()))
            }
            Ok(Err(Some(refusal))) => Err(open_error(&refusal)),
            Ok(Err(None)) => Err(OpenError::SessionEnded),
            Err(_) => Err(OpenError::Timeout),
        }
    }

    /// `allocated`: told the port before any connection that came early is handed on.
    pub(super) async fn request_forward(
        self: &Arc<Self>,
        listen: &Listen,
        allocated: impl FnOnce(Option<u16>) + Send + 'static,
    ) -> Result<Option<u16>, ForwardError> {
        let name = listen.to_string();
        let (remote, line, refused) = (remote_listen(listen), self.clone(), name.clone());
        let ask = async move { line.ask_to_listen(remote, refused, allocated).await };
        let line = self.clone();
        let late = move |granted: Result<(RemoteListen, Option<u16>), ForwardError>| async move {
            if let Ok((listen, _)) = granted {
                // The caller has gone: the server must not go on listening.
                let _ = line.stop_listening(listen, String::new()).await;
            }
        };
        match finish(FORWARD_TIMEOUT, ask, late).await {
            Some(granted) => granted.map(|(_, port)| port),
            None => Err(ForwardError::Timeout { listen: name }),
        }
    }

    pub(super) async fn cancel_forward(&self, listen: &Listen) -> Result<(), ForwardError> {
        let name = listen.to_string();
        let cancelled = clock::timeout(FORWARD_TIMEOUT, self.stop_listening(remote_listen(listen), name.clone())).await;
        cancelled.unwrap_or(Err(ForwardError::Timeout { listen: name }))
    }

    /// Has the server prove that it has these host keys, all of them.
    pub(super) async fn prove(&self, keys: &[PublicKey]) -> Result<(), String> {
        let proven = clock::timeout(FORWARD_TIMEOUT, host_key_proof::host_key_proof(self, keys)).await;
        proven.unwrap_or_else(|_| Err("it did not answer".to_owned()))
    }

    /// Asks for any answer at all (`keepalive@openssh.com`), and measures how long it takes.
    pub(super) async fn ping(&self, timeout: Duration) -> Result<Duration, Failure> {
        let answered = tokio::select! {
            () = self.shared.ending.gone().cancelled() => None,
            answered = clock::timeout(timeout, self.ask()) => answered.ok().flatten(),
        };
        if let Some(ended) = self.shared.ending.reason() {
            return Err(ended);
        }
        answered.ok_or_else(|| {
            let message = format!("`{}` did not answer within {}s", self.shared.who, timeout.as_secs_f64());
            Failure::new(FailureKind::KeepaliveTimeout, message)
        })
    }

    /// As [`Requests::ping`], for as long as it takes. `None`: the session is over.
    pub(super) async fn ask(&self) -> Option<Duration> {
        let sent = clock::now();
        let asked = self.shared.link.ask(KEEPALIVE, &[]);
        poll_fn(|cx| asked.poll_answer(cx)).await?;
        self.shared.answered();
        let rtt = clock::now().saturating_duration_since(sent);
        self.rtt.answered(rtt);
        self.shared.link.note_round_trip(rtt);
        Some(rtt)
    }

    /// Returns once the transport's task has shown that it turns: it has written something we gave it, or waits for a peer
    /// that takes nothing, which is the watchdog's business; or the session is over.
    pub(super) async fn check_loop(&self) {
        let (read, written) = self.shared.link_monitor.bytes();
        let turns = async {
            // The answer is not waited for: the server has nothing to do with it.
            drop(self.shared.link.ask(KEEPALIVE, &[]));
            self.shared.link_monitor.writing(written).await;
        };
        // While keys are exchanged nothing of ours is sent; then its reading shows that it turns.
        let reads = async {
            loop {
                tokio::time::sleep_until((clock::now() + TURN_READS).into()).await;
                if self.shared.link_monitor.activity().reading_since.is_some()
                    || self.shared.link_monitor.bytes().0 != read
                {
                    return;
                }
            }
        };
        tokio::select! {
            () = turns => {}
            () = reads => {}
            () = self.shared.ending.gone().cancelled() => {}
        }
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt.known()
    }

    /// Says goodbye; what comes after it is up to the caller.
    pub(super) fn goodbye(&self) {
        self.shared.link.disconnect(BY_APPLICATION, "");
    }

    async fn ask_to_listen(
        &self,
        listen: RemoteListen,
        name: String,
        allocated: impl FnOnce(Option<u16>),
    ) -> Result<(RemoteListen, Option<u16>), ForwardError> {
        let request = self.shared.incoming.ask(listen.clone());
        let granted = match self.ask_about(&LISTEN, &listen, &name).await {
            Ok(fields) => real(listen, &fields, name),
            Err(error) => Err(error),
        };
        match &granted {
            Ok((_, port)) => {
                allocated(*port);
                self.shared.incoming.granted(request, *port);
            }
            Err(_) => self.shared.incoming.denied(request),
        }
        granted
    }

    async fn stop_listening(&self, listen: RemoteListen, name: String) -> Result<(), ForwardError> {
        self.shared.incoming.forget(&listen);
        self.ask_about(&CANCEL, &listen, &name).await.map(drop)
    }

    /// Asks for something about a listener. OpenSSH says why it refuses when its policy forbids the listener, and nothing when the
    /// port is taken.
    async fn ask_about(
        &self,
        request: &ListenRequest,
        listen: &RemoteListen,
        name: &str,
    ) -> Result<Vec<u8>, ForwardError> {
        let mut fields = Vec::new();
        let request = match listen {
            RemoteListen::Tcp { address, port } => {
                put_string(&mut fields, address.as_bytes());
                put_u32(&mut fields, u32::from(*port));
                request.tcp
            }
            RemoteListen::Unix(path) => {
                put_string(&mut fields, path.as_bytes());
                request.unix
            }
        };
        let asked = self.shared.link.ask(request, &fields);
        let answer = poll_fn(|cx| asked.poll_answer(cx)).await.ok_or(ForwardError::SessionEnded)?;
        self.shared.answered();
        match answer {
            GlobalAnswer::Success(fields) => Ok(fields),
            GlobalAnswer::Failure { said } => {
                let reason = said.map(|said| escaped(&said, MAX_REASON));
                Err(ForwardError::Refused { listen: name.to_owned(), reason })
            }
        }
    }
}

/// Runs `work` to its end, whatever becomes of the asker. A result without a receiver goes to `late`.
pub(super) async fn finish<T, F>(
    alive_limit: Duration,
    work: impl Future<Output = T> + Send + 'static,
    late: impl FnOnce(T) -> F + Send + 'static,
) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send,
{
    let (done, result) = oneshot::channel();
    // Bounded by the session: every answer comes, or fails, when it ends.
    task::detached(async move {
        if let Err(untaken) = done.send(work.await) {
            late(untaken).await;
        }
    });
    clock::timeout(alive_limit, result).await.ok()?.ok()
}

/// The real listener that a granted request stands for; `fields`: what the server said with its yes.
fn real(listen: RemoteListen, fields: &[u8], name: String) -> Result<(RemoteListen, Option<u16>), ForwardError> {
    match listen {
        RemoteListen::Tcp { address, port: 0 } => {
            let allocated = MessageReader::new("port", fields).u32().unwrap_or_default();
            let port = u16::try_from(allocated).ok().filter(|port| *port != 0);
            let port = port.ok_or_else(|| ForwardError::Refused {
                listen: name,
                reason: Some("it said yes, but not on which port".to_owned()),
            })?;
            Ok((RemoteListen::Tcp { address, port }, Some(port)))
        }
        // Some servers name the port unasked; it is the one that was asked for.
        RemoteListen::Tcp { address, port } => Ok((RemoteListen::Tcp { address, port }, Some(port))),
        RemoteListen::Unix(path) => Ok((RemoteListen::Unix(path), None)),
    }
}

/// The words on the wire: the server's PermitListen is matched against this very string.
pub(super) fn remote_listen(listen: &Listen) -> RemoteListen {
    match listen {
        Listen::Tcp { bind, port } => {
            let address = match bind {
                Bind::Default => "localhost",
                Bind::Any => "",
                Bind::Address(address) => address,
            };
            RemoteListen::Tcp { address: address.to_owned(), port: *port }
        }
        Listen::Unix(path) => RemoteListen::Unix(path.to_string_lossy().into_owned()),
        // Never asked for: devices are this machine's, and the server's are asked for otherwise.
        Listen::Device { .. } => RemoteListen::Unix(listen.to_string()),
    }
}

/// The kind and the fields of a channel to `target` (RFC 4254 section 7.2, OpenSSH PROTOCOL section 2.4); `None`: the
/// server has no such target.
fn direct(target: &Connect, origin: &Originator) -> Option<(&'static str, Vec<u8>)> {
    let mut fields = Vec::new();
    match target {
        Connect::Tcp { host, port } => {
            for (address, port) in [(host, port), (&origin.address, &origin.port)] {
                put_string(&mut fields, address.as_bytes());
                put_u32(&mut fields, u32::from(*port));
            }
            Some(("direct-tcpip", fields))
        }
        Connect::Unix(path) => {
            put_string(&mut fields, path.as_os_str().as_bytes());
            put_string(&mut fields, b"");
            put_u32(&mut fields, 0);
            Some(("direct-streamlocal@openssh.com", fields))
        }
        Connect::Socks | Connect::Device(_) => None,
    }
}

pub(super) fn open_error(refusal: &OpenRefusal) -> OpenError {
    let words = escaped(&refusal.text, MAX_REFUSAL);
    match refusal.code {
        1 => OpenError::Prohibited(words),
        2 => OpenError::ConnectFailed(words),
        3 => OpenError::UnknownType(words),
        4 => OpenError::ResourceShortage(words),
        code => OpenError::Other { code, words },
    }
}
