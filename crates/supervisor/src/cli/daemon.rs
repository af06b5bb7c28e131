//! Finds the daemon's socket and asks it.

use std::path::{Path, PathBuf};

use super::args::GlobalArgs;
use super::problem::Problem;
use crate::config;
use crate::control::{self, EventLines};
use crate::history::TunnelHistory;
use crate::protocol::status::Status;
use crate::protocol::{EventsRequest, LogLine, Request, Response};

#[derive(Debug)]
pub(super) struct DaemonAddress {
    socket: PathBuf,
}

impl DaemonAddress {
    /// The flag or variable, else what the config file says, else the default.
    pub(super) fn find(global: &GlobalArgs) -> Result<Self, Problem> {
        let socket = match &global.control_socket {
            Some(socket) => socket.clone(),
            None => config::control_socket_of(&global.config_file()).map_err(Problem::Config)?,
        };
        Ok(Self { socket })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The answer, unless it is that there is none.
    pub(super) fn ask(&self, request: Request) -> Result<Response, Problem> {
        match control::ask(&self.socket, request)? {
            Response::Error { code, message } => Err(Problem::Refused { code, message }),
            Response::ConfigErrors { text, .. } => Err(Problem::ConfigAtDaemon(text)),
            response @ (Response::Status { .. }
            | Response::Log { .. }
            | Response::History { .. }
            | Response::Waited { .. }
            | Response::Done
            | Response::Plan { .. }) => Ok(response),
        }
    }

    /// Events, as they come.
    pub(super) fn events(&self, asked: EventsRequest) -> Result<EventLines, Problem> {
        match control::events(&self.socket, asked)? {
            Ok(lines) => Ok(lines),
            Err((code, message)) => Err(Problem::Refused { code, message }),
        }
    }

    /// The named tunnels, or all.
    pub(super) fn status(&self, names: Vec<String>) -> Result<Status, Problem> {
        let Response::Status { status } = self.ask(Request::Status { names })? else {
            return Err(Problem::Misunderstood);
        };
        Ok(status)
    }

    /// The last 24 hours of these tunnels. None where the daemon has no answer, as one of an earlier version.
    pub(super) fn histories(&self, status: &Status) -> Vec<TunnelHistory> {
        self.histories_of(status.tunnels.iter().map(|tunnel| tunnel.name.clone()).collect())
    }

    /// The same, by name.
    pub(super) fn histories_of(&self, names: Vec<String>) -> Vec<TunnelHistory> {
        // No name would mean all.
        if names.is_empty() {
            return Vec::new();
        }
        let Ok(Response::History { tunnels }) = self.ask(Request::History { names }) else { return Vec::new() };
        tunnels
    }

    /// The last lines of the log about a tunnel. None where the daemon has no answer, as one of an earlier version.
    pub(super) fn log(&self, name: &str) -> Vec<LogLine> {
        let Ok(Response::Log { lines }) = self.ask(Request::Log { name: name.to_owned() }) else { return Vec::new() };
        lines
    }
}
