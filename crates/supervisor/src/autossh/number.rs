//! Numbers as autossh reads them: C's `strtol` with base 0, the whole word.

/// Decimal, `0x` hexadecimal or leading-0 octal, with blanks and a sign before it. `None`: not a number, or one that no
/// 64 bits hold.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    // `from_str_radix` takes a sign of its own.
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_any_base_that_c_knows() {
        for (text, want) in [
            ("0", Some(0)),
            ("600", Some(600)),
            (" 30", Some(30)),
            ("+5", Some(5)),
            ("-1", Some(-1)),
            ("0xA028", Some(41000)),
            ("041000", Some(16896)),
            ("4294967296", Some(4_294_967_296)),
            ("", None),
            ("abc", None),
            ("1.5", None),
            ("10s", None),
            ("08", None),
            ("0x", None),
            ("--1", None),
            ("+-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse(text), want, "{text:?}");
        }
    }
}
