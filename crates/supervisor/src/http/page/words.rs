//! Numbers as people read them. Pure.

/// Bytes a second, such as `1.2 MiB/s`.
pub(super) fn rate(bytes_a_second: f64) -> String {
    const UNITS: [&str; 4] = ["B/s", "KiB/s", "MiB/s", "GiB/s"];
    let mut value = bytes_a_second;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 999.5 {
        let Some(larger) = units.next() else { break };
        value /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", three_digits(value))
}

pub(super) fn milliseconds(value: f64) -> String {
    if value >= 999.5 { format!("{} s", three_digits(value / 1000.0)) } else { format!("{} ms", three_digits(value)) }
}

/// A share. Only what is whole is shown as 100 %.
pub(super) fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).floor() / 100.0;
    format!("{hundredths} %")
}

fn three_digits(value: f64) -> String {
    if value >= 99.5 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([rate(0.0), rate(999.0), rate(1234.0)], ["0 B/s", "999 B/s", "1.2 KiB/s"]);
        assert_eq!([rate(5_900_000.0), rate(2.2e12)], ["5.6 MiB/s", "2049 GiB/s"]);
        assert_eq!([milliseconds(0.42), milliseconds(123.4), milliseconds(1500.0)], ["0.4 ms", "123 ms", "1.5 s"]);
        assert_eq!([percent(1.0), percent(0.99999), percent(0.5)], ["100 %", "99.99 %", "50 %"]);
    }
}
