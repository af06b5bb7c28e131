//! Names and listen addresses that are claimed twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use tunnel_engine::spec::{Bind, DeviceMode, DeviceUnit, Forward, Listen, SessionSpec, Side};

use super::ParsedTunnel;
use crate::spec::{ConfigError, SourceSpan, on_route};

/// A forward's hold on a listen address.
pub(super) struct Claim {
    machine: ListenMachine,
    listen: ListenClaim,
    /// As it was written.
    text: String,
    tunnel: Option<String>,
    span: SourceSpan,
}

/// Whose listen addresses they are.
#[derive(PartialEq, Eq, Hash)]
enum ListenMachine {
    This,
    /// Where the same name, reached the same way, is the same server.
    Server(Vec<(String, u16)>),
}

enum ListenClaim {
    Tcp(Vec<Address>, u16),
    Unix(PathBuf),
    Device(DeviceMode, u32),
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Address {
    /// 0.0.0.0 and :: are every address of their family, and of that only: listeners are IPV6_V6ONLY.
    Ip(IpAddr),
    Name(String),
}

/// The claims of a tunnel. Ports that the server chooses clash with nothing; without a destination nothing is known
/// about the server's side.
pub(super) fn of(
    tunnel: Option<&String>,
    forwards: &[(Forward, SourceSpan)],
    gateway_ports: bool,
    session: Option<&SessionSpec>,
) -> Vec<Claim> {
    let claim = |(forward, span): &(Forward, SourceSpan)| {
        let side = forward.kind.side();
        let machine = match side {
            Side::Here => ListenMachine::This,
            Side::Server => ListenMachine::Server(route(session?)),
        };
        let listen = listen_claim(&forward.listen, gateway_ports && side == Side::Here)?;
        let device = match &forward.listen {
            Listen::Device { mode, unit } => unit.device_name(*mode),
            Listen::Tcp { .. } | Listen::Unix(_) => None,
        };
        let text = device.unwrap_or_else(|| forward.listen.to_string());
        Some(Claim { machine, listen, text, tunnel: tunnel.cloned(), span: span.clone() })
    };
    forwards.iter().filter_map(claim).collect()
}

/// The claim of `metrics.listen`.
pub(super) fn of_metrics(listen: &Listen, span: SourceSpan) -> Option<Claim> {
    let text = listen.to_string();
    Some(Claim { machine: ListenMachine::This, listen: listen_claim(listen, false)?, text, tunnel: None, span })
}

fn listen_claim(listen: &Listen, gateway_ports: bool) -> Option<ListenClaim> {
    match listen {
        Listen::Unix(path) => Some(ListenClaim::Unix(path.clone())),
        Listen::Device { unit: DeviceUnit::Any, .. } | Listen::Tcp { port: 0, .. } => None,
        Listen::Device { mode, unit: DeviceUnit::Number(number) } => Some(ListenClaim::Device(*mode, *number)),
        Listen::Tcp { bind, port } => Some(ListenClaim::Tcp(addresses(bind, gateway_ports), *port)),
    }
}

/// The server, and the jump hosts before it.
fn route(session: &SessionSpec) -> Vec<(String, u16)> {
    on_route(session)
        .map(|SessionSpec { destination, .. }| (destination.canonical_host().to_lowercase(), destination.port))
        .collect()
}

fn addresses(bind: &Bind, gateway_ports: bool) -> Vec<Address> {
    let both = |v4, v6| vec![Address::Ip(IpAddr::V4(v4)), Address::Ip(IpAddr::V6(v6))];
    let loopback = || both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let any = || both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
    match bind {
        Bind::Default if gateway_ports => any(),
        Bind::Default => loopback(),
        Bind::Any => any(),
        Bind::Address(name) if name.eq_ignore_ascii_case("localhost") => loopback(),
        Bind::Address(text) => match text.parse() {
            Ok(ip) => vec![Address::Ip(ip)],
            Err(_) => vec![Address::Name(text.to_lowercase())],
        },
    }
}

/// What is claimed on one port of one machine: for each question, the first claim that answers it.
#[derive(Default)]
struct Port {
    exactly: HashMap<Address, usize>,
    /// Of any address of a family, 0.0.0.0 and :: among them: IPv4, IPv6.
    of_family: [Option<usize>; 2],
    /// Of 0.0.0.0 and ::.
    unspecified: [Option<usize>; 2],
    named: Option<usize>,
}

impl Port {
    const fn family(ip: IpAddr) -> usize {
        if ip.is_ipv4() { 0 } else { 1 }
    }

    /// The first claim that has this address too.
    fn holder(&self, address: &Address) -> Option<usize> {
        let same = self.exactly.get(address).copied();
        let others = match address {
            Address::Ip(ip) if ip.is_unspecified() => [self.of_family[Self::family(*ip)], self.named],
            Address::Ip(ip) => [self.unspecified[Self::family(*ip)], None],
            // Whatever the name stands for, every address includes it.
            Address::Name(_) => self.unspecified,
        };
        others.into_iter().chain([same]).flatten().min()
    }

    fn note(&mut self, address: &Address, claim: usize) {
        self.exactly.entry(address.clone()).or_insert(claim);
        let first = |known: &mut Option<usize>| *known = known.or(Some(claim));
        match address {
            Address::Ip(ip) => {
                first(&mut self.of_family[Self::family(*ip)]);
                if ip.is_unspecified() {
                    first(&mut self.unspecified[Self::family(*ip)]);
                }
            }
            Address::Name(_) => first(&mut self.named),
        }
    }
}

/// Claims that were looked at, with their places in that order.
#[derive(Default)]
struct Claimed<'a> {
    ports: HashMap<(&'a ListenMachine, u16), Port>,
    paths: HashMap<(&'a ListenMachine, &'a Path), usize>,
    devices: HashMap<(DeviceMode, u32), usize>,
}

impl<'a> Claimed<'a> {
    /// Notes a claim. Gives the first one that claims the same.
    fn note(&mut self, claim: &'a Claim, at: usize) -> Option<usize> {
        match &claim.listen {
            ListenClaim::Unix(path) => first_at(self.paths.entry((&claim.machine, path)), at),
            ListenClaim::Device(mode, number) => first_at(self.devices.entry((*mode, *number)), at),
            ListenClaim::Tcp(addresses, port) => {
                let port = self.ports.entry((&claim.machine, *port)).or_default();
                let holder = addresses.iter().filter_map(|address| port.holder(address)).min();
                addresses.iter().for_each(|address| port.note(address, at));
                holder
            }
        }
    }
}

/// The first claim to the same, if this is not it.
fn first_at<K>(entry: Entry<'_, K, usize>, at: usize) -> Option<usize> {
    match entry {
        Entry::Occupied(first) => Some(*first.get()),
        Entry::Vacant(free) => {
            free.insert(at);
            None
        }
    }
}

/// One error for each name and each forward that comes second; it names the first.
pub(super) fn twice(own: &[Claim], candidates: &[ParsedTunnel]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut names: HashMap<&str, &SourceSpan> = HashMap::new();
    for (name, span) in candidates.iter().filter_map(|candidate| candidate.name.as_ref()) {
        match names.entry(name) {
            Entry::Vacant(free) => drop(free.insert(span)),
            Entry::Occupied(first) => {
                let what = format!("two tunnels are named `{name}`; the first is at {}", first.get().to_text());
                errors.push(ConfigError::new(span.clone(), what, "rename one of them"));
            }
        }
    }
    let claims: Vec<&Claim> = own.iter().chain(candidates.iter().flat_map(|candidate| &candidate.claims)).collect();
    let mut claimed = Claimed::default();
    for (at, claim) in claims.iter().enumerate() {
        if let Some(first) = claimed.note(claim, at).and_then(|first| claims.get(first)) {
            let side = if claim.machine == ListenMachine::This { "this machine" } else { "the server" };
            let owner = first.tunnel.as_ref().map(|name| format!(" of tunnel `{name}`")).unwrap_or_default();
            let what = format!(
                "the listen address `{}` on {side} is already claimed by `{}`{owner} at {}",
                claim.text,
                first.text,
                first.span.to_text()
            );
            errors.push(ConfigError::new(claim.span.clone(), what, "choose another port or address for one of them"));
        }
    }
    errors
}
