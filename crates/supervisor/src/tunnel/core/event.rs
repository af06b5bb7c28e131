//! What a core is told. Plain data: what was told once can be written down and told again.

use std::sync::Arc;
use std::time::Duration;

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{DeviceState, ListenState, ProbeFailure, ProbeResult};
use tunnel_engine::session::{ForwardError, Path, SessionInfo};
use tunnel_engine::spec::{Destination, Listen};

use super::super::file_stamps::FileStamps;
use super::super::forwards::ForwardId;
use super::super::takeover::{ReleaseReport, ShellError};
use super::orders::Order;
use crate::lifecycle::SessionId;

#[derive(Debug, Clone)]
pub(in crate::tunnel) enum TunnelEvent {
    Order(Order),
    /// This process did not run for so long.
    DidNotRun(Duration),
    /// The time of `poll_timeout` has come. With what users have seen of the forwards by now.
    Due(Vec<Observed>),
    LoggedIn {
        session: SessionId,
        info: Arc<SessionInfo>,
        /// How the files that it reads looked before; `None` where the server was not reached.
        files: Option<FileStamps>,
    },
    LoginFailed {
        session: SessionId,
        failure: LoginFailure,
        /// How the files that it reads looked before.
        files: Option<FileStamps>,
    },
    /// The server answered the first question on a session.
    SessionProven(SessionId),
    SessionEnded(SessionId, Failure),
    /// The way to the server of a session looks different.
    PathChanged(SessionId, Path),
    /// A session that was to be closed has ended.
    Closed(SessionId),
    /// A session that is being closed has given its remote ports back.
    PortsReleased,
    /// A replaced session has given its remote ports back.
    ListensTakenBack(SessionId),
    RetiredEnded(SessionId),
    /// A server that was away can be reached again.
    ServerBack(Destination),
    /// A server that might have been away is there.
    ServerThere(Destination),
    /// A local address was bound, or not.
    Bound(ForwardId, Result<(), Failure>),
    /// A listener opened, closed or failed by itself.
    ListenerChanged(ForwardId, ListenState),
    DeviceChanged(ForwardId, DeviceState),
    Requested(Requested),
    /// A session has its mark on the server, or there is no shell for it.
    Marked(SessionId, Result<(), ShellError>),
    Probed(Probed),
    /// Users' connections showed something. All that is known of all forwards.
    Observed(Vec<Observed>),
    FilesChanged(SessionId, FileStamps),
}

/// Why there is no session.
#[derive(Debug, Clone)]
pub(in crate::tunnel) struct LoginFailure {
    pub(in crate::tunnel) failure: Failure,
    /// The server asked to be left alone for so long.
    pub(in crate::tunnel) asked: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(in crate::tunnel) struct Requested {
    pub(in crate::tunnel) session: SessionId,
    pub(in crate::tunnel) forward: ForwardId,
    pub(in crate::tunnel) listen: Listen,
    /// What came of a takeover before.
    pub(in crate::tunnel) report: Option<ReleaseReport>,
    /// The port that the server chose, where it was to.
    pub(in crate::tunnel) result: Result<Option<u16>, ForwardError>,
}

#[derive(Debug, Clone)]
pub(in crate::tunnel) struct Probed {
    pub(in crate::tunnel) session: SessionId,
    pub(in crate::tunnel) forward: ForwardId,
    /// The number that it was asked under.
    pub(in crate::tunnel) probe: u32,
    pub(in crate::tunnel) result: ProbeResult,
    /// The target is connected to in the course of it.
    pub(in crate::tunnel) target: bool,
}

/// What users' connections have shown of one forward by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tunnel) struct Observed {
    pub(in crate::tunnel) forward: ForwardId,
    /// Connections carried since start.
    pub(in crate::tunnel) carried: u64,
    /// Connections that the target refused since start.
    pub(in crate::tunnel) refused: u64,
    /// Why the target does not take connections, as far as is known.
    pub(in crate::tunnel) refusal: Option<ProbeFailure>,
}
