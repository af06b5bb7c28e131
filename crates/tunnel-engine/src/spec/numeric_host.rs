//! Addresses in the one spelling by which ssh knows a server. ssh(1) hands each host to getaddrinfo(3) with
//! `AI_NUMERICHOST` and goes on with what getnameinfo(3) makes of it, so that known_hosts has one name for an address.

use std::net::{Ipv4Addr, Ipv6Addr};

use nix::net::if_::if_indextoname;

/// `host` as ssh has it after reading it, where it is an address: `127.1` is `127.0.0.1`, `0:0:0:0:0:0:0:1` is `::1`.
/// An interface after `%` that is a number has its name, where there is one. `None`: it is a name, or an address that is spelled so already, but
/// for its case.
pub fn numeric_host(host: &str) -> Option<String> {
    let usual = match host.split_once('%') {
        Some((address, scope)) => format!("{}%{}", v6(address)?, interface(address, scope).as_deref().unwrap_or(scope)),
        None => v4(host).map(|address| address.to_string()).or_else(|| v6(host))?,
    };
    (!usual.eq_ignore_ascii_case(host)).then_some(usual)
}

/// The name of an interface that a link-local address has by its number; getnameinfo(3) names no other address's.
fn interface(address: &str, scope: &str) -> Option<String> {
    address.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_unicast_link_local)?;
    let name = if_indextoname(scope.parse().ok()?).ok()?.into_string().ok();
    // nix gives an empty one for a number that no interface has.
    name.filter(|name| !name.is_empty())
}

/// inet_aton(3): one to four numbers, decimal, octal or hexadecimal, the last of which fills the rest of the address.
fn v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32 - 8 * leading.len() as u32;
    if u64::from(*last) >= 1 << room {
        return None;
    }
    let leading = leading.iter().zip([24, 16, 8]).map(|(part, shift)| part << shift).sum::<u32>();
    Some(Ipv4Addr::from(leading | last))
}

/// strtoul(3) with base 0, without a sign.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let only_digits = digits.chars().all(|c| c.is_digit(radix));
    u32::from_str_radix(digits, radix).ok().filter(|_| only_digits)
}

fn v6(text: &str) -> Option<String> {
    let address: Ipv6Addr = text.parse().ok()?;
    // glibc writes an IPv4-compatible address with dots, Rust does not.
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => format!("::{}", Ipv4Addr::from(u128::from(address) as u32)),
        _ => address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ssh -G HOST` of OpenSSH 9.2 on glibc 2.36 gives for `hostname`.
    #[test]
    fn address_has_the_spelling_of_ssh() {
        for (host, ssh) in [
            ("127.1", "127.0.0.1"),
            ("127.1.2", "127.1.0.2"),
            ("0x7f.1", "127.0.0.1"),
            ("127.0x1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0xffffffff", "255.255.255.255"),
            ("010.0.0.1", "8.0.0.1"),
            ("00000000000000000000177.1", "127.0.0.1"),
            ("1", "0.0.0.1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("::ffff:102:304", "::ffff:1.2.3.4"),
            ("0:0:0:0:0:ffff:102:304", "::ffff:1.2.3.4"),
            ("2001:db8:0:0:1:0:0:5", "2001:db8::1:0:0:5"),
            ("2001:0db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
            ("::0.0.1.2", "::102"),
            ("::1:2", "::0.1.0.2"),
            ("fe80:0::1%lo", "fe80::1%lo"),
        ] {
            assert_eq!(numeric_host(host).as_deref(), Some(ssh), "{host}");
            assert_eq!(numeric_host(ssh), None, "{ssh}");
        }
    }

    #[test]
    fn interface_has_its_name() {
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(numeric_host(&format!("fe80::1%{lo}")).as_deref(), Some("fe80::1%lo"));
        assert_eq!(numeric_host(&format!("::1%{lo}")), None);
        assert_eq!(numeric_host("fe80::1%4294967295"), None, "there is none of this number");
    }

    #[test]
    fn names_and_usual_spellings_stay() {
        for host in [
            "db.example",
            "127.0.0.1",
            "127.0.0.1.",
            "1.2.3.4.5",
            "256.1.1.1",
            "127.0.0.256",
            "08.1",
            "0x",
            "4294967296",
            "+1",
            "-1",
            "1.",
            ".1",
            "",
            "::1",
            "2001:DB8::5",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "web%2",
        ] {
            assert_eq!(numeric_host(host), None, "{host}");
        }
    }
}
