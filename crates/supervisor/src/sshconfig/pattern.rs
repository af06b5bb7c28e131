//! Patterns of ssh_config(5): `*`, `?`, lists with commas and `!`, and networks.

use std::net::IpAddr;

use tunnel_engine::spec::wildcard;

/// A list with commas: one that matches, and none of the negated ones.
pub(super) fn list(patterns: &str, text: &str) -> bool {
    let mut any = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if wildcard(pattern, text) => return false,
            Some(_) => {}
            None => any |= wildcard(pattern, text),
        }
    }
    any
}

/// The same for names of hosts and of keywords, which are the same in any case.
pub(super) fn caseless(patterns: &str, text: &str) -> bool {
    list(&patterns.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

/// Is one of the addresses in one of the networks of the list? `None`: the list has something that is no network.
pub(super) fn networks(networks: &str, addresses: &[IpAddr]) -> Option<bool> {
    let networks: Vec<(IpAddr, u32)> = networks.split(',').map(network).collect::<Option<_>>()?;
    Some(networks.iter().any(|(network, bits)| addresses.iter().any(|address| contains(*network, *bits, *address))))
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    // ssh refuses a network with bits outside its mask.
    (bits <= most && (number(address) & !mask(bits, most)) == 0).then_some((address, bits))
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let most = if network.is_ipv4() { 32 } else { 128 };
    network.is_ipv4() == address.is_ipv4() && number(network) == number(address) & mask(bits, most)
}

fn mask(bits: u32, most: u32) -> u128 {
    let all = if most == 128 { u128::MAX } else { (1 << most) - 1 };
    all & !(all.checked_shr(bits).unwrap_or(0))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negated_pattern_wins_and_never_matches_by_itself() {
        for (patterns, text, want) in [
            ("a,b*", "bcd", true),
            ("*,!b*", "bcd", false),
            ("!b*,*", "bcd", false),
            ("!b", "a", false),
            ("", "a", false),
            ("A", "a", false),
        ] {
            assert_eq!(list(patterns, text), want, "{patterns} {text}");
        }
        assert!(caseless("*.EXAMPLE", "a.Example"));
    }

    #[test]
    fn networks_hold_addresses_of_their_family() {
        let addresses = ["192.168.1.9".parse().unwrap(), "fe80::1".parse().unwrap()];
        for (text, want) in [
            ("192.168.1.0/24", Some(true)),
            ("192.168.2.0/24,192.168.1.9", Some(true)),
            ("10.0.0.0/8", Some(false)),
            ("0.0.0.0/0", Some(true)),
            ("fe80::/10", Some(true)),
            ("2001:db8::/32", Some(false)),
            ("192.168.1.1/24", None),
            ("192.168.1.0/33", None),
            ("lan", None),
        ] {
            assert_eq!(networks(text, &addresses), want, "{text}");
        }
    }
}
