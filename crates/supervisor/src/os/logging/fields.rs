//! What an event carries: its message, and its fields in the order of the call. Fields of the spans around it that it
//! does not have itself are its own too, so that what the engine logs names the tunnel that it works for.

use std::fmt::{Debug, Write as _};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::Attributes;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{Extensions, LookupSpan};
use tunnel_engine::words::is_unseen;

/// Fields of one event, or of one span.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    /// Name and value. What was logged by `Display` or `Debug` is a string.
    pub(super) others: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Those of the event, and of the spans around it: what a span has and the event, or an inner span, has not.
    pub(super) fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Self::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            fields.inherit(&span.extensions());
        }
        fields
    }

    pub(super) fn of_span(attributes: &Attributes<'_>) -> Self {
        let mut fields = Self::default();
        attributes.record(&mut fields);
        fields
    }

    fn inherit(&mut self, span: &Extensions<'_>) {
        let Some(SpanFields(fields)) = span.get::<SpanFields>() else { return };
        for (name, value) in &fields.others {
            if self.get(name).is_none() {
                self.others.push((name, value.clone()));
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.others.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// As `name=value`, strings in quotes where they need them.
    pub(super) fn write_text(&self, text: &mut String, is_told: impl Fn(&str) -> bool) {
        for (name, value) in self.others.iter().filter(|(name, _)| is_told(name)) {
            let _ = match value.as_str() {
                Some(word) if is_word(word) => write!(text, " {name}={word}"),
                Some(words) => write!(text, " {name}={words:?}"),
                None => write!(text, " {name}={value}"),
            };
        }
    }
}

/// Fields of a span, kept with it.
pub(super) struct SpanFields(pub(super) Fields);

fn is_word(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| !c.is_whitespace() && !is_unseen(c) && !matches!(c, '"' | '\\' | '='))
}

impl Fields {
    fn take(&mut self, field: &Field, value: Value) {
        self.others.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.take(field, value.into()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}");
            }
            _ => self.take(field, format!("{value:?}").into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }
}
