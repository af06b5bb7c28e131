//! What goes over the control socket: one JSON line there, one JSON line back, both with the version. Public to our
//! own client only; scripts use `tunneld … --json`.

pub mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::Level;

use self::status::Status;
use crate::history::TunnelHistory;
use crate::word::Word;

/// Counts incompatible changes of this file. A daemon that outlived an upgrade says so instead of guessing.
pub const VERSION: u32 = 1;

/// Longest request line, its newline included: room for thousands of tunnel names.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Longest answer line that the client reads: a status of tens of thousands of forwards.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestLine {
    pub version: u32,
    pub request: Request,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseLine {
    pub version: u32,
    pub response: Response,
}

/// Longest `Wait`, so that no sum of times can overflow: a year.
pub const MAX_WAIT_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// A request that is refused before it is looked at. Told as [`Response::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl From<RefusedRequest> for Response {
    fn from(RefusedRequest { code, message }: RefusedRequest) -> Self {
        Self::Error { code, message }
    }
}

/// Reads a [`RequestLine`].
///
/// # Errors
/// Nonsense, another version, values out of bounds.
pub fn parse_request(line: &[u8]) -> Result<Request, RefusedRequest> {
    /// The request is looked at only when the version is ours: another one may have other requests.
    #[derive(Deserialize)]
    struct RequestEnvelope {
        version: u32,
        request: serde_json::Value,
    }
    let bad = |what: String| RefusedRequest { code: ErrorCode::BadRequest, message: format!("not a request: {what}") };
    if line.len() > MAX_REQUEST_BYTES {
        let message = format!(
            "these are more than {MAX_REQUEST_BYTES} bytes of names: name fewer tunnels, or none where that means all"
        );
        return Err(RefusedRequest { code: ErrorCode::BadRequest, message });
    }
    let outer: RequestEnvelope = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    if outer.version != VERSION {
        let message = format!("the daemon speaks control protocol {VERSION}, the client {}", outer.version);
        return Err(RefusedRequest { code: ErrorCode::VersionMismatch, message });
    }
    let request: Request = serde_json::from_value(outer.request).map_err(|error| bad(error.to_string()))?;
    let too_long = matches!(request, Request::Wait { timeout_ms, .. } if timeout_ms > MAX_WAIT_MS);
    if too_long { Err(bad("timeout_ms is over a year".into())) } else { Ok(request) }
}

/// What can be asked. No `names` mean all tunnels, but for `Wait`, `Stopped`, `Start`, `Stop` and `Restart`, which need one at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How things are. Answered with [`Response::Status`] of the named tunnels, in the config's order.
    Status {
        #[serde(default)]
        names: Vec<String>,
    },
    /// How one tunnel is; the client makes the paragraph. Answered with [`Response::Status`] of that one.
    Why {
        name: String,
    },
    /// What was logged of one tunnel lately. Answered with [`Response::Log`].
    Log {
        name: String,
    },
    /// The last 24 hours of the named tunnels. Answered with [`Response::History`], in the config's order.
    History {
        #[serde(default)]
        names: Vec<String>,
    },
    /// What happened. Answered with [`Response::Done`], and then, on the same connection, with an
    /// [`Event`](crate::history::Event) a line.
    Events(EventsRequest),
    /// Answered with [`Response::Waited`] as soon as all named tunnels are ready, or one is blocked, failed or not
    /// wanted up, or time is up.
    Wait {
        names: Vec<String>,
        /// From the arrival of the request; 0 answers at once.
        timeout_ms: u64,
    },
    /// Answered with [`Response::Waited`] as soon as none of the named tunnels is stopping, or one is wanted up again, or
    /// the time is up that the config gives a stop.
    Stopped {
        names: Vec<String>,
    },
    Start {
        names: Vec<String>,
    },
    Stop {
        names: Vec<String>,
    },
    /// End the session if there is one, and start at once.
    Restart {
        names: Vec<String>,
    },
    ResetFailed {
        #[serde(default)]
        names: Vec<String>,
    },
    /// Read the config again and apply the difference. Answered with [`Response::Plan`] or [`Response::ConfigErrors`].
    Reload,
    /// What `Reload` would do. Same answers.
    Plan {
        /// Another file than the daemon's own, absolute.
        #[serde(default)]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventsRequest {
    /// Of these tunnels, and of tunneld as a whole. None: all.
    #[serde(default)]
    pub names: Vec<String>,
    /// Go on with those that come, until the connection is closed.
    #[serde(default)]
    pub follow: bool,
    /// Of those that are kept, the ones of so many last seconds; null: all.
    #[serde(default)]
    pub within_s: Option<u64>,
}

impl Request {
    /// How long the daemon may take because it was asked to.
    pub const fn own_time(&self) -> Duration {
        match self {
            Self::Wait { timeout_ms, .. } => Duration::from_millis(*timeout_ms),
            // Its config says how long.
            Self::Stopped { .. } => Duration::from_millis(MAX_WAIT_MS),
            Self::Status { .. }
            | Self::Why { .. }
            | Self::Log { .. }
            | Self::History { .. }
            | Self::Events(_)
            | Self::Start { .. }
            | Self::Stop { .. }
            | Self::Restart { .. }
            | Self::ResetFailed { .. }
            | Self::Reload
            | Self::Plan { .. } => Duration::ZERO,
        }
    }

    /// The word used in logs.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Why { .. } => "why",
            Self::Log { .. } => "log",
            Self::History { .. } => "history",
            Self::Events(_) => "events",
            Self::Wait { .. } => "wait",
            Self::Stopped { .. } => "stopped",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::ResetFailed { .. } => "reset-failed",
            Self::Reload => "reload",
            Self::Plan { .. } => "plan",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    Status {
        /// Only the tunnels that were asked for.
        status: Status,
    },
    Log {
        /// The last ones, oldest first.
        lines: Vec<LogLine>,
    },
    History {
        /// Only the tunnels that were asked for.
        tunnels: Vec<TunnelHistory>,
    },
    Waited {
        /// All named tunnels are what was waited for: ready, or stopped.
        ready: bool,
        /// The named tunnels, as they were at the end.
        status: Status,
    },
    /// To `Start`, `Stop`, `Restart`, `ResetFailed`: accepted.
    Done,
    /// To `Reload` and `Plan`.
    Plan { plan: PlanReport },
    /// To `Reload` and `Plan`: the config was refused; nothing changed.
    ConfigErrors {
        /// For a terminal, as `tunneld check` prints it.
        text: String,
        /// As `tunneld check --json` prints it.
        errors: serde_json::Value,
    },
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people: who did what, lower case, no full stop.
        message: String,
    },
}

impl Response {
    pub fn error(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Error { code, message: message.into() }
    }
}

/// A line of the log about one tunnel, whose name it leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// RFC 3339, in UTC.
    pub at: String,
    /// `error`, `warn` or `info`.
    pub level: Word<Level>,
    /// What happened, then the fields that the message does not tell, as `name=value`: `kind`, `retry_in`, `hint`.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    BadRequest,
    /// Made by another version of tunneld.
    VersionMismatch,
    /// The peer is neither root nor the daemon's user.
    Denied,
    /// A name that the config does not have.
    NoSuchTunnel,
    Busy,
    Stopping,
    /// The daemon could not do it; the message says why.
    Failed,
    /// A code of a newer daemon.
    #[serde(other)]
    Unknown,
}

/// What a reload did or would do, in the order of doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// True after `Reload`, false after `Plan`.
    pub applied: bool,
    /// The config's number after the steps.
    pub generation: u64,
    /// Kept tunnels are listed too, as `keep`; kept forwards of a changed tunnel as well.
    pub steps: Vec<PlanStep>,
    /// What cannot be changed in a running daemon, such as `control_socket`: lines for a person.
    #[serde(default)]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    pub tunnel: String,
    /// Which forward, as `-L`, `-R` or `-D` and its text; null: the tunnel itself.
    pub forward: Option<String>,
    pub action: PlanAction,
    /// Live connections that the step ends.
    pub connections: u64,
    /// What changed, such as `host`; empty where the action says it all.
    #[serde(default)]
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanAction {
    Keep,
    /// Applied without a new session.
    Retune,
    /// A forward is added to the living session.
    Add,
    /// A forward is taken out of the living session.
    Cancel,
    Replace,
    Start,
    Stop,
}

impl PlanAction {
    /// The word that people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Retune => "retune",
            Self::Add => "add",
            Self::Cancel => "cancel",
            Self::Replace => "replace",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// Requests that wait for the supervisor at once. More make the asking connections wait, which is bounded as well.
pub const COMMAND_QUEUE: usize = 32;

/// A request on its way to the supervisor. A dropped `reply` is told to the client as `stopping`.
#[derive(Debug)]
pub struct Command {
    pub request: Request,
    /// Where the answer goes. `reply.is_closed()` once the client has gone.
    pub reply: oneshot::Sender<Response>,
}
