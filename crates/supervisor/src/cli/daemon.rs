//! Finds the daemon's socket and asks it.

use std::path::{Path, PathBuf};

use super::args::GlobalArgs;
use super::problem::Problem;
use crate::config::{self, SocketOfConfig, SocketReason};
use crate::control::{self, ClientError, EventLines};
use crate::history::TunnelHistory;
use crate::protocol::status::Status;
use crate::protocol::{EventsRequest, LogLine, Request, Response};

#[derive(Debug)]
pub(super) struct DaemonAddress {
    socket: PathBuf,
    /// What to do where no process listens there.
    if_absent: String,
}

impl DaemonAddress {
    /// The flag or variable, else what the config file says, else the default.
    pub(super) fn find(global: &GlobalArgs) -> Result<Self, Problem> {
        if let Some(socket) = &global.control_socket {
            return Ok(Self { socket: socket.clone(), if_absent: START_OR_NAME.to_owned() });
        }
        let file = global.config_file();
        let SocketOfConfig { path, because } = config::control_socket_of(&file).map_err(Problem::Config)?;
        let named = global.config.is_some() || file.exists();
        Ok(Self { socket: path, if_absent: if_absent(&because, &file, named) })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The answer, unless it is that there is none.
    pub(super) fn ask(&self, request: Request) -> Result<Response, Problem> {
        match control::ask(&self.socket, request).map_err(|error| self.no_answer(error))? {
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
        match control::events(&self.socket, asked).map_err(|error| self.no_answer(error))? {
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

    fn no_answer(&self, error: ClientError) -> Problem {
        match error.is_absent() {
            true => Problem::NoDaemon { error, hint: self.if_absent.clone() },
            false => Problem::Client(error),
        }
    }
}

const START_OR_NAME: &str = "start it, or name its socket with --control-socket";

/// A daemon that runs keeps the socket that it was started with, whatever its config says since.
fn if_absent(because: &SocketReason, file: &Path, named: bool) -> String {
    const IF_IT_RUNS: &str = "a daemon that runs keeps the socket that it was started with: name that one with --control-socket, or start it";
    let file = file.display();
    match because {
        SocketReason::Key => format!("`control_socket` in `{file}` names this socket; {IF_IT_RUNS}"),
        SocketReason::NoKey => {
            format!("`{file}` has no `control_socket`, so the usual one was asked; {IF_IT_RUNS}")
        }
        SocketReason::Unreadable(why) if named => {
            format!("`{file}` cannot be read ({why}), so the usual socket was asked; {IF_IT_RUNS}")
        }
        SocketReason::Unreadable(_) => START_OR_NAME.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_daemon_is_told_with_what_named_its_socket() {
        let file = Path::new("/f.toml");
        let unreadable = SocketReason::Unreadable("denied".to_owned());
        for (because, named, said) in [
            (SocketReason::Key, true, "`control_socket` in `/f.toml` names this socket; a daemon that runs keeps"),
            (SocketReason::NoKey, true, "`/f.toml` has no `control_socket`, so the usual one was asked; a daemon"),
            (unreadable.clone(), true, "`/f.toml` cannot be read (denied), so the usual socket was asked; a daemon"),
            (unreadable, false, START_OR_NAME),
        ] {
            let hint = if_absent(&because, file, named);
            assert!(hint.starts_with(said), "{hint}");
        }
    }
}
