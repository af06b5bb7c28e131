//! For how long a tunnel was not ready, and how many starts it took: told when it is ready. Pure: `now` is an argument.

use std::time::{Duration, Instant};

/// Whether a tunnel is ready, and what happened since it was not.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    ready: bool,
    /// Starts made by the time of the last look.
    starts: u64,
    outage: Option<Outage>,
}

/// From when the tunnel was to be ready, or was no longer, until it is.
#[derive(Debug, Clone, Copy)]
struct Outage {
    since: Instant,
    /// Starts made before it.
    starts: u64,
    /// It had been ready before.
    again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovery {
    pub(super) lasted: Duration,
    /// Starts that it took; none where the session stayed.
    pub(super) attempts: u64,
    pub(super) again: bool,
}

impl Readiness {
    /// Takes note of how it is now; `Some` when it has become ready. `wanted`: it is to be up.
    pub(super) fn update(&mut self, wanted: bool, ready: bool, starts: u64, now: Instant) -> Option<Recovery> {
        let (was_ready, before) = (self.ready, std::mem::replace(&mut self.starts, starts));
        self.ready = ready;
        if ready {
            let outage = self.outage.take().unwrap_or(Outage { since: now, starts: before, again: false });
            return (!was_ready).then(|| outage.end(starts, now));
        }
        if !wanted {
            self.outage = None;
        } else if self.outage.is_none() {
            // `reset-failed` counts anew.
            self.outage = Some(Outage { since: now, starts: before.min(starts), again: was_ready });
        }
        None
    }
}

impl Readiness {
    /// How long the tunnel has not been ready although it is to be; zero where it is.
    pub(super) fn outage(&self, now: Instant) -> Duration {
        self.outage.map_or(Duration::ZERO, |outage| now.saturating_duration_since(outage.since))
    }
}

impl Outage {
    fn end(self, starts: u64, now: Instant) -> Recovery {
        Recovery {
            lasted: now.saturating_duration_since(self.since),
            attempts: starts.saturating_sub(self.starts),
            again: self.again,
        }
    }
}

impl Recovery {
    /// `ready again after 2h 3m, 412 attempts`; of a first start that succeeds, only `ready`.
    pub(super) fn words(self) -> String {
        let lasted = humantime::format_duration(super::report::rounded(self.lasted));
        let attempts = match self.attempts {
            0 => String::new(),
            1 => ", 1 attempt".to_owned(),
            many => format!(", {many} attempts"),
        };
        match (self.again, self.attempts) {
            (true, _) => format!("ready again after {lasted}{attempts}"),
            (false, 0 | 1) => "ready".to_owned(),
            (false, _) => format!("ready after {lasted}{attempts}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tunnel_engine::clock;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn late_start_says_how_long_it_took() {
        let (now, mut readiness) = (clock::now(), Readiness::default());
        assert_eq!(readiness.update(true, false, 1, now), None);
        assert_eq!(readiness.update(true, true, 1, now + MINUTE).map(Recovery::words).as_deref(), Some("ready"));
        let mut readiness = Readiness::default();
        readiness.update(true, false, 1, now);
        readiness.update(true, false, 7, now + MINUTE);
        let told = readiness.update(true, true, 8, now + MINUTE * 3).map(Recovery::words);
        assert_eq!(told.as_deref(), Some("ready after 3m, 8 attempts"));
    }

    #[test]
    fn an_outage_is_told_with_its_length_and_attempts() {
        let (now, mut readiness) = (clock::now(), Readiness::default());
        readiness.update(true, true, 1, now);
        // Redialled at once: the start is made by the time of the look.
        readiness.update(true, false, 2, now);
        let told = readiness.update(true, true, 413, now + MINUTE * 123).map(Recovery::words);
        assert_eq!(told.as_deref(), Some("ready again after 2h 3m, 412 attempts"));
        readiness.update(true, false, 413, now);
        let told = readiness.update(true, true, 413, now + MINUTE).map(Recovery::words);
        assert_eq!(told.as_deref(), Some("ready again after 1m"), "the session stayed");
    }

    #[test]
    fn a_stopped_tunnel_is_in_no_outage() {
        let (now, mut readiness) = (clock::now(), Readiness::default());
        readiness.update(true, true, 1, now);
        readiness.update(true, false, 2, now);
        readiness.update(false, false, 2, now);
        readiness.update(true, false, 3, now + MINUTE);
        let told = readiness.update(true, true, 3, now + MINUTE).map(Recovery::words);
        assert_eq!(told.as_deref(), Some("ready"));
    }
}
