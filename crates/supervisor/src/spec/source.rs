//! The text of a config file, and places in it.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// One file as it was read.
#[derive(Debug)]
pub struct SourceFile {
    /// As the user named it: what diagnostics print.
    pub(crate) path: PathBuf,
    /// Absolute: what relative paths in the file start from.
    pub(crate) folder: PathBuf,
    pub(crate) text: String,
    /// Rank in the order of reading, which is the order of diagnostics.
    pub(crate) rank: usize,
    /// The text without the lines that no parser can read; every other byte is where it was.
    pub(crate) repaired: OnceLock<String>,
    line_starts: Vec<usize>,
    /// Any line of it may be one of the key.
    holds_private_key: bool,
}

/// Of the first line of a private key, but PuTTY's, and of the text around it.
const PRIVATE_KEY: &str = "PRIVATE KEY";
const PUTTY_KEY: &str = "PuTTY-User-Key-File";

/// Parts of the names of values that are for their reader alone, in small letters.
const SECRETS: [&str; 3] = ["pass", "secret", "token"];

impl SourceFile {
    pub(crate) fn new(path: &Path, text: String, rank: usize) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = absolute.parent().map(Path::to_owned).unwrap_or_default();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let holds_private_key = text.contains(PRIVATE_KEY) || text.contains(PUTTY_KEY);
        let path = path.to_owned();
        Self { path, folder, text, rank, repaired: OnceLock::new(), line_starts, holds_private_key }
    }

    /// It begins as a private key does: it is the wrong file.
    pub(crate) fn is_private_key(&self) -> bool {
        let first = self.text.trim_start().lines().next().unwrap_or_default();
        first.starts_with(PUTTY_KEY) || first.starts_with("-----BEGIN ") && first.contains(PRIVATE_KEY)
    }

    /// A word of it for a message; nothing of it where it may be part of a key.
    pub(crate) fn quotable<'a>(&self, word: &'a str) -> &'a str {
        if self.holds_private_key { "…" } else { word }
    }

    /// Whether a line of it is not to be shown, on a terminal or in a journal that others read.
    pub(crate) fn may_hold_secret(&self, line: &str) -> bool {
        let line = line.to_ascii_lowercase();
        self.holds_private_key || SECRETS.iter().any(|name| line.contains(name))
    }

    /// Index of the line that holds a byte.
    fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// What stands below a table's header up to the next one, where the line of this byte looks like a header.
    pub(crate) fn below_header(&self, offset: usize) -> Option<Range<usize>> {
        let is_header = |index: &usize| self.line(*index).trim_start().starts_with('[');
        let header = Some(self.line_at(offset)).filter(is_header)?;
        let start = *self.line_starts.get(header + 1)?;
        let next = (header + 1..self.line_starts.len()).find(is_header);
        let end = next.and_then(|next| self.line_starts.get(next)).copied().unwrap_or(self.text.len());
        Some(start..end)
    }

    /// Blanks instead of the lines that hold these bytes.
    pub(crate) fn without_lines_at(&self, offsets: &[usize]) -> String {
        let lines: HashSet<usize> = offsets.iter().map(|offset| self.line_at(*offset)).collect();
        let blank = |(index, line): (usize, &str)| match lines.contains(&index) {
            true => line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect(),
            false => line.to_owned(),
        };
        self.text.split_inclusive('\n').enumerate().map(blank).collect()
    }

    fn line(&self, index: usize) -> &str {
        let start = self.line_starts.get(index).copied().unwrap_or(self.text.len());
        let end = self.line_starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or_default().trim_end_matches(['\n', '\r'])
    }
}

/// Bytes of a file.
#[derive(Debug, Clone)]
pub struct SourceSpan {
    pub(crate) source: Arc<SourceFile>,
    pub(crate) span: Range<usize>,
}

/// Where a place is, for people: lines and columns count from 1, columns in characters.
pub(crate) struct Position<'a> {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) line_text: &'a str,
    /// How many characters of the line the place covers, at least one.
    pub(crate) width: usize,
}

impl SourceSpan {
    pub(crate) fn position(&self) -> Position<'_> {
        let source = &*self.source;
        let index = source.line_at(self.span.start);
        let line_text = source.line(index);
        let line_start = source.line_starts.get(index).copied().unwrap_or_default();
        let chars_before =
            |offset: usize| line_text.char_indices().take_while(|(at, _)| line_start + at < offset).count();
        let column = chars_before(self.span.start);
        Position {
            line: index + 1,
            column: column + 1,
            line_text,
            width: chars_before(self.span.end).saturating_sub(column).max(1),
        }
    }

    /// `FILE:LINE:COLUMN`.
    pub(crate) fn to_text(&self) -> String {
        let position = self.position();
        format!("{}:{}:{}", self.source.path.display(), position.line, position.column)
    }

    pub(crate) fn order(&self) -> (usize, usize) {
        (self.source.rank, self.span.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, span: Range<usize>) -> SourceSpan {
        SourceSpan { source: Arc::new(SourceFile::new(Path::new("/f"), text.to_owned(), 0)), span }
    }

    #[test]
    fn columns_count_characters_and_lines_begin_after_each_newline() {
        let text = "a = 1\r\näö = 'x'\n";
        let at = text.find('\'').unwrap();
        let span = span(text, at..at + 3);
        let position = span.position();
        assert_eq!((position.line, position.column, position.width), (2, 6, 3));
        assert_eq!(position.line_text, "äö = 'x'");
        assert_eq!(span.to_text(), "/f:2:6");
    }

    #[test]
    fn table_reaches_from_its_header_to_the_next() {
        let text = "a = 1\n [[b]\nc = 2\nd = 3\n[e]\n";
        let source = SourceFile::new(Path::new("/f"), text.to_owned(), 0);
        let below = |what: &str| source.below_header(text.find(what).unwrap()).map(|range| &text[range]);
        assert_eq!(below("b]"), Some("c = 2\nd = 3\n"));
        assert_eq!(below("e]"), Some(""));
        assert_eq!(below("c ="), None);
    }

    #[test]
    fn lines_with_secrets_are_known() {
        let source = |text: &str| SourceFile::new(Path::new("/f"), text.to_owned(), 0);
        for line in ["password = 'x'", "Passphrase x", "x = { api_token = 'y' }", "SECRET=1", "pass=1"] {
            assert!(source("").may_hold_secret(line), "{line}");
        }
        assert!(!source("").may_hold_secret("host = 'h'"));
        let key = source("\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n");
        assert!(key.is_private_key() && key.may_hold_secret("b3Blb"));
        let pasted = source("key = \"-----BEGIN PRIVATE KEY-----\nb3Blb");
        assert!(!pasted.is_private_key() && pasted.may_hold_secret("b3Blb"));
        assert!(source("PuTTY-User-Key-File-3: ssh-ed25519").is_private_key());
    }

    #[test]
    fn caret_ends_with_the_first_line_and_is_never_empty() {
        assert_eq!(span("ab\ncd\n", 1..5).position().width, 1);
        assert_eq!(span("ab", 2..2).position().width, 1);
        assert_eq!(span("ab", 2..2).position().column, 3);
        assert_eq!(span("", 0..0).position().line, 1);
    }
}
