//! How texts name settings. They are written in the words of a config; a program whose user has none, but the command
//! line of ssh, has them told in ssh's words. Only our own text is ever reworded: what a file, a user or a server has
//! said is put in after that.

use std::borrow::Cow;
use std::sync::OnceLock;

static REWORD: OnceLock<fn(&str) -> String> = OnceLock::new();

/// Rewords every text from now on. For the start of a process: what was made before stays as it is.
pub fn set_reword(reword: fn(&str) -> String) {
    let _ = REWORD.set(reword);
}

/// Our own text.
pub fn own(text: &'static str) -> Cow<'static, str> {
    REWORD.get().map_or(Cow::Borrowed(text), |reword| Cow::Owned(reword(text)))
}

/// Our own text with foreign words in the places of its `{}`.
pub fn about<const N: usize>(text: &'static str, foreign: [&str; N]) -> String {
    fill(&own(text), foreign)
}

fn fill<const N: usize>(text: &str, foreign: [&str; N]) -> String {
    let mut parts = text.split("{}");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for (word, part) in foreign.iter().zip(parts) {
        told.push_str(word);
        told.push_str(part);
    }
    told
}

/// Whether a character of a foreign text is not seen, or changes how others are: control characters, marks and
/// overrides of the direction, zero-width characters and separators of lines (Unicode's Cc, Cf, Zl and Zp).
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_put_in_as_they_are() {
        assert_eq!(fill("run `{}` by hand, or {}", ["a = true {}", "b"]), "run `a = true {}` by hand, or b");
        assert_eq!(about("raise connect_timeout", []), "raise connect_timeout");
    }
}
