//! Is a value well formed? And what do its words mean?

use std::num::NonZeroU64;
use std::time::Duration;

use tunnel_engine::spec::{Forward, IpQos, IpQosError, RekeyLimit, port_or_service};

use super::jump;
use super::keyword::{Keyword, Shape};
use super::line::ConfigLine;
use crate::spec::ConfigError;

/// What is wrong with a line's value, if anything.
pub(super) fn check(keyword: &Keyword, line: &ConfigLine) -> Result<(), ConfigError> {
    let name = keyword.name;
    let is_list = matches!(keyword.shape, Shape::Words | Shape::Any | Shape::Command);
    let Some(first) = line.words.first() else {
        let error = || line.error(format!("`{name}` has no value"), "write the value after the keyword");
        return if is_list { Ok(()) } else { Err(error()) };
    };
    let is_pair = matches!(keyword.shape, Shape::Forward);
    let extra = line.words.get(if is_pair { 2 } else { 1 });
    if let Some(extra) = extra.filter(|_| !is_list && !matches!(keyword.shape, Shape::Jump)) {
        let what = format!("`{}` is one word too many for `{name}`", extra.text);
        return Err(line.error_at(extra, what, "put a value with blanks in quotes"));
    }
    let text = first.text.as_str();
    let require = |holds: bool, what: &str, hint: &str| {
        if holds { Ok(()) } else { Err(line.error(format!("`{text}` is not {what}"), hint)) }
    };
    match keyword.shape {
        Shape::Flag => require(flag(text).is_some(), "yes or no", "write `yes` or `no`"),
        Shape::Choice(words) => {
            let known = words.iter().any(|word| word.eq_ignore_ascii_case(text));
            require(known, &format!("a value of `{name}`"), &format!("write one of {}", words.join(", ")))
        }
        Shape::Time => {
            let read = text == "none" || time(text).is_some();
            require(read, "a time", "write seconds, or a time such as 90s, 2m or 1h30m")
        }
        Shape::Number => require(number(text).is_some(), "a whole number", "write a whole number"),
        Shape::Port => {
            let hint = "write a number from 1 to 65535, or the name of a service in /etc/services";
            require(port(text).is_some(), "a port", hint)
        }
        Shape::Mask => require(mask(text).is_some(), "a mask", "write an octal number, as 0177"),
        Shape::Device => {
            let hint = "write `local:remote`, each `any` or a number, as in `any:any`";
            require(Forward::parse_device(text).is_ok(), "a tunnel device", hint)
        }
        Shape::Jump => jump::check(line),
        Shape::Word | Shape::Words if line.words.iter().any(|word| word.text.trim().is_empty()) => {
            Err(line.error(format!("a value of `{name}` is empty"), "write a value, or remove the line"))
        }
        Shape::Words
            if line.words.len() > 1 && line.words.iter().any(|word| word.text.eq_ignore_ascii_case("none")) =>
        {
            Err(line.error("`none` stands beside other values", "write `none` alone, or leave it out"))
        }
        Shape::Word | Shape::Words | Shape::Command | Shape::Forward | Shape::Any => Ok(()),
    }
}

pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// `90`, `1m30s`, `1h`, `2d`, `1w`.
pub(super) fn time(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, after) = match after.chars().next() {
            None | Some('s' | 'S') => (1, after.get(1..)),
            Some('m' | 'M') => (60, after.get(1..)),
            Some('h' | 'H') => (3600, after.get(1..)),
            Some('d' | 'D') => (24 * 3600, after.get(1..)),
            Some('w' | 'W') => (7 * 24 * 3600, after.get(1..)),
            Some(_) => return None,
        };
        seconds = seconds.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after.unwrap_or_default();
    }
    // ssh keeps it in an int.
    (!text.is_empty() && seconds <= i32::MAX as u64).then(|| Duration::from_secs(seconds))
}

/// A number that fits into ssh's int.
pub(super) fn number(text: &str) -> Option<u32> {
    text.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok())
}

/// `RekeyLimit`: bytes in one direction, and a time.
pub(crate) fn rekey_limit<T: AsRef<str>>(words: &[T]) -> Option<RekeyLimit> {
    /// ssh's own.
    const FEWEST_BYTES: u64 = 16;
    let (bytes, time) = match words {
        [bytes] => (bytes.as_ref(), "none"),
        [bytes, time] => (bytes.as_ref(), time.as_ref()),
        _ => return None,
    };
    let bytes = match bytes {
        "default" => 0,
        number => scaled(number).filter(|bytes| *bytes == 0 || *bytes >= FEWEST_BYTES)?,
    };
    let time = match time {
        "none" => Duration::ZERO,
        text => self::time(text)?,
    };
    Some(RekeyLimit { bytes: NonZeroU64::new(bytes), time: Some(time).filter(|time| !time.is_zero()) })
}

/// `500M`, `1.5G`: units of 1024, as scan_scaled(3) reads them.
fn scaled(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        "e" => 60,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    let part: String = part.chars().take(9).collect();
    let tenths = if part.is_empty() { 0 } else { u128::from(part.parse::<u64>().ok()?) << shift };
    let part = u64::try_from(tenths / 10_u128.pow(u32::try_from(part.len()).ok()?)).ok()?;
    // ssh keeps it in a signed number.
    whole.checked_add(part).filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// A port that can be connected to, or the name of a service.
pub(crate) fn port(text: &str) -> Option<u16> {
    port_or_service(text).filter(|port| *port != 0)
}

/// Permission bits to take away.
pub(crate) fn mask(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777)
}

/// The class of a connection without a shell is the first of two, as ssh has it: `None` where there is no word.
pub(crate) fn ip_qos<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Option<IpQos>, IpQosError> {
    let classes = words.into_iter().map(str::parse).collect::<Result<Vec<IpQos>, _>>()?;
    Ok(classes.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_ssh() {
        for (text, want) in [
            ("90", Some(90)),
            ("1m30s", Some(90)),
            ("1H", Some(3600)),
            ("1w2d", Some(9 * 24 * 3600)),
            ("30m15", Some(1815)),
            ("", None),
            ("m", None),
            ("1.5", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            assert_eq!(time(text), want.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn limits_of_new_keys_are_those_of_ssh() {
        for (text, want) in [
            ("default", Some((0, 0))),
            ("0", Some((0, 0))),
            ("default none", Some((0, 0))),
            ("1G", Some((1 << 30, 0))),
            ("1.5k 1h", Some((1536, 3600))),
            ("16", Some((16, 0))),
            ("15", None),
            ("none", None),
            ("-1", None),
            ("1X", None),
            ("16E", None),
            (".5G", None),
            ("1G 1x", None),
            ("1G 1h 2h", None),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            let read = rekey_limit(&words);
            let numbers =
                read.map(|limit| (limit.bytes.map_or(0, NonZeroU64::get), limit.time.map_or(0, |time| time.as_secs())));
            assert_eq!(numbers, want, "{text}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!((number("3"), number("-1"), number("4294967295"), number("x")), (Some(3), None, None, None));
        assert_eq!((port("22"), port("0"), port("65536"), port("ssh")), (Some(22), None, None, Some(22)));
        assert_eq!((mask("0177"), mask("1000"), mask("8")), (Some(0o177), None, None));
    }
}
