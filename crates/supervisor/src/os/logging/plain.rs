//! Events as a program at a terminal says them: the message, and the hint below it. Fields only where the message does
//! not hold them already.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tunnel_engine::failure::FailureKind;

use super::fields::Fields;
use crate::word::Word;

/// Fields that the message of a tunnel's failure holds already.
const IN_MESSAGE: &[&str] =
    &["tunnel", "forward", "kind", "server", "attempt", "phase", "repeats", "retry_in", "file", "key"];

/// The target of a line that is written without the program's name.
pub const AS_IT_IS: &str = "as_it_is";

/// Which program speaks to the user, and of what.
#[derive(Debug, Clone, Copy)]
pub struct PlainAudience {
    /// Turns the hint of a failure into one for this program's user.
    pub hint: fn(FailureKind, &str) -> String,
    /// Begins each line.
    pub program: &'static str,
    /// A level word, or `off`.
    pub level: &'static str,
    /// Of the warnings, those that tell of a failure.
    pub only_failures: bool,
    /// Kinds of failure that another part of the program reports in words of its own.
    pub silent: &'static [FailureKind],
}

impl<S, N> FormatEvent<S, N> for PlainAudience
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let word = |name| fields.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let (kind, hint) = (word("kind"), word("hint"));
        let idle = self.only_failures && kind.is_empty() && *event.metadata().level() > Level::ERROR;
        if idle || self.silent.iter().any(|silent| Word::read(kind) == *silent) {
            return Ok(());
        }
        if event.metadata().target() == AS_IT_IS {
            return writeln!(writer, "{}", fields.message);
        }
        let message = fields.message.strip_prefix(self.program).and_then(|rest| rest.strip_prefix(": "));
        write!(writer, "{}: {}", self.program, message.unwrap_or(&fields.message))?;
        if hint.is_empty() || *event.metadata().level() > Level::INFO {
            for (name, value) in fields.others.iter().filter(|(name, _)| !IN_MESSAGE.contains(name) && *name != "hint")
            {
                match value.as_str() {
                    Some(text) => write!(writer, " {name}={text}")?,
                    None => write!(writer, " {name}={value}")?,
                }
            }
        }
        writeln!(writer)?;
        let hint = Word::read(kind).known().map_or_else(|| hint.to_owned(), |kind| (self.hint)(kind, hint));
        if hint.is_empty() { Ok(()) } else { writeln!(writer, "hint: {hint}") }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::queue;
    use super::*;

    fn said(speech: PlainAudience) -> String {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let (lines, flush) = queue::start(writer, queue::lost).unwrap();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines).event_format(speech);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(
                tunnel = "autossh",
                kind = "dns",
                attempt = 1,
                hint = "check the name",
                "autossh: no such name"
            );
            tracing::warn!(kind = "gate_time", "told otherwise");
            tracing::warn!(path = %"/x", "new host key");
            tracing::warn!(target: AS_IT_IS, "Allocated port 1");
        });
        drop(flush);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
        text
    }

    const SPEECH: PlainAudience = PlainAudience {
        hint: |_, hint| hint.to_owned(),
        program: "autossh",
        level: "warn",
        only_failures: false,
        silent: &[FailureKind::GateTime],
    };

    #[test]
    fn failure_is_message_and_hint_without_fields() {
        let want = "autossh: no such name\nhint: check the name\nautossh: new host key path=/x\nAllocated port 1\n";
        assert_eq!(said(SPEECH), want);
    }

    #[test]
    fn hint_is_one_for_the_programs_user() {
        let text = said(PlainAudience { hint: |kind, _| kind.hint().to_owned(), only_failures: true, ..SPEECH });
        assert_eq!(text, format!("autossh: no such name\nhint: {}\n", FailureKind::Dns.hint()));
    }

    #[test]
    fn only_failures_are_shown_where_asked() {
        let text = said(PlainAudience { only_failures: true, ..SPEECH });
        assert_eq!(text, "autossh: no such name\nhint: check the name\n");
    }
}
