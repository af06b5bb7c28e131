//! Text in the cells of a terminal: a wide character takes two, a combining one none.

use tunnel_engine::words::is_unseen;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Shows that a text goes on.
const CUT: char = '…';

/// What a daemon or server said must not drive the terminal, nor turn the order of its characters around.
pub(in crate::cli) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Cells that the text takes.
pub(in crate::cli) fn cells(text: &str) -> usize {
    text.width()
}

/// The text, cut off where it takes more cells.
pub(in crate::cli) fn fit(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut room = width.saturating_sub(1);
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if wide > room {
            break;
        }
        room -= wide;
        kept.push(c);
    }
    if width > 0 {
        kept.push(CUT);
    }
    kept
}

/// The text in a field of so many cells.
pub(in crate::cli) fn pad(text: &str, width: usize, right: bool) -> String {
    let blank = " ".repeat(width.saturating_sub(cells(text)));
    if right { blank + text } else { text.to_owned() + &blank }
}

/// Lines of at most so many cells, broken between words, or within one that is longer than a line.
pub(in crate::cli) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let wide = cells(word);
        if used > 0 && used + 1 + wide > width {
            lines.push(String::new());
            used = 0;
        }
        let Some(mut line) = lines.pop() else { continue };
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used > 0 && used + wide > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += wide;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_character_takes_two_cells() {
        assert_eq!(cells("日本"), 4);
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(pad("日", 4, false), "日  ");
        assert_eq!(fit("ab", 0), "");
    }

    #[test]
    fn lines_break_between_words_and_within_long_ones() {
        assert_eq!(wrap("the server refused", 10), ["the server", "refused"]);
        assert_eq!(wrap("SHA256:abcdefgh is it", 8), ["SHA256:a", "bcdefgh", "is it"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("", 4), [""]);
        for width in 0..20 {
            assert!(wrap("a long 日本語 text", width).iter().all(|line| cells(line) <= width.max(2)), "{width}");
        }
    }

    #[test]
    fn nothing_printable_drives_or_reverses_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\u{200b}"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(printable("übung 日本"), "übung 日本");
    }
}
