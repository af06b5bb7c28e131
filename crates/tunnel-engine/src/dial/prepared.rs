//! A link that was there before somebody dialled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Dialer, Dialing, Link};
use crate::examine::Recorder;
use crate::spec::SessionSpec;

/// Gives its link to whoever dials first; later dials are dials.
pub struct Prepared {
    link: Mutex<Option<Link>>,
    rest: Arc<dyn Dialer>,
}

impl Prepared {
    /// `link` for the first dial, `rest` for those after it.
    pub fn new(link: Link, rest: Arc<dyn Dialer>) -> Self {
        Self { link: Mutex::new(Some(link)), rest }
    }
}

impl Dialer for Prepared {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        match self.link.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(link) => Box::pin(std::future::ready(Ok(link))),
            None => self.rest.dial(spec, deadline),
        }
    }

    fn recorder(&self) -> Recorder {
        self.rest.recorder()
    }
}
