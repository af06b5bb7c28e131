//! Requests of the control socket, each answered from what is known, or handed on.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tunnel_engine::{clock, shortage};

use super::reloads::ReloadOrigin;
use super::supervisor::Supervisor;
use super::waits::{WaitGoal, WaitRequest, verdict};
use crate::history::rfc3339;
use crate::os::{RecentLine, limits};
use crate::protocol::status::{OpenFilesStatus, Status, TunnelStatus};
use crate::protocol::{Command, ErrorCode, LogLine, Request, Response};
use crate::tunnel::Order;

/// The longest `wait`. Who wants to wait longer asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

impl Supervisor {
    pub(super) fn answer(&mut self, Command { request, reply }: Command) {
        if self.is_stopping() {
            return reply_with(reply, Response::error(ErrorCode::Stopping, "tunneld is stopping"));
        }
        match request {
            Request::Status { names } => reply_with(reply, self.status_of(&names)),
            Request::Why { name } => reply_with(reply, self.status_of(&[name])),
            Request::Log { name } => reply_with(reply, self.log_of(&name)),
            Request::History { names } => reply_with(reply, self.history_of(&names)),
            Request::Wait { names, timeout_ms } => {
                self.wait(names, WaitGoal::Ready, Duration::from_millis(timeout_ms), reply);
            }
            Request::Stopped { names } => self.wait(names, WaitGoal::Stopped, self.tunnels.stop_within(), reply),
            Request::Events(asked) => reply_with(reply, self.knows(&asked.names)),
            Request::Start { names } => self.order(&names, "start", || Order::Start, reply),
            Request::Stop { names } => self.order(&names, "stop", || Order::Stop, reply),
            Request::Restart { names } => self.order(&names, "restart", || Order::Restart, reply),
            Request::ResetFailed { names } => self.order(&names, "reset-failed", || Order::ResetFailed, reply),
            Request::Reload => self.reload(ReloadOrigin::Request(reply)),
            Request::Plan { config } => self.reload(ReloadOrigin::Plan(config, reply)),
        }
    }

    fn status_of(&self, names: &[String]) -> Response {
        match self.tunnels.resolve(names) {
            Ok(which) => Response::Status { status: self.status(&which) },
            Err(message) => Response::error(ErrorCode::NoSuchTunnel, message),
        }
    }

    fn log_of(&self, name: &str) -> Response {
        match self.tunnels.resolve(&[name.to_owned()]) {
            Ok(_) => Response::Log { lines: self.recent.of(name).into_iter().map(log_line).collect() },
            Err(message) => Response::error(ErrorCode::NoSuchTunnel, message),
        }
    }

    fn knows(&self, names: &[String]) -> Response {
        match self.tunnels.resolve(names) {
            Ok(_) => Response::Done,
            Err(message) => Response::error(ErrorCode::NoSuchTunnel, message),
        }
    }

    fn history_of(&self, names: &[String]) -> Response {
        match self.tunnels.resolve(names) {
            Ok(which) => Response::History { tunnels: self.tunnels.histories(&which) },
            Err(message) => Response::error(ErrorCode::NoSuchTunnel, message),
        }
    }

    fn status(&self, which: &[usize]) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            config: self.desired.global.config.display().to_string(),
            generation: self.generation,
            started_at: rfc3339(self.started_at),
            open_files: open_files(),
            tunnels: self.tunnel_statuses(which),
        }
    }

    fn tunnel_statuses(&self, which: &[usize]) -> Vec<TunnelStatus> {
        let disabled = self.desired.tunnels.iter().filter(|spec| !spec.enabled);
        let disabled: HashSet<&str> = disabled.map(|spec| spec.name.as_str()).collect();
        let mut tunnels = self.tunnels.statuses(which, clock::now());
        for tunnel in &mut tunnels {
            tunnel.enabled = !disabled.contains(tunnel.name.as_str());
        }
        tunnels
    }

    fn order(&mut self, names: &[String], verb: &str, order: fn() -> Order, reply: oneshot::Sender<Response>) {
        self.record_orders(names, verb);
        match self.tunnels.order_named(names, order) {
            Ok(taken) => {
                // The next question of the same client must see what it asked for.
                self.jobs.spawn(async move {
                    taken.wait().await;
                    reply_with(reply, Response::Done);
                    None
                });
            }
            Err(message) => reply_with(reply, Response::error(ErrorCode::NoSuchTunnel, message)),
        }
    }

    fn wait(&mut self, names: Vec<String>, goal: WaitGoal, timeout: Duration, reply: oneshot::Sender<Response>) {
        match self.tunnels.resolve(&names) {
            Ok(_) => {
                let until = clock::now() + timeout.min(LONGEST_WAIT);
                self.waits.push(WaitRequest { names, goal, until, reply });
            }
            Err(message) => reply_with(reply, Response::error(ErrorCode::NoSuchTunnel, message)),
        }
    }

    /// Answers those whose answer is there, and forgets those who have left.
    pub(super) fn end_waits(&mut self, now: std::time::Instant) {
        if self.waits.is_empty() {
            return;
        }
        for waiting in std::mem::take(&mut self.waits) {
            if waiting.reply.is_closed() {
                continue;
            }
            let states = |name: &str| waiting.goal.state(self.tunnels.view(name).as_deref());
            match verdict(&waiting.names, states).or((waiting.until <= now).then_some(false)) {
                Some(ready) => {
                    let known = waiting.names.iter().filter(|name| self.tunnels.view(name).is_some());
                    let known: Vec<_> = known.cloned().collect();
                    let which =
                        if known.is_empty() { Vec::new() } else { self.tunnels.resolve(&known).unwrap_or_default() };
                    reply_with(waiting.reply, Response::Waited { ready, status: self.status(&which) });
                }
                None => self.waits.push(waiting),
            }
        }
    }
}

fn log_line(line: RecentLine) -> LogLine {
    LogLine { at: rfc3339(line.at), level: line.level.into(), message: line.message }
}

fn open_files() -> Option<OpenFilesStatus> {
    Some(OpenFilesStatus { limit: limits::open_files_limit()?, short: shortage::descriptors_are_short() })
}

/// A client that has gone is not missed.
pub(super) fn reply_with(reply: oneshot::Sender<Response>, response: Response) {
    drop(reply.send(response));
}
