//! One line of ssh_config: a keyword and its words. Knows quotes, `=`, comments and escapes, and no keyword.

use std::ops::Range;
use std::sync::Arc;

use crate::spec::{ConfigError, SourceFile, SourceSpan};

/// Blanks around keywords and at line ends. Between arguments only the space and the tab count.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// In bytes; tens of thousands of names of hosts have room in it. What is longer is no line of a config, and a value
/// would be kept as long as the daemon runs.
const MAX_LINE: usize = 1 << 20;

/// An argument without its quotes, and where it stands with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigWord {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// A line that says something.
#[derive(Debug)]
pub(super) struct ConfigLine {
    pub(super) source: Arc<SourceFile>,
    /// In lower case: keywords are the same in any.
    pub(super) keyword: ConfigWord,
    /// At least one, unless a comment took them all.
    pub(super) words: Vec<ConfigWord>,
    /// Everything after the keyword as it is written: commands are not split into words.
    pub(super) rest: ConfigWord,
}

impl ConfigLine {
    pub(super) fn span(&self, word: &ConfigWord) -> SourceSpan {
        SourceSpan { source: self.source.clone(), span: word.span.clone() }
    }

    pub(super) fn arguments(&self) -> SourceSpan {
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) => {
                SourceSpan { source: self.source.clone(), span: first.span.start..last.span.end }
            }
            _ => self.span(&self.keyword),
        }
    }

    /// The keyword in the letters of the file.
    pub(super) fn keyword_as_written(&self) -> &str {
        self.source.text.get(self.keyword.span.clone()).unwrap_or(&self.keyword.text)
    }

    pub(super) fn error(&self, what: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        ConfigError::new(self.arguments(), what, hint)
    }

    pub(super) fn error_at(&self, word: &ConfigWord, what: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        ConfigError::new(self.span(word), what, hint)
    }
}

/// The lines of a file in their order; blank ones and comments are left out.
pub(super) fn lines(source: &Arc<SourceFile>) -> impl Iterator<Item = Result<ConfigLine, ConfigError>> {
    let mut start = 0;
    source.text.split_inclusive('\n').filter_map(move |text| {
        let read = line(source, start, text);
        start += text.len();
        read
    })
}

fn line(source: &Arc<SourceFile>, start: usize, text: &str) -> Option<Result<ConfigLine, ConfigError>> {
    // A form feed is a blank at the end of a line only.
    let text = text.trim_end_matches(|c| BLANKS.contains(&c) || c == '\u{c}');
    let indent = text.len() - text.trim_start_matches(BLANKS).len();
    let body = &text[indent..];
    if body.is_empty() || body.starts_with('#') {
        return None;
    }
    let at = start + indent;
    if body.len() > MAX_LINE {
        let span = SourceSpan { source: source.clone(), span: at..at + 1 };
        let what = format!("the line is longer than {MAX_LINE} bytes");
        return Some(Err(ConfigError::new(span, what, "write several lines, or is this the wrong file?")));
    }
    let (name, after) = match body.strip_prefix('"') {
        Some(quoted) => match quoted.split_once('"') {
            Some((name, _)) => (name, name.len() + 2),
            None => return Some(Err(unclosed(source, at..at + body.len()))),
        },
        None => {
            let end = body.find(|c| BLANKS.contains(&c) || c == '=').unwrap_or(body.len());
            (&body[..end], end)
        }
    };
    let keyword = ConfigWord { text: name.to_ascii_lowercase(), span: at..at + after };
    let rest = &body[after..];
    // One `=` may stand between, with blanks or without.
    let value = rest.trim_start_matches(BLANKS);
    let value = value.strip_prefix('=').unwrap_or(value).trim_start_matches(BLANKS);
    let value_at = at + body.len() - value.len();
    if value.is_empty() {
        let span = SourceSpan { source: source.clone(), span: keyword.span.clone() };
        let what = format!("`{}` has no value", source.quotable(name));
        return Some(Err(ConfigError::new(span, what, "write the value after the keyword, on the same line")));
    }
    let words = match split(value, value_at, true) {
        Ok(words) => words,
        Err(span) => return Some(Err(unclosed(source, span))),
    };
    let rest = ConfigWord { text: value.to_owned(), span: value_at..value_at + value.len() };
    Some(Ok(ConfigLine { source: source.clone(), keyword, words, rest }))
}

/// The words of a command that no shell sees; `None` where a quote is not closed.
pub(crate) fn command_words(text: &str) -> Option<Vec<String>> {
    split(text, 0, false).ok().map(|words| words.into_iter().map(|word| word.text).collect())
}

fn unclosed(source: &Arc<SourceFile>, span: Range<usize>) -> ConfigError {
    let span = SourceSpan { source: source.clone(), span };
    let hint = "close it on the same line, or write `\\\"` for the character itself";
    ConfigError::new(span, "a quote is not closed", hint)
}

/// Cuts at blanks, as the shell would with fewer escapes: a backslash takes the meaning of a quote, of a backslash
/// and, outside quotes, of a space; before anything else it is itself. `#` at the start of a word ends the line where
/// `comments` may stand.
fn split(text: &str, offset: usize, comments: bool) -> Result<Vec<ConfigWord>, Range<usize>> {
    let mut words = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some(&(start, first)) = chars.peek() {
        if first == ' ' || first == '\t' {
            chars.next();
            continue;
        }
        if first == '#' && comments {
            break;
        }
        let mut word = String::new();
        let mut quote: Option<(usize, char)> = None;
        let mut end = text.len();
        while let Some((at, c)) = chars.next() {
            match (quote, c) {
                (_, '\\') => {
                    let escaped = chars.peek().map(|(_, next)| *next);
                    let special =
                        matches!(escaped, Some('"' | '\'' | '\\')) || (quote.is_none() && escaped == Some(' '));
                    word.push(if special { chars.next().map_or('\\', |(_, next)| next) } else { '\\' });
                }
                (None, ' ' | '\t') => {
                    end = at;
                    break;
                }
                (None, '"' | '\'') => quote = Some((at, c)),
                (Some((_, open)), c) if c == open => quote = None,
                (_, c) => word.push(c),
            }
        }
        if let Some((at, _)) = quote {
            return Err(offset + at..offset + text.len());
        }
        words.push(ConfigWord { text: word, span: offset + start..offset + end });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Vec<String> {
        let source = Arc::new(SourceFile::new(Path::new("/f"), text.to_owned(), 0));
        lines(&source)
            .map(|line| match line {
                Ok(line) => {
                    let words: Vec<_> = line.words.iter().map(|word| word.text.clone()).collect();
                    format!("{}={}", line.keyword.text, words.join("|"))
                }
                Err(error) => format!("error {:?}: {}", error.line_and_column(), error.what()),
            })
            .collect()
    }

    #[test]
    fn a_line_is_a_keyword_and_words() {
        for (text, want) in [
            ("Port 22", "port=22"),
            ("\t PORT=22  ", "port=22"),
            ("port = 22\r\n", "port=22"),
            ("port\t=\t22\u{c}", "port=22"),
            ("\"port\" 22", "port=22"),
            ("Port ==22", "port==22"),
            ("Host a  b\tc", "host=a|b|c"),
            ("User \"a b\" c", "user=a b|c"),
            ("User 'a \"b' c", "user=a \"b|c"),
            (r"User a\ b", "user=a b"),
            (r#"User "a\ b""#, r"user=a\ b"),
            (r#"User a\"b\'c\\d\e"#, r#"user=a"b'c\d\e"#),
            ("User a\"b c\"d", "user=ab cd"),
            ("User foo#bar # comment", "user=foo#bar"),
            ("User #x", "user="),
            ("User \"\"", "user="),
        ] {
            assert_eq!(read(text), [want], "{text}");
        }
    }

    #[test]
    fn malformed_lines_are_reported_with_their_place() {
        assert_eq!(read("\n  \n# a\n  # b\n"), Vec::<String>::new());
        assert_eq!(read("\nPort\n"), ["error Some((2, 1)): `Port` has no value"]);
        assert_eq!(read("Port ="), ["error Some((1, 1)): `Port` has no value"]);
        assert_eq!(read(" User a \"b c"), ["error Some((1, 9)): a quote is not closed"]);
        assert_eq!(read("User a\nUser \"b\\\""), ["user=a", "error Some((2, 6)): a quote is not closed"]);
    }

    #[test]
    fn lines_have_a_bound() {
        let longest = format!("User {}", "x".repeat(MAX_LINE - 5));
        assert_eq!(read(&longest), [format!("user={}", &longest[5..])]);
        let error = "error Some((1, 1)): the line is longer than 1048576 bytes";
        assert_eq!(read(&(longest + "x\nPort 1")), [error, "port=1"]);
    }

    #[test]
    fn words_know_where_they_stand() {
        let source = Arc::new(SourceFile::new(Path::new("/f"), "# ä\nHost \"a b\" c\n".to_owned(), 0));
        let line = lines(&source).next().unwrap().unwrap();
        assert_eq!(line.span(&line.words[0]).to_text(), "/f:2:6");
        assert_eq!(line.span(&line.words[1]).to_text(), "/f:2:12");
        assert_eq!(line.arguments().to_text(), "/f:2:6");
    }
}
