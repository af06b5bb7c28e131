//! The addresses of a server's name, and what is said when there are none.

use std::io;
use std::net::SocketAddr;

use super::addresses::order;
use super::race::Tried;
use super::source::Sources;
use super::tcp::{lower, say, text};
use crate::failure::{Failure, FailureKind};
use crate::lookup::Lookup;
use crate::spec::{AddressFamily, SessionSpec};

/// All addresses that may be tried, in order; never none.
pub(super) async fn resolve(spec: &SessionSpec, lookup: Lookup, sources: &Sources) -> Result<Vec<SocketAddr>, Failure> {
    let host = spec.destination.host.as_str();
    let resolved = lookup.addresses().await.map_err(|error| unresolved(host, error))?;
    let addresses = order(&resolved, spec.dial.address_family, sources);
    if addresses.is_empty() {
        return Err(no_address(host, spec.dial.address_family, sources));
    }
    Ok(addresses)
}

/// `tried`: what became of the address of the last login.
pub(super) fn not_in_time(host: &str, tried: &Tried) -> Failure {
    let mut message = format!("the name `{host}` was not resolved in time");
    for (address, outcome) in tried {
        message.push_str(&format!(", and its last address {address} {}", say(outcome.as_ref())));
    }
    Failure::new(FailureKind::Dns, message).not_reached()
}

fn unresolved(host: &str, error: io::Error) -> Failure {
    let said = text(&error);
    let why = said.strip_prefix("failed to lookup address information: ").unwrap_or(&said);
    let message = format!("the name `{host}` could not be resolved: {}", lower(why));
    Failure::new(FailureKind::Dns, message).not_reached().caused_by(error)
}

fn no_address(host: &str, family: AddressFamily, sources: &Sources) -> Failure {
    let wanted = match (family, sources) {
        (AddressFamily::Inet, _) => "IPv4",
        (AddressFamily::Inet6, _) => "IPv6",
        (AddressFamily::Any, Sources::These { v6: None, .. }) => "IPv4",
        (AddressFamily::Any, Sources::These { v4: None, .. }) => "IPv6",
        (AddressFamily::Any, Sources::These { .. } | Sources::Any) => "usable",
    };
    Failure::new(FailureKind::Dns, format!("`{host}` has no {wanted} address"))
        .with_hint("check the name, address_family, bind_address and bind_interface")
}
