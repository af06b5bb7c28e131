//! What `log.level` may hold: a level, or a list of `TARGET=LEVEL` such as `info,tunnel_engine=debug`. Filters by span
//! or field, which other programs on `tracing` take, are refused: they need a regular-expression engine.

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::keys::did_you_mean;

/// The words for a level; `off` logs nothing.
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

const HINT: &str = "write error, warn, info, debug or trace, or a filter such as \"info,tunnel_engine=debug\"";

/// Why a text is no filter, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct LogFilterError {
    /// The error.
    pub what: String,
    /// How to write it.
    pub hint: String,
}

/// The filter that `text` writes. A target is the beginning of a module's path; the longest that fits an event counts.
pub fn log_filter(text: &str) -> Result<Targets, LogFilterError> {
    let mut filter = Targets::new();
    for directive in text.split(',').map(str::trim) {
        filter = match directive.split_once('=') {
            Some((target, level)) => {
                let target = target.trim();
                check_target(text, target)?;
                filter.with_target(target, parse_level(level.trim())?)
            }
            None => filter.with_default(parse_level(directive)?),
        };
    }
    Ok(filter)
}

/// A bare word is a level. For `tracing` it could also be the name of a module, and then a typing error would log
/// everything of a module that does not exist, which is nothing.
fn parse_level(word: &str) -> Result<LevelFilter, LogFilterError> {
    let known = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    if let (true, Ok(level)) = (known, word.parse()) {
        return Ok(level);
    }
    let hint = did_you_mean(word, LEVELS).map_or(HINT.to_owned(), |level| format!("did you mean `{level}`?"));
    Err(LogFilterError { what: format!("`{word}` is not a log level"), hint })
}

fn check_target(text: &str, target: &str) -> Result<(), LogFilterError> {
    if target.contains(['[', ']', '{', '}']) {
        let what =
            format!("`{text}` is not a log filter: `{target}` names a span or a field, and only modules can be named");
        return Err(LogFilterError { what, hint: HINT.to_owned() });
    }
    let path = target.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    if target.is_empty() || !path {
        let what = format!("`{text}` is not a log filter: `{target}` is no module");
        return Err(LogFilterError { what, hint: HINT.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn longest_target_that_fits_counts() {
        let filter = log_filter(" info, tunnel_engine = debug,tunnel_engine::forward=off ").unwrap();
        assert!(filter.would_enable("anything", &Level::INFO) && !filter.would_enable("anything", &Level::DEBUG));
        assert!(filter.would_enable("tunnel_engine::session", &Level::DEBUG));
        assert!(!filter.would_enable("tunnel_engine::forward", &Level::ERROR));
    }

    #[test]
    fn spans_and_fields_are_refused_by_name() {
        for text in ["info,tunnel_engine[dial]=debug", "[{tunnel=db}]=debug", "supervisor[{tunnel}]=trace"] {
            let error = log_filter(text).unwrap_err();
            assert!(error.what.contains("names a span or a field"), "{text}: {error}");
        }
    }

    #[test]
    fn typing_errors_are_refused_with_advice() {
        for (text, what) in [
            ("inof", "`inof` is not a log level"),
            ("info,tunnel_engine", "`tunnel_engine` is not a log level"),
            ("russh=loud", "`loud` is not a log level"),
            ("info,,warn", "`` is not a log level"),
            ("info,=debug", "`info,=debug` is not a log filter: `` is no module"),
            ("tunnel-engine=debug", "`tunnel-engine=debug` is not a log filter: `tunnel-engine` is no module"),
        ] {
            assert_eq!(log_filter(text).unwrap_err().what, what);
        }
        assert_eq!(log_filter("inof").unwrap_err().hint, "did you mean `info`?");
    }
}
