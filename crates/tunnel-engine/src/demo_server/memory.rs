//! The way to servers in memory, as dialers.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::faults::ConnectFault;
use super::server::{DemoShared, Server};
use super::{connection, memory_io};
use crate::dial::{Dialer, Dialing, Link, Prepared};
use crate::failure::{Failure, FailureKind};
use crate::spec::SessionSpec;
use crate::task;

/// What the client's end of a link holds: about what a kernel's socket does.
const CLIENT_PIPE_BYTES: usize = 256 * 1024;

/// Reaches one server, whatever host a spec names.
#[derive(Clone)]
pub struct MemoryDialer {
    server: Weak<DemoShared>,
}

impl MemoryDialer {
    pub(super) fn new(server: &Arc<DemoShared>) -> Self {
        Self { server: Arc::downgrade(server) }
    }
}

impl Dialer for MemoryDialer {
    fn starting_with(&self, first: Result<Link, Failure>) -> Option<Box<dyn Dialer>> {
        Some(Box::new(Prepared::new(first, Arc::new(self.clone()))))
    }

    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        Box::pin(async move {
            let name = spec.destination.host_port();
            let Some(server) = self.server.upgrade() else { return Err(refused(&name)) };
            if server.end.is_cancelled() {
                return Err(refused(&name));
            }
            let fault = server.faults.borrow().connect.clone();
            match fault {
                ConnectFault::Refuse => return Err(refused(&name)),
                ConnectFault::Lost => {
                    tokio::time::sleep_until(deadline.into()).await;
                    let message = format!("`{name}` did not answer");
                    return Err(Failure::new(FailureKind::ConnectTimeout, message).not_reached());
                }
                ConnectFault::None
                | ConnectFault::Silent
                | ConnectFault::SayAndClose(_)
                | ConnectFault::StallInKeyExchange => {}
            }
            let (ours, theirs) = memory_io::pair(CLIENT_PIPE_BYTES, server.faults.subscribe());
            task::detached(connection::serve(server, theirs, None));
            Ok(Link { io: Box::new(ours), peer: None, local: None, keep: None })
        })
    }
}

/// Several servers in memory, told apart by `host:port`.
#[derive(Clone, Default)]
pub struct MemoryNet {
    servers: HashMap<String, MemoryDialer>,
}

impl MemoryNet {
    /// `host_port`, as in `bastion:22`, leads to `server`.
    #[must_use]
    pub fn with(mut self, host_port: &str, server: &Server) -> Self {
        self.servers.insert(host_port.to_owned(), server.dialer());
        self
    }
}

impl Dialer for MemoryNet {
    fn starting_with(&self, first: Result<Link, Failure>) -> Option<Box<dyn Dialer>> {
        Some(Box::new(Prepared::new(first, Arc::new(self.clone()))))
    }

    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        let name = spec.destination.host_port();
        match self.servers.get(&name) {
            Some(server) => server.dial(spec, deadline),
            None => Box::pin(async move {
                Err(Failure::new(FailureKind::Dns, format!("the name `{name}` is not known in memory")))
            }),
        }
    }
}

fn refused(name: &str) -> Failure {
    Failure::new(FailureKind::ConnectRefused, format!("`{name}` refused the connection")).not_reached()
}
