//! An answer that was there before anything was dialled: a link, or a refusal.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Dialer, Dialing, Link};
use crate::failure::Failure;
use crate::login_record::LoginRecorder;
use crate::spec::SessionSpec;

/// Answers the first dial with what it has; later dials are dials.
pub struct Prepared {
    first: Mutex<Option<Result<Link, Failure>>>,
    rest: Arc<dyn Dialer>,
}

impl Prepared {
    /// `first` for the first dial, `rest` for those after it.
    pub fn new(first: Result<Link, Failure>, rest: Arc<dyn Dialer>) -> Self {
        Self { first: Mutex::new(Some(first)), rest }
    }
}

impl Dialer for Prepared {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        match self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(first) => Box::pin(std::future::ready(first)),
            None => self.rest.dial(spec, deadline),
        }
    }

    fn logged_in(&self, spec: &SessionSpec, peer: SocketAddr) {
        self.rest.logged_in(spec, peer);
    }

    fn login_failed(&self, spec: &SessionSpec, peer: SocketAddr, failure: Failure) -> Failure {
        self.rest.login_failed(spec, peer, failure)
    }

    fn recorder(&self) -> LoginRecorder {
        self.rest.recorder()
    }
}
