//! The password method (RFC 4252 section 8), and the request to change the password that a server may answer it with.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::login_record::LoginStep;
use crate::transport::SessionProof;
use crate::words;

/// russh passes over SSH_MSG_USERAUTH_PASSWD_CHANGEREQ, and would wait for an answer until connect_timeout. What comes
/// in after the password, is no banner and is not followed by an answer for this long is such a request: nothing else
/// is allowed there that a server has a reason to send. An answer is one packet, so that it is either all there or
/// still coming in.
const NO_ANSWER: Duration = Duration::from_secs(2);

/// What the session below knows of its link.
pub(crate) trait LinkTraffic: Sync {
    /// Holds the reason once the session has ended.
    fn ended(&self) -> watch::Receiver<Option<Failure>>;
    /// Bytes from the server so far, and how many login banners were in them.
    fn received(&self) -> (u64, u32);
    /// What signatures of this session name.
    fn session(&self) -> &SessionProof;
    /// A step of the login, for its record.
    fn note(&self, step: LoginStep) {
        drop(step);
    }
}

/// The answer to a password that is being sent, or `None` for a request to change it.
pub(super) async fn answer_or_change<T>(answer: impl Future<Output = T>, traffic: &dyn LinkTraffic) -> Option<T> {
    let mut answer = pin!(answer);
    let (mut before, mut waits) = (traffic.received(), false);
    loop {
        if let Ok(answer) = clock::timeout(NO_ANSWER, &mut answer).await {
            return Some(answer);
        }
        let now = traffic.received();
        if waits && now == before {
            return None;
        }
        waits = now.0 != before.0 && now.1 == before.1;
        before = now;
    }
}

/// The failure of a password that is right, or was: only its owner can say what the next one is to be.
pub(super) fn change_required(user: &str, host: &str, said: &str) -> Failure {
    let message = format!("the server wants user `{user}` to change the password before it lets them in{said}");
    Failure::new(FailureKind::PasswordChangeRequired, message).with_told_hint(words::about(
        "log in once with `ssh {}@{}`, set a new password and write it into password_file; or log in with a key",
        [user, host],
    ))
}
