//! What `log.level` may hold: a level, or a list of `TARGET=LEVEL` such as `info,tunnel_engine=debug`. Filters by span
//! or field, which other programs on `tracing` take, are refused: they need a regular-expression engine.

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::keys::did_you_mean;

/// The words for a level; `off` logs nothing.
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

/// Stands for all crates of the program.
const PROGRAM: &str = "tunneld";

/// The crates of the program, by which its modules begin.
const CRATES: &[&str] = &["supervisor", "tunnel_engine"];

/// Libraries that have something to say.
const LIBRARIES: &[&str] = &["russh", "hyper", "hyper_util", "tokio", "mio"];

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
                let level = parse_level(level.trim())?;
                modules(target).into_iter().fold(filter, |filter, module| filter.with_target(module, level))
            }
            None => filter.with_default(parse_level(directive)?),
        };
    }
    Ok(filter)
}

/// What a target stands for: that of the program, for the same in its crates.
fn modules(target: &str) -> Vec<String> {
    match target.strip_prefix(PROGRAM) {
        Some(rest) if rest.is_empty() || rest.starts_with("::") => {
            CRATES.iter().map(|name| format!("{name}{rest}")).collect()
        }
        Some(_) | None => vec![target.to_owned()],
    }
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
    let first = target.split("::").next().unwrap_or_default();
    let known: Vec<&str> = [PROGRAM].iter().chain(CRATES).chain(LIBRARIES).copied().collect();
    if known.contains(&first) {
        return Ok(());
    }
    let hint = did_you_mean(first, &known).map_or_else(
        || "modules begin with `tunneld` for all of the program, or `supervisor`, `tunnel_engine`, `russh`".to_owned(),
        |name| format!("did you mean `{name}`?"),
    );
    Err(LogFilterError { what: format!("`{text}` is not a log filter: `{first}` logs nothing"), hint })
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
    fn name_of_the_program_stands_for_its_crates() {
        let filter = log_filter("tunneld=debug").unwrap();
        for target in ["supervisor::cli", "tunnel_engine::session"] {
            assert!(filter.would_enable(target, &Level::DEBUG), "{target}");
        }
        assert!(!log_filter("tunneld::session=info").unwrap().would_enable("tunnel_engine::forward", &Level::INFO));
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
            ("nope=info", "`nope=info` is not a log filter: `nope` logs nothing"),
            ("tunnel-engine=debug", "`tunnel-engine=debug` is not a log filter: `tunnel-engine` is no module"),
        ] {
            assert_eq!(log_filter(text).unwrap_err().what, what);
        }
        assert_eq!(log_filter("inof").unwrap_err().hint, "did you mean `info`?");
    }
}
