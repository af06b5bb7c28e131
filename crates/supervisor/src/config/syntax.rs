//! From text to tables with spans, and everything that is no TOML.

use std::sync::Arc;

use toml::de::{DeTable, Error};

use super::resolve::Document;
use crate::spec::{ConfigError, SourceFile, SourceSpan};

/// As the parser says it.
const DUPLICATE_KEY: &str = "duplicate key";

/// What could be made of a file, and its syntax errors.
pub(super) fn parse(source: &Arc<SourceFile>) -> (Document<'_>, Vec<ConfigError>) {
    let (table, mut errors) = DeTable::parse_recoverable(&source.text);
    let lost: Vec<usize> = errors.iter().filter(|error| ends_reading(error)).filter_map(start).collect();
    let table = if lost.is_empty() {
        table
    } else {
        let text = source.repaired.get_or_init(|| source.without_lines_at(&lost));
        let (table, more) = DeTable::parse_recoverable(text);
        errors.extend(more);
        table
    };
    // Without its header, what stands in a table is read as more of the table before it.
    let headless: Vec<_> = errors.iter().filter_map(start).filter_map(|at| source.below_header(at)).collect();
    let is_own = |error: &&Error| {
        error.message() != DUPLICATE_KEY
            || !start(error).is_some_and(|at| headless.iter().any(|table| table.contains(&at)))
    };
    let errors = errors.iter().filter(is_own).map(|error| explain(source, error)).collect();
    (Document { source: source.clone(), table: table.into_inner() }, errors)
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
        message => (message.to_owned(), "see https://toml.io for the syntax"),
    };
    ConfigError::new(SourceSpan { source: source.clone(), span }, what, hint)
}
