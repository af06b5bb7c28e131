//! Texts that may have any length, where they are only told.

use std::borrow::Cow;

/// Shows where something is left out.
const LEFT_OUT: char = '…';

/// The text, or its beginning and its end where it has more bytes than `most`: what is wrong with a value that is repeated
/// stands behind it.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let room = most.saturating_sub(LEFT_OUT.len_utf8());
    let tail = room / 3;
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=room - tail).rev().find(boundary).unwrap_or_default();
    let tail = (text.len() - tail..=text.len()).find(boundary).unwrap_or(text.len());
    let (head, tail) = (text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default());
    Cow::Owned(format!("{head}{LEFT_OUT}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_left_as_it_is() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("", 0), "");
    }

    #[test]
    fn long_text_keeps_its_beginning_and_its_end() {
        let text = format!("unknown key `{}`: remove it", "x".repeat(1 << 20));
        let cut = shortened(&text, 100);
        assert!(cut.len() == 100 && cut.starts_with("unknown key `xx") && cut.ends_with("xx`: remove it"), "{cut}");
    }

    #[test]
    fn text_is_cut_between_characters() {
        for most in 0..40 {
            let text = "aä日🦀".repeat(20);
            let cut = shortened(&text, most);
            assert!(cut.len() <= most.max(LEFT_OUT.len_utf8()), "{most}: {cut}");
            assert_eq!(cut.matches(LEFT_OUT).count(), 1, "{most}: {cut}");
        }
    }
}
