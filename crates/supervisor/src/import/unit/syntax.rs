//! systemd.syntax(7): lines, sections, words and their quotes. Pure.

use std::iter::Peekable;
use std::str::Chars;

/// An assignment of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
}

pub(super) fn settings(text: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut section = String::new();
    for line in lines(text) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            let [key, value] = [key, value].map(|text| text.trim().to_owned());
            found.push(Assignment { section: section.clone(), key, value });
        }
    }
    found
}

/// Lines without comments, a backslash at the end joined with the next by a blank.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut begun: Option<String> = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) || (line.is_empty() && begun.is_none()) {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => {
                let begun = begun.get_or_insert_default();
                begun.push_str(part);
                begun.push(' ');
            }
            None => lines.push(begun.take().unwrap_or_default() + line),
        }
    }
    lines.extend(begun);
    lines
}

/// Words, without their quotes, with the escapes of C in them. A quote that is not closed goes to the end.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_default().push_str(&escape(&mut chars)),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What follows a backslash, and what it stands for.
fn escape(chars: &mut Peekable<Chars<'_>>) -> String {
    let Some(c) = chars.next() else { return "\\".to_owned() };
    let plain = match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        's' => ' ',
        't' => '\t',
        'v' => '\x0b',
        '\\' | '"' | '\'' => c,
        'x' => number(chars, 0, 2, 16),
        'u' => number(chars, 0, 4, 16),
        'U' => number(chars, 0, 8, 16),
        '0'..='7' => number(chars, c.to_digit(8).unwrap_or_default(), 2, 8),
        other => return format!("\\{other}"),
    };
    plain.to_string()
}

fn number(chars: &mut Peekable<Chars<'_>>, begun: u32, digits: usize, radix: u32) -> char {
    let mut value = begun;
    for _ in 0..digits {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        chars.next();
    }
    char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_systemd_cuts_them() {
        for (text, want) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            (r#""a b" 'c "d'"#, vec!["a b", "c \"d"]),
            (r#"-o "ServerAliveInterval 30" x"y z""#, vec!["-o", "ServerAliveInterval 30", "xy z"]),
            (r"a\x20b \s \\ \101 \u00e4", vec!["a b", " ", "\\", "A", "ä"]),
            (r"\q '' b", vec![r"\q", "", "b"]),
            ("'open end", vec!["open end"]),
        ] {
            assert_eq!(words(text), want, "{text}");
        }
    }

    #[test]
    fn lines_are_joined_and_comments_are_none() {
        let text = "# x\n[A]\nb = c \\\n  # not this\n  d\\\n\n ; nor this\n[B]\ne=\nf=a=b \\";
        let show = |setting: &Assignment| format!("{}:{}={}", setting.section, setting.key, setting.value);
        let shown: Vec<_> = settings(text).iter().map(show).collect();
        assert_eq!(shown, ["A:b=c  d", "B:e=", "B:f=a=b"]);
    }
}
