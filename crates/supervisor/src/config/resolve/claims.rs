//! Names and listen addresses that are claimed twice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use tunnel_engine::spec::{Bind, Destination, Forward, Listen, SessionSpec, Side, Via};

use super::Candidate;
use crate::config::diagnostic::ConfigError;
use crate::config::source::Place;

/// A forward's hold on a listen address.
pub(super) struct Claim {
    machine: Machine,
    listen: Listening,
    /// As it was written.
    text: String,
    tunnel: Option<String>,
    place: Place,
}

/// Whose listen addresses they are.
#[derive(PartialEq, Eq)]
enum Machine {
    This,
    /// Where the same name, reached the same way, is the same server.
    Server(Vec<(String, u16)>),
}

enum Listening {
    Tcp(Vec<Address>, u16),
    Unix(PathBuf),
}

#[derive(PartialEq, Eq)]
enum Address {
    /// 0.0.0.0 and :: are every address of their family, and of that only: listeners are IPV6_V6ONLY.
    Ip(IpAddr),
    Name(String),
}

/// The claims of a tunnel. Ports that the server chooses clash with nothing; without a destination nothing is known
/// about the server's side.
pub(super) fn of(
    tunnel: Option<&String>,
    forwards: &[(Forward, Place)],
    gateway_ports: bool,
    session: Option<&SessionSpec>,
) -> Vec<Claim> {
    let claim = |(forward, place): &(Forward, Place)| {
        let side = forward.kind.side();
        let machine = match side {
            Side::Here => Machine::This,
            Side::Server => Machine::Server(route(session?)),
        };
        let listen = match &forward.listen {
            Listen::Unix(path) => Listening::Unix(path.clone()),
            Listen::Tcp { port: 0, .. } => return None,
            Listen::Tcp { bind, port } => Listening::Tcp(addresses(bind, gateway_ports && side == Side::Here), *port),
        };
        Some(Claim { machine, listen, text: forward.listen.to_string(), tunnel: tunnel.cloned(), place: place.clone() })
    };
    forwards.iter().filter_map(claim).collect()
}

/// The server, and the jump hosts before it.
fn route(session: &SessionSpec) -> Vec<(String, u16)> {
    let mut route = Vec::new();
    let mut next = Some(session);
    while let Some(SessionSpec { destination: Destination { host, port, .. }, dial, .. }) = next {
        route.push((host.to_lowercase(), *port));
        next = match &dial.via {
            Via::Jump(jump) => Some(jump),
            Via::Direct | Via::Command(_) => None,
        };
    }
    route
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

impl Address {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ip(a), Self::Ip(b)) => {
                a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
            }
            // Whatever the name stands for, every address includes it.
            (Self::Ip(ip), Self::Name(_)) | (Self::Name(_), Self::Ip(ip)) => ip.is_unspecified(),
            (Self::Name(a), Self::Name(b)) => a == b,
        }
    }
}

impl Listening {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(a, port), Self::Tcp(b, other_port)) => {
                port == other_port && a.iter().any(|address| b.iter().any(|other| address.meets(other)))
            }
            (Self::Unix(a), Self::Unix(b)) => a == b,
            (Self::Tcp(..), Self::Unix(_)) | (Self::Unix(_), Self::Tcp(..)) => false,
        }
    }
}

/// One error for each name and each forward that comes second; it names the first.
pub(super) fn twice(candidates: &[Candidate]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let names: Vec<&(String, Place)> = candidates.iter().filter_map(|candidate| candidate.name.as_ref()).collect();
    for (index, (name, place)) in names.iter().enumerate() {
        if let Some((_, first)) = names[..index].iter().find(|(earlier, _)| earlier == name) {
            let what = format!("two tunnels are named `{name}`; the first is at {}", first.to_text());
            errors.push(ConfigError::new(place.clone(), what, "rename one of them"));
        }
    }
    let claims: Vec<&Claim> = candidates.iter().flat_map(|candidate| &candidate.claims).collect();
    for (index, claim) in claims.iter().enumerate() {
        let meets = |earlier: &&&Claim| earlier.machine == claim.machine && earlier.listen.meets(&claim.listen);
        if let Some(first) = claims[..index].iter().find(meets) {
            let side = if claim.machine == Machine::This { "this machine" } else { "the server" };
            let owner = first.tunnel.as_ref().map(|name| format!(" of tunnel `{name}`")).unwrap_or_default();
            let what = format!(
                "the listen address `{}` on {side} is already claimed by `{}`{owner} at {}",
                claim.text,
                first.text,
                first.place.to_text()
            );
            errors.push(ConfigError::new(claim.place.clone(), what, "choose another port or address for one of them"));
        }
    }
    errors
}
