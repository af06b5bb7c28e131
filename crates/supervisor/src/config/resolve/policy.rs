//! `backoff` and `probe`, whose values may be tables.

use std::time::Duration;

use super::TableReader;
use crate::config::environment::Environment;
use crate::config::keys;
use crate::config::quantity::{duration, duration_in};
use crate::config::value::{ReadResult, Value};
use crate::spec::{BackoffKind, BackoffSpec, MAX_DURATION, ProbeSpec};

/// Below it, "try again" is a busy loop.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(10);
/// Beyond it, the second delay is the longest one anyway.
const MAX_FACTOR: f64 = 100.0;
/// A probe reads no more of what a service says.
const LONGEST_BANNER: usize = 256;

/// A word, or a table that says what targets say first. The table is read whole: defaults have no part in it.
pub(super) fn probe(value: Value<'_>, environment: &Environment) -> ReadResult<ProbeSpec> {
    let words = [("auto", &ProbeSpec::Auto), ("off", &ProbeSpec::Off), ("tcp", &ProbeSpec::Tcp)];
    if !value.raw().is_table() {
        return value.one_of(&words).cloned();
    }
    let mut table = TableReader::new(vec![value.table()?], environment);
    table.check_keys(keys::PROBE);
    let expect = table.read("expect", |value| match value.string()? {
        "" => {
            value.refuse("nothing is expected", "write the first words of the service, as in `{ expect = \"SSH-\" }`")
        }
        long if long.len() > LONGEST_BANNER => value.refuse("that is too long", "the first few words are enough"),
        words => Ok(words.to_owned()),
    });
    match expect {
        _ if !table.errors.is_empty() => Err(table.errors),
        Some(words) => Ok(ProbeSpec::Expect(words)),
        None => value.refuse("it is not said what to expect", "write `{ expect = \"SSH-\" }`, or a word"),
    }
}

pub(super) fn backoff(reader: &mut TableReader<'_>, key: &str) -> BackoffSpec {
    let mut table = reader.inner(key);
    table.check_keys(keys::BACKOFF);
    let kinds = [("exponential", BackoffKind::Exponential), ("autossh", BackoffKind::Autossh)];
    let usual = BackoffSpec::default();
    let spec = BackoffSpec {
        kind: table.read("kind", |value| value.one_of(&kinds)).unwrap_or(usual.kind),
        min: table.read("min", |value| duration_in(value, SHORTEST_BACKOFF..=MAX_DURATION)).unwrap_or(usual.min),
        max: table.read("max", |value| duration_in(value, SHORTEST_BACKOFF..=MAX_DURATION)).unwrap_or(usual.max),
        factor: table.read("factor", |value| value.number(1.0..=MAX_FACTOR)).unwrap_or(usual.factor),
        jitter: table.read("jitter", |value| value.number(0.0..=1.0)).unwrap_or(usual.jitter),
        reset_after: table.read("reset_after", duration).unwrap_or(usual.reset_after),
    };
    if spec.min > spec.max
        && let Some(value) = table.value("min").or(table.value("max"))
    {
        let [min, max] = [spec.min, spec.max].map(humantime::format_duration);
        let what = format!("the shortest delay ({min}) is longer than the longest ({max})");
        table.errors.push(value.error(what, "set `min` and `max` together"));
    }
    reader.errors.extend(table.errors);
    spec
}
