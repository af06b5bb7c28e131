//! Where the lines come from: events of our crates whose own fields, or whose span, name a tunnel.

use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use tunnel_engine::clock;
use tunnel_engine::words::is_unseen;

use super::super::fields::{Fields, SpanFields};
use super::super::{OURS, TUNNEL_SPAN};
use super::{RecentLine, RecentLines};

/// What a reader of one tunnel's lines knows already, or finds in its status.
const KNOWN: &[&str] = &["tunnel", "server", "phase"];

impl RecentLines {
    /// Keeps what is logged from now on. It looks at no event below INFO, and at none of a library.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        LineRecorder(self.clone()).with_filter(filter_fn(is_kept))
    }
}

fn is_kept(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO && (OURS.contains(&library) || library == TUNNEL_SPAN)
}

struct LineRecorder(RecentLines);

impl<S> Layer<S> for LineRecorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(SpanFields(Fields::of_span(attributes)));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = Fields::of(event, &context);
        let Some(tunnel) = fields.get("tunnel").and_then(serde_json::Value::as_str) else { return };
        let line = RecentLine { at: clock::wall(), level: *event.metadata().level(), message: text(tunnel, &fields) };
        self.0.push(tunnel, line);
    }
}

/// The message, without the name that it begins with, and the fields.
fn text(tunnel: &str, fields: &Fields) -> String {
    let message = fields.message.strip_prefix(tunnel).and_then(|rest| rest.strip_prefix(": "));
    let mut text = message.unwrap_or(&fields.message).to_owned();
    fields.write_text(&mut text, |name| !KNOWN.contains(&name));
    text.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect()
}
