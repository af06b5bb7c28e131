//! From text to tables with spans, and everything that is no TOML.

use std::sync::Arc;

use toml::de::{DeTable, Error};

use super::resolve::Document;
use crate::spec::{ConfigError, MAX_ERRORS, SourceFile, SourceSpan};

/// As the parser says it.
const DUPLICATE_KEY: &str = "duplicate key";

/// So much of a file is read first, and then twice as much as long as it is good. The parser goes on to the end, and
/// keeps every error: a large file that is no TOML would cost a gigabyte.
const FIRST_LOOK: usize = 256 << 10;

/// What could be made of a file, and its syntax errors; of one that has very many, nothing is made.
pub(super) fn parse(source: &Arc<SourceFile>) -> (Document<'_>, Vec<ConfigError>) {
    let nothing = || Document { source: source.clone(), table: DeTable::new() };
    if let Some(errors) = errors_of_a_part(source) {
        return (nothing(), first_of(source, errors));
    }
    let (table, mut errors) = DeTable::parse_recoverable(&source.text);
    if errors.len() > MAX_ERRORS {
        return (nothing(), first_of(source, errors));
    }
    let lost: Vec<usize> = errors.iter().filter(|error| ends_reading(error)).filter_map(start).collect();
    let table = if lost.is_empty() {
        table
    } else {
        let text = source.repaired.get_or_init(|| source.without_lines_at(&lost));
        let (table, more) = DeTable::parse_recoverable(text);
        errors.extend(more);
        table
    };
    (Document { source: source.clone(), table: table.into_inner() }, explained(source, &errors))
}

/// The errors of the smallest part that has too many.
fn errors_of_a_part(source: &SourceFile) -> Option<Vec<Error>> {
    let text = source.text.as_str();
    let lengths = std::iter::successors(Some(FIRST_LOOK), |length| length.checked_mul(2));
    lengths.take_while(|length| *length < text.len()).find_map(|length| {
        let (_, errors) = DeTable::parse_recoverable(lines_within(text, length));
        // What goes on behind the part has one error at its end, or a few.
        (errors.len() > MAX_ERRORS).then_some(errors)
    })
}

/// The whole lines among so many bytes; where there is none, as many characters.
fn lines_within(text: &str, length: usize) -> &str {
    let part = (0..=length).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    part.rfind('\n').and_then(|end| part.get(..=end)).unwrap_or(part)
}

fn first_of(source: &Arc<SourceFile>, mut errors: Vec<Error>) -> Vec<ConfigError> {
    errors.sort_by_key(start);
    let untold = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    let mut told = explained(source, &errors);
    told.push(ConfigError::untold(&source.path.display().to_string(), untold));
    told
}

fn explained(source: &Arc<SourceFile>, errors: &[Error]) -> Vec<ConfigError> {
    // Without its header, what stands in a table is read as more of the table before it.
    let headless: Vec<_> = errors.iter().filter_map(start).filter_map(|at| source.below_header(at)).collect();
    let is_own = |error: &&Error| {
        error.message() != DUPLICATE_KEY
            || !start(error).is_some_and(|at| headless.iter().any(|table| table.contains(&at)))
    };
    errors.iter().filter(is_own).map(|error| explain(source, error)).collect()
}

/// After a key without `=` the parser still finds the syntax errors of the other lines, but no longer builds tables.
fn ends_reading(error: &Error) -> bool {
    error.message().starts_with("key with no value")
}

fn start(error: &Error) -> Option<usize> {
    error.span().map(|span| span.start)
}

fn explain(source: &Arc<SourceFile>, error: &Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let written = source.text.get(span.clone()).unwrap_or_default();
    let (what, hint) = match error.message() {
        DUPLICATE_KEY => (format!("`{written}` is given twice"), "leave one of them out"),
        message => {
            let bare = message.starts_with("string values must be quoted");
            let hint = if bare { "put it in quotes" } else { "see https://toml.io for the syntax" };
            (message.to_owned(), hint)
        }
    };
    ConfigError::new(SourceSpan { source: source.clone(), span }, what, hint)
}
