//! The dialer of a running tunneld: each spec by the way it names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::tcp::TcpDialer;
use super::{Dialer, Dialing, Link, Prepared, jump, proxy_command};
use crate::failure::Failure;
use crate::login_record::LoginRecorder;
use crate::spec::{Route, SessionSpec};

/// Dials directly, through jump hosts, or over a command, as the spec says.
#[derive(Clone)]
pub struct NetDialer {
    direct: Arc<dyn Dialer>,
    recorder: LoginRecorder,
}

impl NetDialer {
    /// Over this machine's network.
    pub fn new() -> Self {
        Self::over(Arc::new(TcpDialer::default()))
    }

    /// The same, with each step of a login noted, those at jump hosts too.
    pub fn recording(recorder: LoginRecorder) -> Self {
        Self { direct: Arc::new(TcpDialer::recording(recorder.clone())), recorder }
    }

    /// Over `direct` where a spec says [`Route::Direct`]: for tests, which have links in memory.
    pub fn over(direct: Arc<dyn Dialer>) -> Self {
        Self { direct, recorder: LoginRecorder::default() }
    }
}

impl Default for NetDialer {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialer for NetDialer {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        match &spec.dial.via {
            Route::Direct => self.direct.dial(spec, deadline),
            Route::Jump(jump) => Box::pin(jump::dial(self, jump, &spec.destination, deadline)),
            Route::Command(command) => Box::pin(proxy_command::dial(command, &spec.destination)),
        }
    }

    fn logged_in(&self, spec: &SessionSpec, peer: SocketAddr) {
        self.direct.logged_in(spec, peer);
    }

    fn login_failed(&self, spec: &SessionSpec, peer: SocketAddr, failure: Failure) -> Failure {
        self.direct.login_failed(spec, peer, failure)
    }

    fn recorder(&self) -> LoginRecorder {
        self.recorder.clone()
    }

    fn probe<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        self.direct.probe(spec, deadline)
    }

    fn starting_with(&self, first: Result<Link, Failure>) -> Option<Box<dyn Dialer>> {
        Some(Box::new(Self::over(Arc::new(Prepared::new(first, self.direct.clone())))))
    }
}
