//! What a core wants done. Plain data, so that two runs can be compared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tunnel_engine::failure::{Failure, Unreached};
use tunnel_engine::forward::{BindOptions, ListenOptions, ProbeCheck, ProbeFailure};
use tunnel_engine::session::ForwardError;
use tunnel_engine::spec::{AddressFamily, Connect, DeviceMode, DeviceUnit, Listen, PermitRemoteOpen, SessionSpec};

use super::super::file_stamps::{FileStamps, WatchedFiles};
use super::super::forwards::ForwardId;
use super::super::observer::Occurrence;
use super::super::on_change::ReadinessChange;
use super::super::takeover::HeldAddress;
use crate::config::ShellCommand;
use crate::history::{Cause, Event as Told, Moment};
use crate::lifecycle::{SessionId, Want};

#[derive(Debug, Default)]
pub(in crate::tunnel) struct Effects(VecDeque<TunnelEffect>);

impl Effects {
    pub(in crate::tunnel) fn push(&mut self, effect: impl Into<TunnelEffect>) {
        self.0.push_back(effect.into());
    }

    pub(in crate::tunnel) fn pop(&mut self) -> Option<TunnelEffect> {
        let effect = self.0.pop_front();
        if effect.is_none() {
            // Hundreds of idle tunnels keep no room for the effects of their last start.
            self.0 = VecDeque::new();
        }
        effect
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &TunnelEffect> {
        self.0.iter()
    }
}

/// One thing to do, at once and without waiting: what takes time comes back as an event.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) enum TunnelEffect {
    /// Log in. Answered by `LoggedIn` or `LoginFailed`.
    Login(Box<Login>),
    /// Give this login up.
    AbandonLogin(SessionId),
    /// The session that has just been logged in is used; without this it is closed.
    Keep(SessionId),
    /// Ask the server one question. An answer is `SessionProven`.
    Prove(SessionId),
    /// Have the path to the server prove itself.
    ProbePath(SessionId),
    /// New connections of local listeners use these sessions.
    Serve(Vec<SessionId>),
    /// What waits for an answer of this session goes elsewhere.
    Withdraw(SessionId),
    /// Close a session in good order. Answered by `PortsReleased` and `Closed`.
    Close(Box<Close>),
    Disconnect(SessionId),
    /// Have the server listen on these no more. Answered by `ListensTakenBack`.
    TakeBack(SessionId, Vec<Listen>),
    /// Let the connections of a replaced session go on for a while. Answered by `RetiredEnded`.
    Retire(Box<Retire>),
    /// There are too many retired sessions: end this one.
    EndRetired(SessionId),
    /// Retired sessions end by then; `None`: those that retire from now on have as long as they are given.
    DrainBy(Option<Instant>),
    /// A person asked for the next start: it waits for no hold of a server.
    BypassHold,
    /// Put the tunnel's mark on a session. Answered by `Marked`.
    Mark(SessionId),
    /// Something is to be done for a forward.
    Forward(ForwardEffect),

    /// Ask servers that are away whether they are back. Answered by `ServerBack` or `ServerThere`, once.
    WatchServers(Vec<AwayServer>),
    /// Ask no more.
    StopWatchingServers,
    /// The connection that the server's answer brought is for the next login.
    KeepLink,
    /// Look at files until they look different. Answered by `FilesChanged`.
    WatchFiles(Box<WatchFiles>),
    /// Look no more.
    StopWatchingFiles,

    Observe(Occurrence<'static>),
    /// The same of a failure, and of which forward.
    ObserveFailure(Box<(Failure, Option<String>)>),
    /// The history is told how the tunnel is.
    Record(Want, bool, Option<Cause>, Moment),
    Tell(Box<Told>),
    RunOnChange(Box<(ReadinessChange, ShellCommand)>),
    /// No such command runs from now on.
    EndOnChange,
}

/// What is to be done for one forward.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) enum ForwardEffect {
    /// A forward is there, of which connections are counted.
    AddForward(ForwardId),
    /// A forward is gone, with what runs for it.
    RemoveForward(ForwardId),
    /// Why the target of a forward does not take connections, as far as is known.
    SetRefusal(ForwardId, Option<ProbeFailure>),
    /// Bind a local address. Answered by `Bound`.
    Bind(Box<BindRequest>),
    /// Do not try again to bind it.
    StopBinding(ForwardId),
    /// Accept connections on the address that has just been bound. `ListenerChanged` tells how it is.
    OpenListener(ForwardId, Connect, ListenOptions),
    /// Take new connections of an open listener there.
    RetargetListener(ForwardId, Connect),
    RetuneListener(ForwardId, ListenOptions),
    /// See whether the address is still there.
    CheckListener(ForwardId),
    /// Take no new connections; those that live may go on until then.
    DrainListener(ForwardId, Instant),
    /// Open a tunnel device. `DeviceChanged` tells how it is.
    OpenDevice(Box<OpenDeviceRequest>),
    CloseDevice(ForwardId),
    /// Ask the server for another device.
    RetargetDevice(ForwardId, DeviceUnit),
    /// See whether it is still there.
    CheckDevice(ForwardId),

    /// Ask the server to listen. Answered by `Requested`.
    Listen(Box<ListenRequest>),
    /// Ask no more.
    StopAsking(ForwardId),
    /// Have the server listen on this no more. There is no answer.
    CancelListen(SessionId, Listen),
    /// Take the connections of a remote listener there.
    Route(SessionId, Box<RouteTarget>),
    /// Take none of them any more.
    Unroute(SessionId, Listen),
    /// Ask whether a forward carries. Answered by `Probed`.
    Probe(Box<Probe>),
}

impl From<ForwardEffect> for TunnelEffect {
    fn from(effect: ForwardEffect) -> Self {
        Self::Forward(effect)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct Login {
    pub(in crate::tunnel) session: SessionId,
    /// Whom and how.
    pub(in crate::tunnel) spec: SessionSpec,
    pub(in crate::tunnel) files: WatchedFiles,
    /// When the tunnel was up: those that were up last go first.
    pub(in crate::tunnel) last_up: Option<Instant>,
    /// Nothing but the clock asked for it: what another tunnel has just been told by the server is as good as an answer.
    pub(in crate::tunnel) scheduled: bool,
}

/// The end of a session in good order.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct Close {
    pub(in crate::tunnel) session: SessionId,
    /// Its remote listeners, with their real ports.
    pub(in crate::tunnel) listens: Vec<Listen>,
    /// Remove the files of its unix sockets on the server.
    pub(in crate::tunnel) tidy: bool,
    /// Until when its connections may go on; `None`: not at all.
    pub(in crate::tunnel) until: Option<Instant>,
}

/// A session that only finishes what it carries.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct Retire {
    pub(in crate::tunnel) session: SessionId,
    /// Its remote listeners that were not taken back yet.
    pub(in crate::tunnel) listens: Vec<Listen>,
    /// It does not answer.
    pub(in crate::tunnel) silent: bool,
    /// How long its connections may go on.
    pub(in crate::tunnel) until: Instant,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct BindRequest {
    pub(in crate::tunnel) forward: ForwardId,
    pub(in crate::tunnel) listen: Listen,
    pub(in crate::tunnel) options: BindOptions,
    /// It failed before: `StopBinding` ends this try.
    pub(in crate::tunnel) retry: bool,
    /// What was in the way: it is waited until that is gone.
    pub(in crate::tunnel) failed: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct OpenDeviceRequest {
    pub(in crate::tunnel) forward: ForwardId,
    pub(in crate::tunnel) mode: DeviceMode,
    pub(in crate::tunnel) local: DeviceUnit,
    pub(in crate::tunnel) remote: DeviceUnit,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct ListenRequest {
    pub(in crate::tunnel) session: SessionId,
    pub(in crate::tunnel) target: RouteTarget,
    /// The port that the server chose the last time, asked for first.
    pub(in crate::tunnel) allocated: Option<u16>,
    pub(in crate::tunnel) mode: ListenMode,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) enum ListenMode {
    /// Once; `taken_back` is cancelled first, then what `release` names is taken from who has it. `reclaim` is the port that
    /// the server chose the last time: refused now, it is taken from who has it before the server chooses another.
    Once { taken_back: Option<Listen>, release: Option<HeldAddress>, reclaim: Option<HeldAddress> },
    /// Again and again, until the server says another thing than this; until then at the latest. The port has been busy
    /// since then.
    Until { refused: ForwardError, busy_since: Instant, until: Option<Instant> },
}

/// Where the connections of a remote forward go.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct RouteTarget {
    pub(in crate::tunnel) forward: ForwardId,
    /// As the config has it, for the log.
    pub(in crate::tunnel) name: String,
    pub(in crate::tunnel) listen: Listen,
    pub(in crate::tunnel) connect: Connect,
    pub(in crate::tunnel) family: AddressFamily,
    pub(in crate::tunnel) permit: PermitRemoteOpen,
    pub(in crate::tunnel) max_connections: u32,
}

/// One question about a forward.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct Probe {
    pub(in crate::tunnel) session: SessionId,
    pub(in crate::tunnel) forward: ForwardId,
    /// Tells a late answer from one that is waited for.
    pub(in crate::tunnel) probe: u32,
    /// The listener on the server; `None` for a local forward.
    pub(in crate::tunnel) listen: Option<Listen>,
    pub(in crate::tunnel) connect: Connect,
    pub(in crate::tunnel) family: AddressFamily,
    /// What the target is asked; `None`: it is not.
    pub(in crate::tunnel) target: Option<ProbeCheck>,
}

/// A server that is away, or may be.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct AwayServer {
    pub(in crate::tunnel) spec: Box<SessionSpec>,
    pub(in crate::tunnel) at: Unreached,
    pub(in crate::tunnel) since: Instant,
    /// Whether it is away is to be found out first.
    pub(in crate::tunnel) in_doubt: bool,
    pub(in crate::tunnel) last_up: Option<Instant>,
    pub(in crate::tunnel) at_most_every: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tunnel) struct WatchFiles {
    pub(in crate::tunnel) session: SessionId,
    pub(in crate::tunnel) files: WatchedFiles,
    pub(in crate::tunnel) before: Option<FileStamps>,
    /// Since when the tunnel is blocked: the longer, the less often.
    pub(in crate::tunnel) blocked_since: Instant,
}
