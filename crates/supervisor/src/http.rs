//! What is served over HTTP where `metrics.listen` is set: metrics, readiness, the status, and a page for people. It only
//! reads: nothing that is sent here changes anything, so there is nothing to log in for.
//!
//! ```text
//! listener (bind, again when the config changes) ─► connections (a bounded number) ─► answer ─► route
//!                                                                                        │
//!                                          supervisor ◄── daemon (one question at a time) ┘
//! ```
//!
//! It costs the tunnels nothing that a peer can add to: connections, headers, times and questions are bounded, and what
//! takes time to write is written on another thread.

mod answer;
mod body;
mod connections;
mod daemon;
mod exposition;
mod host;
mod listener;
mod page;
mod ready;
mod route;

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::forward::PathWatcher;
use tunnel_engine::spec::Listen;
use tunnel_engine::task;

use crate::protocol::Command;

pub use listener::{is_open, shown};

/// The server. Dropping it ends every connection and frees the address.
#[derive(Debug)]
pub struct HttpServer {
    _listening: AbortOnDropHandle<()>,
}

impl HttpServer {
    /// Serves on the address that `listen` holds, and on another one as soon as it holds another. Questions go to
    /// `commands`; `watcher` tells of a lost file of a unix socket.
    pub fn start(
        listen: watch::Receiver<Option<Listen>>,
        commands: mpsc::Sender<Command>,
        watcher: PathWatcher,
    ) -> Self {
        Self { _listening: task::owned(listener::run(listen, daemon::DaemonClient::new(commands), watcher)) }
    }
}
