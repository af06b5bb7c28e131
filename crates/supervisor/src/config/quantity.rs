//! Durations and sizes as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::value::{ReadResult, Value};
use crate::spec::{MAX_DURATION, duration_with_units};

/// A number of seconds, or a string with units.
pub(super) fn duration(value: Value<'_>) -> ReadResult<Duration> {
    duration_in(value, Duration::ZERO..=MAX_DURATION)
}

/// A duration within bounds.
pub(super) fn duration_in(value: Value<'_>, range: RangeInclusive<Duration>) -> ReadResult<Duration> {
    const FORMS: &str = "write a number of seconds, or a string such as \"500ms\", \"90s\", \"2m\" or \"1h30m\"";
    let parsed = match value.raw().as_str() {
        Some(text) => duration_with_units(text.trim()),
        None => match value.as_f64() {
            Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            None => return value.refuse("expected a duration", FORMS),
        },
    };
    match parsed {
        Some(duration) if range.contains(&duration) => Ok(duration),
        Some(_) => {
            let [least, most] =
                [range.start(), range.end()].map(|bound| humantime::format_duration(*bound).to_string());
            let most = if *range.end() == MAX_DURATION { "10years".to_owned() } else { most };
            value.refuse("the duration is out of range", format!("write a duration from {least} to {most}"))
        }
        None => {
            let quoted = value.raw().as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok());
            let hint = if quoted { "write it without quotes, or with a unit: \"90s\"" } else { FORMS };
            let written = value.source.text.get(value.span().span).unwrap_or_default();
            value.refuse(format!("`{}` is not a duration", written.trim_matches(['"', '\''])), hint)
        }
    }
}

/// A number of bytes, or a string with one of the units K, M and G (of 1024; `KiB` and `KB` mean the same).
pub(super) fn size_in(value: Value<'_>, range: RangeInclusive<u32>) -> ReadResult<u32> {
    const FORMS: &str = "write a number of bytes, or a string such as \"512KiB\" or \"16MiB\"";
    let bytes = match value.raw().as_str() {
        Some(text) => match parse_size(text) {
            Some(bytes) => bytes,
            None => return value.refuse(format!("`{text}` is not a size"), FORMS),
        },
        None if value.raw().as_integer().is_some() => u64::try_from(value.integer(0..=i64::MAX)?).unwrap_or(u64::MAX),
        None => return value.refuse("expected a size", FORMS),
    };
    match u32::try_from(bytes) {
        Ok(bytes) if range.contains(&bytes) => Ok(bytes),
        _ => value.refuse(
            "the size is out of range",
            format!("write a size from {} to {}", show_size(*range.start()), show_size(*range.end())),
        ),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn show_size(bytes: u32) -> String {
    match bytes.trailing_zeros() {
        30.. => format!("{}GiB", bytes >> 30),
        20.. => format!("{}MiB", bytes >> 20),
        10.. => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_the_units_people_write() {
        for (text, want) in [
            ("16MiB", Some(16 << 20)),
            ("2M", Some(2 << 20)),
            ("64 kb", Some(64 << 10)),
            ("1g", Some(1 << 30)),
            ("123", Some(123)),
            ("M", None),
            ("1.5M", None),
            ("-1", None),
            ("99999999999999999999", None),
            ("99999999999999G", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
        assert_eq!(show_size(16 << 20), "16MiB");
    }
}
