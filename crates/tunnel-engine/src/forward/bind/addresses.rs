//! Which addresses a listener binds: the table of ssh(1) and ssh_config(5), GatewayPorts and AddressFamily.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::BindOptions;
use crate::failure::{Failure, FailureKind};
use crate::lookup;
use crate::spec::{AddressFamily, Bind};
use crate::words;

/// The addresses in the order in which they are bound: IPv4 first where a rule names both families.
pub(super) async fn of(bind: &Bind, port: u16, options: BindOptions) -> Result<Vec<SocketAddr>, Failure> {
    let addresses = match fixed(bind, options.gateway_ports) {
        Ok(addresses) => addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
        Err(name) => look_up(name, port).await?,
    };
    let wanted: Vec<SocketAddr> = addresses.into_iter().filter(|address| allows(options.family, address)).collect();
    if wanted.is_empty() {
        let message = format!("no address of `{}` is of the wanted {}", name_of(bind), words::own("address_family"));
        return Err(Failure::new(FailureKind::ListenDenied, message));
    }
    Ok(wanted)
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// The addresses that need no lookup, or the name that does.
fn fixed(bind: &Bind, gateway_ports: bool) -> Result<&'static [IpAddr], &str> {
    match bind {
        Bind::Default if gateway_ports => Ok(&ANY),
        Bind::Default => Ok(&LOOPBACK),
        Bind::Any => Ok(&ANY),
        Bind::Address(name) if name.eq_ignore_ascii_case("localhost") => Ok(&LOOPBACK),
        Bind::Address(name) => Err(name),
    }
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = lookup::CONFIGURED.addresses(name, port).await.map_err(|error| {
        let message = format!("the listen address `{name}` could not be resolved: {error}");
        Failure::new(FailureKind::Dns, message).caused_by(error)
    })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn allows(family: AddressFamily, address: &SocketAddr) -> bool {
    match family {
        AddressFamily::Any => true,
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
    }
}

fn name_of(bind: &Bind) -> &str {
    match bind {
        Bind::Default => "localhost",
        Bind::Any => "*",
        Bind::Address(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bound(bind: Bind, gateway_ports: bool, family: AddressFamily) -> Vec<String> {
        let options = BindOptions { gateway_ports, family, ..BindOptions::default() };
        match of(&bind, 80, options).await {
            Ok(addresses) => addresses.iter().map(SocketAddr::to_string).collect(),
            Err(failure) => vec![failure.to_string()],
        }
    }

    fn named(name: &str) -> Bind {
        Bind::Address(name.to_owned())
    }

    #[tokio::test]
    async fn a_listener_binds_the_addresses_that_ssh_would_bind() {
        let loopback = ["127.0.0.1:80", "[::1]:80"];
        let any = ["0.0.0.0:80", "[::]:80"];
        assert_eq!(bound(Bind::Default, false, AddressFamily::Any).await, loopback);
        assert_eq!(bound(named("LocalHost"), false, AddressFamily::Any).await, loopback);
        assert_eq!(bound(Bind::Any, false, AddressFamily::Any).await, any);
        assert_eq!(bound(named("0.0.0.0"), false, AddressFamily::Any).await, ["0.0.0.0:80"]);
        assert_eq!(bound(named("::"), false, AddressFamily::Any).await, ["[::]:80"]);
        assert_eq!(bound(named("192.0.2.7"), false, AddressFamily::Any).await, ["192.0.2.7:80"]);
    }

    #[tokio::test]
    async fn gateway_ports_changes_the_default_and_nothing_else() {
        assert_eq!(bound(Bind::Default, true, AddressFamily::Any).await, ["0.0.0.0:80", "[::]:80"]);
        assert_eq!(bound(named("localhost"), true, AddressFamily::Any).await, ["127.0.0.1:80", "[::1]:80"]);
        assert_eq!(bound(named("127.0.0.1"), true, AddressFamily::Any).await, ["127.0.0.1:80"]);
    }

    #[tokio::test]
    async fn address_family_restricts_the_addresses() {
        assert_eq!(bound(Bind::Default, false, AddressFamily::Inet).await, ["127.0.0.1:80"]);
        assert_eq!(bound(Bind::Any, false, AddressFamily::Inet6).await, ["[::]:80"]);
        let none = bound(named("127.0.0.1"), false, AddressFamily::Inet6).await;
        assert_eq!(none, ["no address of `127.0.0.1` is of the wanted address_family"]);
    }
}
