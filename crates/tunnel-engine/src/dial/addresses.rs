//! Which addresses of a name are tried, and in which order.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::source::Sources;
use crate::spec::AddressFamily;

/// The addresses that `family` and the source addresses allow, each once, the families taking turns, beginning
/// with that of the resolver's first (RFC 8305 section 4, RFC 6724).
pub(super) fn order(resolved: &[SocketAddr], family: AddressFamily, sources: &Sources) -> Vec<SocketAddr> {
    let allowed = |address: &&SocketAddr| {
        let of_family = match family {
            AddressFamily::Any => true,
            AddressFamily::Inet => address.is_ipv4(),
            AddressFamily::Inet6 => address.is_ipv6(),
        };
        of_family && sources.reach(address)
    };
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in resolved.iter().filter(allowed) {
        if !unique.contains(address) {
            unique.push(*address);
        }
    }
    let v4_first = unique.first().is_some_and(SocketAddr::is_ipv4);
    let (mut turn, mut other): (VecDeque<_>, VecDeque<_>) =
        unique.into_iter().partition(|address| address.is_ipv4() == v4_first);
    let mut ordered = Vec::new();
    while let Some(address) = turn.pop_front() {
        ordered.push(address);
        if !other.is_empty() {
            std::mem::swap(&mut turn, &mut other);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(resolved: &[&str], family: AddressFamily, bind: Option<&str>) -> String {
        let resolved: Vec<SocketAddr> =
            resolved.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 22)).collect();
        let source = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let sources = bind.map(source).map_or(Sources::Any, |bind| Sources::These {
            v4: Some(bind).filter(SocketAddr::is_ipv4),
            v6: Some(bind).filter(SocketAddr::is_ipv6),
        });
        let order: Vec<String> =
            order(&resolved, family, &sources).iter().map(|address| address.ip().to_string()).collect();
        order.join(" ")
    }

    #[test]
    fn families_take_turns_beginning_with_the_resolvers_first() {
        let mixed = ["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"];
        assert_eq!(ordered(&mixed, AddressFamily::Any, None), "::1 10.0.0.1 ::2 10.0.0.2 ::3");
        let v4_first = ["10.0.0.1", "10.0.0.2", "::1"];
        assert_eq!(ordered(&v4_first, AddressFamily::Any, None), "10.0.0.1 ::1 10.0.0.2");
        assert_eq!(ordered(&[], AddressFamily::Any, None), "");
    }

    #[test]
    fn an_address_is_tried_once() {
        assert_eq!(ordered(&["10.0.0.1", "::1", "10.0.0.1"], AddressFamily::Any, None), "10.0.0.1 ::1");
    }

    #[test]
    fn family_and_source_leave_out_unreachable_addresses() {
        let mixed = ["::1", "10.0.0.1"];
        assert_eq!(ordered(&mixed, AddressFamily::Inet, None), "10.0.0.1");
        assert_eq!(ordered(&mixed, AddressFamily::Inet6, None), "::1");
        assert_eq!(ordered(&mixed, AddressFamily::Any, Some("127.0.0.1")), "10.0.0.1");
        assert_eq!(ordered(&mixed, AddressFamily::Inet, Some("::")), "");
    }
}
