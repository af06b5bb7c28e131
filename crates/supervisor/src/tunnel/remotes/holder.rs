//! A port or path that another session or program holds: what came of the takeover.

use std::time::Instant;

use tunnel_engine::failure::Failure;
use tunnel_engine::spec::Listen;

use super::super::forwards::ForwardId;
use super::super::report::rounded;
use super::super::takeover::ReleaseReport;
use super::Remotes;

impl Remotes {
    /// What came of a takeover: told, and kept to be shown for as long as it is not ours.
    pub(in crate::tunnel) fn taken_over(&mut self, id: ForwardId, report: ReleaseReport, tunnel: &str, now: Instant) {
        let Some(remote) = self.get_mut(id) else { return };
        let (forward, words) = (remote.forward.to_string(), report.words(&remote.forward.listen));
        if report.is_done() {
            tracing::info!(tunnel, forward, takeover = words, "{tunnel}: {forward}: {words}");
        }
        if report == ReleaseReport::Removed {
            remote.backoff.removed(now);
        } else if let ReleaseReport::Freed(_) = &report {
            if let Some(cooldown) = remote.backoff.freed(now) {
                let retry_in = humantime::format_duration(rounded(cooldown)).to_string();
                tracing::warn!(
                    tunnel,
                    forward,
                    retry_in,
                    "{tunnel}: {forward}: another session takes this again and again, so it is left alone for a while"
                );
            }
        } else {
            if report == ReleaseReport::Ours {
                remote.backoff.ours(now);
            } else {
                // A port that no process has, and that is refused all the same, is refused again.
                remote.backoff.failed(now);
            }
            if remote.taken.as_ref() != Some(&report) && report != ReleaseReport::Free {
                tracing::warn!(tunnel, forward, takeover = words, "{tunnel}: {forward}: no takeover: {words}");
            }
        }
        remote.taken = Some(report);
    }
}

/// The refusal, with what is known of the holder.
pub(super) fn after_takeover(failure: &Failure, report: &ReleaseReport, asked: &Listen) -> Failure {
    let told = Failure::new(failure.kind(), format!("{}; takeover: {}", failure.message(), report.words(asked)));
    match report.hint(asked) {
        Some(hint) => told.with_hint(hint),
        None => told.with_told_hint(failure.hint()),
    }
}
