//! Events as lines for standard error: text for people, or one JSON object a line.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::SystemTime;

use serde_json::Value;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter as _;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use tunnel_engine::clock;
use tunnel_engine::words::is_unseen;

use super::fields::Fields;
use super::queue::LineQueue;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Time, level, message, then `name=value`.
    Text {
        /// For a terminal.
        colours: bool,
    },
    /// `timestamp`, `level`, `message`, and each field beside them.
    Json,
}

/// Writes each event as a line.
pub(super) struct Lines {
    pub(super) queue: LineQueue,
    pub(super) form: Form,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = Fields::of(event, &context);
        let line = line(self.form, clock::wall(), *event.metadata().level(), &fields);
        // The queue counts what it cannot take.
        let _ = self.queue.make_writer().write_all(line.as_bytes());
    }
}

fn line(form: Form, at: SystemTime, level: Level, fields: &Fields) -> String {
    let at = humantime::format_rfc3339_micros(at);
    let mut line = match form {
        Form::Text { colours } => {
            let (dim, colour, reset) = if colours { ("\x1b[2m", colour(level), "\x1b[0m") } else { ("", "", "") };
            let mut line = format!("{dim}{at}{reset} {colour}{:>5}{reset} {}", level.as_str(), plain(&fields.message));
            fields.write_text(&mut line, |_| true);
            line
        }
        Form::Json => {
            let message = Value::from(fields.message.as_str());
            let mut line = format!(r#"{{"timestamp":"{at}","level":"{level}","message":{message}"#);
            for (name, value) in &fields.others {
                let _ = write!(line, ",{}:{value}", Value::from(*name));
            }
            line.push('}');
            line
        }
    };
    line.push('\n');
    line
}

/// What a server said must neither drive the terminal nor look like another line.
fn plain(message: &str) -> String {
    message.chars().flat_map(|c| if is_unseen(c) { c.escape_debug().collect() } else { vec![c] }).collect()
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let others = vec![("tunnel", "web-db".into()), ("attempt", 3.into()), ("hint", "look \"there\"\n".into())];
        Fields { message: "web-db: the server said `\x1b[2J`\nINFO all is well".to_owned(), others }
    }

    #[test]
    fn text_of_a_server_stays_one_line() {
        let line = line(Form::Text { colours: false }, SystemTime::UNIX_EPOCH, Level::WARN, &fields());
        let expected = "1970-01-01T00:00:00.000000Z  WARN web-db: the server said `\\u{1b}[2J`\\nINFO all is well \
                        tunnel=web-db attempt=3 hint=\"look \\\"there\\\"\\n\"\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn json_fields_are_at_top_level_in_order() {
        let line = line(Form::Json, SystemTime::UNIX_EPOCH, Level::WARN, &fields());
        assert!(line.starts_with(r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"WARN","message":"web-db: "#));
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["tunnel"], &read["attempt"]), (&"web-db".into(), &3.into()));
        assert_eq!(read["message"], fields().message);
    }
}
