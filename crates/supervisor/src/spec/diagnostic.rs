//! What is wrong with a config, for a terminal and as JSON.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde_json::json;
use tunnel_engine::words::is_unseen;

use super::shortened;
use super::source::{Position, SourceSpan};

/// Longest message or hint, in bytes: some lines of a terminal. Either may name what was written, of whatever length.
const MAX_TEXT: usize = 600;

/// What is told of one config. More are most often one mistake, or a file that is no config.
pub(crate) const MAX_ERRORS: usize = 50;

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone)]
pub struct ConfigError {
    blame: ErrorLocation,
    what: String,
    hint: String,
    /// It is about something that is not there.
    pub(crate) absence: bool,
    /// The line is shown up to the end of the place: behind it may be anything.
    rest_is_hidden: bool,
    /// It stands for so many errors that are not told.
    untold: usize,
}

#[derive(Debug, Clone)]
enum ErrorLocation {
    Place(SourceSpan),
    /// A file that could not be read, or a command line option: there is no line to show.
    Whole(String),
}

impl ConfigError {
    pub(crate) fn new(span: SourceSpan, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::at(ErrorLocation::Place(span), what, hint)
    }

    fn at(blame: ErrorLocation, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            blame,
            what: shortened(&what.into(), MAX_TEXT).into_owned(),
            hint: shortened(&hint.into(), MAX_TEXT).into_owned(),
            absence: false,
            rest_is_hidden: false,
            untold: 0,
        }
    }

    /// Stands for the errors of a file that are not told.
    pub(crate) fn untold(file: &str, errors: usize) -> Self {
        let hint = "correct those before it first, or is this the wrong file?";
        Self { untold: errors, ..Self::of_option(file, format!("and {errors} more"), hint) }
    }

    /// What stands behind the place may be a secret.
    pub(crate) fn without_rest_of_line(self) -> Self {
        Self { rest_is_hidden: true, ..self }
    }

    pub(crate) fn absent(span: SourceSpan, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { absence: true, ..Self::new(span, what, hint) }
    }

    pub(crate) fn of_file(path: &Path, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of_option(&path.display().to_string(), what, hint)
    }

    pub(crate) fn of_option(name: &str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::at(ErrorLocation::Whole(name.to_owned()), what, hint)
    }

    /// The error, without its position.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// How to correct it.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Line and column, both from 1; the column counts characters. `None` where no line is to blame.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        self.span().map(SourceSpan::position).map(|position| (position.line, position.column))
    }

    pub(crate) fn span(&self) -> Option<&SourceSpan> {
        match &self.blame {
            ErrorLocation::Place(span) => Some(span),
            ErrorLocation::Whole(_) => None,
        }
    }

    /// The file, or the command line option.
    pub fn file(&self) -> String {
        match &self.blame {
            ErrorLocation::Place(span) => span.source.path.display().to_string(),
            ErrorLocation::Whole(name) => name.clone(),
        }
    }

    pub(crate) fn file_and_line(&self) -> (String, Option<usize>) {
        (self.file(), self.line_and_column().map(|(line, _)| line))
    }

    fn order(&self) -> Option<(usize, usize)> {
        self.span().map(SourceSpan::order)
    }
}

/// `FILE:LINE:COLUMN: error: …`, the line unless it may hold a secret, a caret, the hint.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = printable(&self.what);
        match &self.blame {
            ErrorLocation::Whole(name) => writeln!(f, "{name}: error: {what}")?,
            ErrorLocation::Place(span) => {
                let Position { column, line_text, width, .. } = span.position();
                writeln!(f, "{}: error: {what}", span.to_text())?;
                if !span.source.may_hold_secret(line_text) {
                    let shown = if self.rest_is_hidden { (column - 1).saturating_add(width) } else { usize::MAX };
                    let Excerpt { text, margin, carets } = excerpt(&beginning(line_text, shown), column, width);
                    writeln!(f, "  {}", printable(&text))?;
                    writeln!(f, "  {margin}{}", "^".repeat(carets))?;
                }
            }
        }
        writeln!(f, "hint: {}", printable(&self.hint))
    }
}

/// So many characters of a line, and a sign where it goes on.
fn beginning(line: &str, characters: usize) -> Cow<'_, str> {
    match line.char_indices().nth(characters) {
        Some((end, _)) => Cow::Owned(format!("{} …", line.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(line),
    }
}

/// The part of a line that is shown, and what stands below it.
struct Excerpt {
    text: String,
    margin: String,
    carets: usize,
}

/// A line that is too long for a terminal is cut around the caret.
fn excerpt(line: &str, column: usize, width: usize) -> Excerpt {
    /// Characters of the line, of which so many before the caret. Most lines of a config are shown whole.
    const SHOWN: usize = 160;
    const BEFORE: usize = 40;
    const CUT: char = '…';
    let at = column.saturating_sub(1);
    let is_longer = |from: usize, than: usize| line.chars().skip(from).nth(than).is_some();
    let start = if is_longer(0, SHOWN) && at > BEFORE { at - BEFORE } else { 0 };
    let mut text: String = line.chars().skip(start).take(SHOWN).collect();
    let mut margin: String = text.chars().take(at - start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    if start > 0 {
        text.insert(0, CUT);
        margin.insert(0, ' ');
    }
    if is_longer(start, SHOWN) {
        text.push(CUT);
    }
    let carets = width.min((start + SHOWN).saturating_sub(at)).max(1);
    Excerpt { text, margin, carets }
}

/// A config must not be able to drive the terminal. Each control character becomes one other, so that carets fit.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Everything that is wrong with a config, in the order of the files. Never empty.
#[derive(Debug, Clone)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Sorts, drops what was found twice, as the defaults are read once for every tunnel, and what is too much.
    pub(crate) fn new(mut errors: Vec<ConfigError>) -> Self {
        debug_assert!(!errors.is_empty(), "a config without errors is a `Desired`");
        errors.sort_by_key(ConfigError::order);
        let mut seen = HashSet::new();
        let untold: usize = errors.iter().map(|error| error.untold).sum();
        errors.retain(|error| error.untold == 0 && seen.insert((error.file(), error.order(), error.what.clone())));
        let untold = untold + errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        if let Some(file) = errors.last().map(ConfigError::file).filter(|_| untold > 0) {
            errors.push(ConfigError::untold(&file, untold));
        }
        Self(errors)
    }

    /// The errors, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// `{"errors": [{file, line, column, message, hint}]}`; `line` and `column` are null where no line is to blame.
    pub fn to_json(&self) -> serde_json::Value {
        let errors = self.0.iter().map(|error| {
            let (line, column) = error.line_and_column().unzip();
            json!({ "file": error.file(), "line": line, "column": column, "message": error.what, "hint": error.hint })
        });
        json!({ "errors": errors.collect::<Vec<_>>() })
    }
}

/// All of them, with an empty line between.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, error)| {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)
        })
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::SourceFile;
    use super::*;

    fn shown(line: &str, column: usize, width: usize) -> (String, String) {
        let Excerpt { text, margin, carets } = excerpt(line, column, width);
        (text, format!("{margin}{}", "^".repeat(carets)))
    }

    #[test]
    fn short_line_is_shown_whole_with_its_caret() {
        assert_eq!(shown("\ta = 1", 2, 1), ("\ta = 1".to_owned(), "\t^".to_owned()));
        assert_eq!(shown("", 1, 1), (String::new(), "^".to_owned()));
        let line = "x".repeat(160);
        assert_eq!(shown(&line, 161, 1), (line, format!("{}^", " ".repeat(160))));
    }

    #[test]
    fn long_line_is_cut_around_the_caret() {
        let line = format!("{}KEY = {}", "ä".repeat(1 << 20), "y".repeat(1 << 20));
        let (text, below) = shown(&line, (1 << 20) + 1, 3);
        assert_eq!(text.chars().count(), 162);
        assert!(text.starts_with('…') && text.ends_with('…'), "{text}");
        let caret = below.chars().position(|c| c == '^').unwrap();
        assert_eq!(text.chars().skip(caret).take(3).collect::<String>(), "KEY");
        assert_eq!(below.matches('^').count(), 3);
        let (text, below) = shown(&line, 1, 1 << 21);
        assert_eq!((text.chars().count(), below.len()), (161, 160));
    }

    #[test]
    fn errors_beyond_the_limit_are_counted() {
        let error = |number: usize| ConfigError::of_option("x", number.to_string(), "");
        let errors = ConfigErrors::new((0..MAX_ERRORS + 7).map(error).chain([ConfigError::untold("x", 3)]).collect());
        assert_eq!(errors.iter().count(), MAX_ERRORS + 1);
        assert_eq!(errors.iter().last().unwrap().what(), "and 10 more");
    }

    #[test]
    fn line_with_a_secret_is_not_shown() {
        let shown = |text: &str, width: usize, rest_is_hidden| {
            let source = Arc::new(SourceFile::new(Path::new("/f"), text.to_owned(), 0));
            let error = ConfigError::new(SourceSpan { source, span: 0..width }, "no", "none");
            ConfigError { rest_is_hidden, ..error }.to_string()
        };
        assert_eq!(shown("password = 'hunter2'", 8, false), "/f:1:1: error: no\nhint: none\n");
        assert_eq!(shown("Prot hunter2", 4, true), "/f:1:1: error: no\n  Prot …\n  ^^^^\nhint: none\n");
        assert!(shown("Prot hunter2", 4, false).contains("hunter2"));
    }

    #[test]
    fn message_about_a_huge_name_is_bounded() {
        let error = ConfigError::of_option("x", format!("`{}` is not a key", "ä".repeat(1 << 20)), "y".repeat(1 << 20));
        assert!(error.what().len() <= MAX_TEXT && error.what().ends_with("ä` is not a key"), "{error}");
        assert!(error.hint().len() <= MAX_TEXT, "{error}");
    }
}
