//! The server's clock against ours, where certificates depend on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use tunnel_engine::session::{ChannelRead as _, Inbound, Session};

use super::check::{CLOCK, Check};

/// For a login's shell to start and `date` to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A date has eleven bytes.
const MAX_ANSWER: usize = 256;

/// Certificates are signed for minutes before the signing clock says that it is time, most often five.
const TOLERATED: Duration = Duration::from_secs(60);

const SUBJECT: &str = "the server's clock";

/// Runs `date` there, but only where a certificate is used: a login with a forced command runs that instead.
pub(super) async fn check(session: &Session, certificates: bool, now: SystemTime) -> Check {
    if !certificates {
        return Check::skip(CLOCK, SUBJECT, "no certificate depends on it, so no command is run there");
    }
    match timeout(ANSWER_TIMEOUT, date(session)).await.ok().flatten() {
        Some(there) => judge(there, now.duration_since(UNIX_EPOCH).unwrap_or_default()),
        None => Check::skip(CLOCK, SUBJECT, "the login may not run `date`"),
    }
}

async fn date(session: &Session) -> Option<Duration> {
    let mut shell = session.exec("date -u +%s").await.ok()?;
    let mut said = Vec::new();
    while said.len() <= MAX_ANSWER {
        let Inbound::Data(bytes) = shell.reader.read().await else { break };
        said.extend_from_slice(&bytes);
    }
    let text = String::from_utf8_lossy(&said);
    text.lines().find_map(|line| line.trim().parse().ok()).map(Duration::from_secs)
}

fn judge(there: Duration, here: Duration) -> Check {
    let apart = there.abs_diff(here);
    let direction = if there > here { "ahead of" } else { "behind" };
    let words = format!(
        "it is {} {direction} this machine's",
        humantime::format_duration(Duration::from_secs(apart.as_secs()))
    );
    if apart <= TOLERATED {
        return Check::pass(CLOCK, SUBJECT, "it agrees with this machine's");
    }
    let action = "set both clocks by NTP (`timedatectl set-ntp true`): certificates are valid by the clock of the side that \
                  looks at them";
    Check::fail(CLOCK, SUBJECT, words, action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckResult;

    #[test]
    fn clock_that_is_off_is_reported_with_direction() {
        let judge = |there, here| judge(Duration::from_secs(there), Duration::from_secs(here));
        assert_eq!(judge(1000, 1030).verdict, CheckResult::Pass);
        let behind = judge(1000, 8200);
        assert!(behind.verdict == CheckResult::Fail && behind.message.contains("2h behind"), "{behind:?}");
        assert!(judge(8200, 1000).message.contains("ahead of"));
    }
}
