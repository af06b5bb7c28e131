//! Answers to keyboard-interactive (RFC 4256): the password, to what must not be echoed, or a person's own.

use russh::client::Prompt;

use crate::spec::{PromptKind, PrompterHandle};
use crate::words::is_unseen;

/// PAM asks once or twice. A server that goes on asking gets empty answers, and no more than this.
pub(super) const MAX_ROUNDS: usize = 8;

/// Of what a server asked, in a failure's message.
const MAX_QUOTED: usize = 80;

/// Does the server ask for a new password? By the words of PAM and of sshd, which are those of most others: sshd never sets a
/// locale, so that PAM speaks English there in every country. In any language two secrets at once are a new password
/// and its repetition, where a password was given already.
pub(super) fn want_new_password(instructions: &str, prompts: &[Prompt], password_given: bool) -> bool {
    const WORDS: &[&str] = &[
        "new password",
        "new unix password",
        "new passwd",
        "change your password",
        "password has expired",
        "password is expired",
        "password expired",
    ];
    let asks = |text: &str| WORDS.iter().any(|words| text.to_ascii_lowercase().contains(words));
    asks(instructions) || prompts.iter().any(|prompt| asks(&prompt.prompt)) || (password_given && secrets(prompts) > 1)
}

/// How many of the answers are not to be echoed.
pub(super) fn secrets(prompts: &[Prompt]) -> usize {
    prompts.iter().filter(|prompt| !prompt.echo).count()
}

/// What the server asked, to be quoted.
pub(super) fn quoted(prompts: &[Prompt]) -> Option<String> {
    quoted_text(&prompts.iter().map(|prompt| prompt.prompt.trim()).collect::<Vec<_>>().join(" "))
}

/// What the server said, to be quoted.
pub(super) fn quoted_text(said: &str) -> Option<String> {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = words.chars().filter(|c| !is_unseen(*c)).take(MAX_QUOTED).collect();
    (!text.is_empty()).then_some(text)
}

/// One answer a prompt. What is echoed is not a password, and is answered with nothing.
pub(super) fn answers(prompts: &[Prompt], password: &str) -> Vec<String> {
    prompts.iter().map(|prompt| if prompt.echo { String::new() } else { password.to_owned() }).collect()
}

/// One question of the server, put to a person. Blocks on them.
pub(super) fn put(prompt: &Prompt, user: &str, host: &str, asker: &PrompterHandle, again: u32) -> String {
    // A server must not write to the terminal what only looks like text.
    let text = prompt.prompt.chars().filter(|c| !is_unseen(*c)).collect();
    let question = PromptKind::Prompt { user: user.to_owned(), host: host.to_owned(), text, echo: prompt.echo };
    asker.ask(&question, again).map(|answer| answer.as_str().to_owned()).unwrap_or_default()
}
