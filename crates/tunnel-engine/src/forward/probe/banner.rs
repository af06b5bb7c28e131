//! What a target says first, compared with what it should say.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::ProbeCheck;
use super::result::{ProbeFailure, ProbeFailureKind, ProbeResult};
use crate::clock;

/// How long a target may take for its first words. sshd may look a name up before it speaks.
const BANNER_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a wrong banner is shown, in bytes.
const SHOWN: usize = 64;

/// A source of a target's first bytes; `None` is their end. Cancel-safe.
pub(super) trait FirstWords {
    fn more(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// Reads as much as it takes to know.
pub(super) async fn check(check: &ProbeCheck, target: &str, mut words: impl FirstWords) -> ProbeResult {
    let ProbeCheck::Says(wanted) = check else { return ProbeResult::Up(None) };
    let no = |cause, said: String| {
        let wanted = wanted.escape_ascii();
        ProbeResult::Down(ProbeFailure::new(cause, format!("{target} {said}, not `{wanted}`")))
    };
    let reading = async {
        let mut said: Vec<u8> = Vec::new();
        loop {
            let common = said.len().min(wanted.len());
            if said[..common] != wanted[..common] {
                return no(
                    ProbeFailureKind::WrongBanner,
                    format!("said `{}`", said[..said.len().min(SHOWN)].escape_ascii()),
                );
            }
            if said.len() >= wanted.len() {
                return ProbeResult::Up(None);
            }
            match words.more().await {
                Some(bytes) => said.extend_from_slice(&bytes[..bytes.len().min(SHOWN + wanted.len())]),
                None if said.is_empty() => return no(ProbeFailureKind::WrongBanner, "ended without a word".to_owned()),
                None => return no(ProbeFailureKind::WrongBanner, format!("said `{}` and ended", said.escape_ascii())),
            }
        }
    };
    let silent = || no(ProbeFailureKind::NoAnswer, format!("said nothing within {}s", BANNER_TIMEOUT.as_secs()));
    clock::timeout(BANNER_TIMEOUT, reading).await.unwrap_or_else(|_| silent())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ScriptedWords(Vec<&'static str>);

    impl FirstWords for ScriptedWords {
        async fn more(&mut self) -> Option<Bytes> {
            if self.0.is_empty() { None } else { Some(Bytes::from_static(self.0.remove(0).as_bytes())) }
        }
    }

    struct Silent;

    impl FirstWords for Silent {
        async fn more(&mut self) -> Option<Bytes> {
            std::future::pending().await
        }
    }

    async fn of(words: &[&'static str]) -> ProbeResult {
        check(&ProbeCheck::Says("SSH-".into()), "t:1", ScriptedWords(words.to_vec())).await
    }

    fn words(result: ProbeResult) -> String {
        let ProbeResult::Down(failure) = result else { panic!("{result:?}") };
        failure.words
    }

    #[tokio::test]
    async fn the_right_words_are_a_proof_in_pieces_too() {
        assert_eq!(of(&["S", "SH-2.0-x"]).await, ProbeResult::Up(None));
    }

    #[tokio::test]
    async fn other_words_are_shown_escaped() {
        assert_eq!(words(of(&["HTTP/1.0\r\n\x1b"]).await), "t:1 said `HTTP/1.0\\r\\n\\x1b`, not `SSH-`");
        assert_eq!(words(of(&["SS"]).await), "t:1 said `SS` and ended, not `SSH-`");
        assert_eq!(words(of(&[]).await), "t:1 ended without a word, not `SSH-`");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_waited_for_only_so_long() {
        let result = check(&ProbeCheck::Says("SSH-".into()), "t:1", Silent).await;
        assert_eq!(words(result), "t:1 said nothing within 10s, not `SSH-`");
    }

    #[tokio::test]
    async fn where_nothing_is_expected_nothing_is_read() {
        assert_eq!(check(&ProbeCheck::Accepts, "t:1", Silent).await, ProbeResult::Up(None));
    }
}
