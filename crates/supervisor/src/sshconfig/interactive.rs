//! How ssh deals with the user at its terminal: a daemon has none, the autossh frontend has.

use super::options::Options;

/// The options of a host that concern prompts and output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InteractiveOptions {
    /// `BatchMode`: the user is asked for nothing.
    pub batch_mode: bool,
    /// `StrictHostKeyChecking ask`, ssh's default: the user says whether an unknown host key is the right one.
    pub ask_host_key: bool,
    /// `NumberOfPasswordPrompts`.
    pub password_prompts: Option<u32>,
    /// `PasswordAuthentication no`, or `PreferredAuthentications` without it.
    pub without_password: bool,
    /// `KbdInteractiveAuthentication no`, or `PreferredAuthentications` without it.
    pub without_interactive: bool,
    /// `LogLevel`.
    pub log_level: Option<LogLevel>,
}

impl InteractiveOptions {
    pub(super) fn of(options: &Options) -> Self {
        let without = |keyword, method: &str| {
            let preferred = options.word("PreferredAuthentications");
            options.flag(keyword) == Some(false)
                || preferred.is_some_and(|methods| methods.split(',').all(|name| name != method))
        };
        Self {
            batch_mode: options.flag("BatchMode").unwrap_or(false),
            ask_host_key: options.word("StrictHostKeyChecking").is_none_or(|word| word.eq_ignore_ascii_case("ask")),
            password_prompts: options.number("NumberOfPasswordPrompts"),
            without_password: without("PasswordAuthentication", "password"),
            without_interactive: without("KbdInteractiveAuthentication", "keyboard-interactive"),
            log_level: options.word("LogLevel").and_then(LogLevel::parse),
        }
    }
}

/// ssh_config LogLevel, from nothing to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words of ssh_config(5)")]
pub enum LogLevel {
    Quiet,
    Fatal,
    Error,
    Info,
    Verbose,
    Debug1,
    Debug2,
    Debug3,
}

impl LogLevel {
    /// The words of ssh_config(5), in any case, in the order of `LEVELS`.
    pub(super) const WORDS: &[&str] =
        &["quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3"];

    /// `debug` is `debug1`.
    const LEVELS: [Self; 9] = [
        Self::Quiet,
        Self::Fatal,
        Self::Error,
        Self::Info,
        Self::Verbose,
        Self::Debug1,
        Self::Debug1,
        Self::Debug2,
        Self::Debug3,
    ];

    fn parse(text: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|word| word.eq_ignore_ascii_case(text))?;
        Self::LEVELS.get(at).copied()
    }

    /// The next level that says more.
    #[must_use]
    pub fn louder(self) -> Self {
        Self::LEVELS.into_iter().find(|level| *level > self).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_the_order_and_the_words_of_ssh() {
        let read: Vec<_> = LogLevel::WORDS.iter().map(|word| LogLevel::parse(&word.to_uppercase())).collect();
        assert!(read.iter().all(Option::is_some) && read.is_sorted(), "{read:?}");
        let mut level = LogLevel::Quiet;
        for _ in 0..9 {
            assert!(level.louder() >= level);
            level = level.louder();
        }
        assert_eq!(level, LogLevel::Debug3);
    }
}
