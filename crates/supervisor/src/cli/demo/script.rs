//! Lines with the time since the beginning.

use std::time::{Duration, Instant};

use tunnel_engine::clock;

use super::super::problem::{Problem, print};

pub(super) struct DemoScript {
    begun: Instant,
}

impl DemoScript {
    pub(super) fn begin() -> Self {
        Self { begun: clock::now() }
    }

    /// Since the beginning.
    pub(super) fn now(&self) -> Duration {
        clock::now().saturating_duration_since(self.begun)
    }

    /// Something happened, now.
    pub(super) fn print(&self, text: &str) -> Result<(), Problem> {
        print(&format!("{:>7.3} s  {text}\n", self.now().as_secs_f64()))
    }

    /// A word more about what was just said.
    pub(super) fn note(&self, text: &str) -> Result<(), Problem> {
        print(&format!("           {text}\n"))
    }

    pub(super) fn chapter(&self, title: &str) -> Result<(), Problem> {
        print(&format!("\n{title}\n"))
    }
}

pub(super) fn millis(span: Duration) -> String {
    format!("{:.0} ms", span.as_secs_f64() * 1000.0)
}
