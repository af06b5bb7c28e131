//! Answers to keyboard-interactive (RFC 4256): the password, to what must not be echoed. Pure.

use russh::client::Prompt;

/// PAM asks once or twice. A server that goes on asking gets empty answers, and no more than this.
pub(super) const MAX_ROUNDS: usize = 8;

/// One answer a prompt. What is echoed is not a password, and is answered with nothing.
pub(super) fn answers(prompts: &[Prompt], password: &str) -> Vec<String> {
    prompts.iter().map(|prompt| if prompt.echo { String::new() } else { password.to_owned() }).collect()
}
