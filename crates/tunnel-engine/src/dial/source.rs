//! The address of this machine that a connection comes from, where the config names one: found anew at each dial.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::failure::{Failure, FailureKind};
use crate::lookup;
use crate::spec::DialSpec;
use crate::words;

/// What may be dialled, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sources {
    /// The kernel chooses.
    Any,
    /// Port 0; a family without a source is not dialled. Never both `None`.
    These { v4: Option<SocketAddr>, v6: Option<SocketAddr> },
}

impl Sources {
    /// What the spec asks for. As in ssh, an address goes before an interface.
    ///
    /// # Errors
    /// A name without an address, an interface that is absent or down or has no address: all of it may come.
    pub(super) async fn of(dial: &DialSpec) -> Result<Self, Failure> {
        match (&dial.bind_address, &dial.bind_interface) {
            (Some(text), _) => match text.parse::<IpAddr>() {
                Ok(ip) => Ok(Self::first_of_each(std::iter::once(SocketAddr::new(ip, 0))).unwrap_or(Self::Any)),
                Err(_) => named(text).await,
            },
            (None, Some(interface)) => of_interface(interface),
            (None, None) => Ok(Self::Any),
        }
    }

    /// Can `address` be dialled?
    pub(super) fn reach(&self, address: &SocketAddr) -> bool {
        matches!(self, Self::Any) || self.towards(address).is_some()
    }

    /// What to bind to before dialling `address`.
    pub(super) fn towards(&self, address: &SocketAddr) -> Option<SocketAddr> {
        match self {
            Self::Any => None,
            Self::These { v4, v6 } => {
                if address.is_ipv4() {
                    *v4
                } else {
                    *v6
                }
            }
        }
    }

    fn first_of_each(addresses: impl Iterator<Item = SocketAddr>) -> Option<Self> {
        let (mut v4, mut v6) = (None, None);
        for address in addresses {
            let slot = if address.is_ipv4() { &mut v4 } else { &mut v6 };
            slot.get_or_insert(address);
        }
        (v4.is_some() || v6.is_some()).then_some(Self::These { v4, v6 })
    }
}

async fn named(name: &str) -> Result<Sources, Failure> {
    let failed = |why: String| {
        Failure::new(
            FailureKind::Dns,
            format!("{}: the name `{name}` could not be resolved: {why}", words::own("bind_address")),
        )
        .with_hint("write an address of this machine, or a name that stands for one")
        .not_reached()
    };
    let addresses = lookup::CONFIGURED.addresses(name, 0).await;
    let addresses = addresses.map_err(|error| failed(error.to_string()).caused_by(error))?;
    Sources::first_of_each(addresses.into_iter()).ok_or_else(|| failed("it has no address".to_owned()))
}

fn of_interface(name: &str) -> Result<Sources, Failure> {
    let failed = |why: String| {
        Failure::new(FailureKind::Unreachable, format!("bind_interface: {why}"))
            .with_hint("bring the interface up and give it an address: it is looked at again at each start")
            .not_reached()
    };
    let listed = getifaddrs()
        .map_err(|error| failed(format!("interfaces cannot be listed: {error}")).caused_by(error.into()))?;
    let all: Vec<Listed> = listed
        .map(|one| Listed {
            name: one.interface_name,
            up: one.flags.contains(InterfaceFlags::IFF_UP),
            address: one.address.and_then(|address| {
                let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::new(v4.ip(), 0)));
                let v6 = |v6: &nix::sys::socket::SockaddrIn6| SocketAddrV6::new(v6.ip(), 0, 0, v6.scope_id());
                v4.or_else(|| address.as_sockaddr_in6().map(v6).map(SocketAddr::V6))
            }),
        })
        .collect();
    choose(&all, name).map_err(failed)
}

/// One address of one interface, or an interface without any.
#[derive(Debug, Clone)]
struct Listed {
    name: String,
    up: bool,
    address: Option<SocketAddr>,
}

/// As ssh: of each family the first address that is neither loopback nor link-local, else the first.
fn choose(all: &[Listed], name: &str) -> Result<Sources, String> {
    let ours = || all.iter().filter(|one| one.name == name);
    if ours().next().is_none() {
        return Err(format!("there is no interface `{name}`"));
    }
    if !ours().any(|one| one.up) {
        return Err(format!("the interface `{name}` is down"));
    }
    let addresses = || ours().filter(|one| one.up).filter_map(|one| one.address);
    let (global, local): (Vec<_>, Vec<_>) = addresses().partition(|address| is_global(address.ip()));
    Sources::first_of_each(global.into_iter().chain(local))
        .ok_or_else(|| format!("the interface `{name}` has no address"))
}

fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4 != std::net::Ipv4Addr::LOCALHOST,
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, up: bool, address: &str) -> Listed {
        let address = address.parse().ok().map(|ip| SocketAddr::new(ip, 0));
        Listed { name: name.to_owned(), up, address }
    }

    fn these(v4: Option<&str>, v6: Option<&str>) -> Result<Sources, String> {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        Ok(Sources::These { v4: v4.map(address), v6: v6.map(address) })
    }

    #[test]
    fn interface_gives_one_address_of_each_family() {
        let all = [
            listed("lo", true, "127.0.0.1"),
            listed("lo", true, "::1"),
            listed("wg0", true, "fe80::1"),
            listed("wg0", true, "10.8.0.2"),
            listed("wg0", true, "fd00::2"),
            listed("wg0", true, "10.8.0.3"),
            listed("eth1", true, ""),
            listed("eth2", false, "10.9.0.1"),
        ];
        assert_eq!(choose(&all, "wg0"), these(Some("10.8.0.2"), Some("fd00::2")));
        assert_eq!(choose(&all, "lo"), these(Some("127.0.0.1"), Some("::1")), "local ones are better than none");
        assert_eq!(choose(&all, "eth1"), Err("the interface `eth1` has no address".to_owned()));
        assert_eq!(choose(&all, "eth2"), Err("the interface `eth2` is down".to_owned()));
        assert_eq!(choose(&all, "ppp0"), Err("there is no interface `ppp0`".to_owned()));
    }

    #[tokio::test]
    async fn address_goes_before_interface_and_name_is_resolved() {
        let of = |address: Option<&str>, interface: Option<&str>| DialSpec {
            bind_address: address.map(str::to_owned),
            bind_interface: interface.map(str::to_owned),
            ..DialSpec::default()
        };
        let v4 = Sources::of(&of(Some("192.0.2.1"), Some("no-such-if"))).await.unwrap();
        assert_eq!(Ok(v4), these(Some("192.0.2.1"), None));
        assert!(v4.reach(&"10.0.0.1:22".parse().unwrap()) && !v4.reach(&"[::1]:22".parse().unwrap()));
        assert_eq!(Sources::of(&of(None, None)).await.unwrap(), Sources::Any);

        let loopback = Sources::of(&of(Some("localhost"), None)).await.unwrap();
        let towards = loopback.towards(&"127.0.0.1:22".parse().unwrap()).unwrap();
        assert!(towards.ip().is_loopback() && towards.port() == 0, "{loopback:?}");
        let own = Sources::of(&of(None, Some("lo"))).await.unwrap();
        assert_eq!(own.towards(&"127.0.0.1:22".parse().unwrap()), Some("127.0.0.1:0".parse().unwrap()));

        let unknown = Sources::of(&of(Some("no-such-host.invalid"), None)).await.unwrap_err();
        assert_eq!(unknown.kind(), FailureKind::Dns);
        assert!(unknown.message().starts_with("bind_address: the name `no-such-host.invalid` "), "{unknown}");
        let absent = Sources::of(&of(None, Some("no-such-if"))).await.unwrap_err();
        assert_eq!(absent.kind(), FailureKind::Unreachable, "transient: the interface may come");
        assert_eq!(absent.message(), "bind_interface: there is no interface `no-such-if`");
    }
}
