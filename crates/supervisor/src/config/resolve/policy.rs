//! When to start again, and what listeners do meanwhile.

use std::time::Duration;

use super::Reader;
use crate::config::desired::{BackoffKind, BackoffSpec, DuringOutage, OutageSpec, ProbeSpec};
use crate::config::keys;
use crate::config::quantity::{LONGEST, duration, duration_in};
use crate::lifecycle::Policy;

/// autossh's own default of AUTOSSH_POLL.
const POLL: Duration = Duration::from_secs(600);
/// More often than once a second a probe measures itself.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// Each session is a login, which servers count.
const SHORTEST_SESSION: Duration = Duration::from_secs(60);
/// Below it, "try again" is a busy loop.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(10);
/// Beyond it, the second delay is the longest one anyway.
const MOST_FACTOR: f64 = 100.0;
/// A probe reads no more of what a service says.
const LONGEST_BANNER: usize = 256;
/// Each held connection is a socket of somebody who waits.
const MOST_HELD: u32 = 1 << 16;

const BACKOFF: BackoffSpec = BackoffSpec {
    kind: BackoffKind::Exponential,
    min: Duration::from_millis(250),
    max: Duration::from_secs(60),
    factor: 2.0,
    jitter: 0.2,
    reset_after: Duration::from_secs(30),
};
const OUTAGE: OutageSpec =
    OutageSpec { during_outage: DuringOutage::Hold, hold_timeout: Duration::from_secs(30), hold_max: 128 };

/// The policy, and `first_poll`.
pub(super) fn policy(reader: &mut Reader<'_>) -> (Policy, Duration) {
    let poll = reader.read("poll", |value| duration_in(value, SHORTEST_POLL..=LONGEST)).unwrap_or(POLL);
    let first_poll = reader.read("first_poll", |value| duration_in(value, SHORTEST_POLL..=LONGEST)).unwrap_or(poll);
    let policy = Policy {
        gate_time: reader.read("gate_time", duration).unwrap_or(Duration::ZERO),
        max_start: max_start(reader),
        max_lifetime: reader.read("max_lifetime", duration).filter(|lifetime| !lifetime.is_zero()),
        backoff: backoff(reader),
        poll,
    };
    (policy, first_poll)
}

/// A word, or a table that says what targets say first. The table is read whole: defaults have no part in it.
pub(super) fn probe(reader: &mut Reader<'_>) -> ProbeSpec {
    let words = [("auto", &ProbeSpec::Auto), ("off", &ProbeSpec::Off), ("tcp", &ProbeSpec::Tcp)];
    let environment = reader.environment;
    let read = reader.read("probe", |value| {
        if !value.raw().is_table() {
            return value.one_of(&words).cloned();
        }
        let mut table = Reader::new(vec![value.table()?], environment);
        table.check_keys(keys::PROBE);
        let expect = table.read("expect", |value| match value.string()? {
            "" => value
                .refuse("nothing is expected", "write the first words of the service, as in `{ expect = \"SSH-\" }`"),
            long if long.len() > LONGEST_BANNER => value.refuse("that is too long", "the first few words are enough"),
            words => Ok(words.to_owned()),
        });
        match expect {
            Some(words) => Ok(ProbeSpec::Expect(words)),
            None if table.errors.is_empty() => {
                value.refuse("it is not said what to expect", "write `{ expect = \"SSH-\" }`, or a word")
            }
            None => Err(table.errors),
        }
    });
    read.unwrap_or_default()
}

/// 0: none.
pub(super) fn session_lifetime(reader: &mut Reader<'_>) -> Option<Duration> {
    let lifetime = reader.read("session_lifetime", |value| {
        let lifetime = duration(value)?;
        if !lifetime.is_zero() && lifetime < SHORTEST_SESSION {
            return value.refuse("a session that short would be a login every few seconds", "write \"1m\" or more");
        }
        Ok(lifetime)
    });
    lifetime.filter(|lifetime| !lifetime.is_zero())
}

/// -1, as autossh writes it: no limit.
fn max_start(reader: &mut Reader<'_>) -> Option<u32> {
    reader
        .read("max_start", |value| match value.integer(-1..=i64::from(u32::MAX))? {
            0 => value.refuse("no start is allowed", "to keep the tunnel down, write `enabled = false`"),
            starts => Ok(u32::try_from(starts).ok()),
        })
        .flatten()
}

fn backoff(reader: &mut Reader<'_>) -> BackoffSpec {
    let mut table = reader.inner("backoff");
    table.check_keys(keys::BACKOFF);
    let kinds = [("exponential", BackoffKind::Exponential), ("autossh", BackoffKind::Autossh)];
    let spec = BackoffSpec {
        kind: table.read("kind", |value| value.one_of(&kinds)).unwrap_or(BACKOFF.kind),
        min: table.read("min", |value| duration_in(value, SHORTEST_BACKOFF..=LONGEST)).unwrap_or(BACKOFF.min),
        max: table.read("max", |value| duration_in(value, SHORTEST_BACKOFF..=LONGEST)).unwrap_or(BACKOFF.max),
        factor: table.read("factor", |value| value.number(1.0..=MOST_FACTOR)).unwrap_or(BACKOFF.factor),
        jitter: table.read("jitter", |value| value.number(0.0..=1.0)).unwrap_or(BACKOFF.jitter),
        reset_after: table.read("reset_after", duration).unwrap_or(BACKOFF.reset_after),
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

pub(super) fn outage(reader: &mut Reader<'_>) -> OutageSpec {
    let choices = [("hold", DuringOutage::Hold), ("refuse", DuringOutage::Refuse)];
    OutageSpec {
        during_outage: reader.read("during_outage", |value| value.one_of(&choices)).unwrap_or(OUTAGE.during_outage),
        hold_timeout: reader.read("hold_timeout", duration).unwrap_or(OUTAGE.hold_timeout),
        hold_max: reader.read("hold_max", |value| value.count(1..=MOST_HELD)).unwrap_or(OUTAGE.hold_max),
    }
}
