//! rtnetlink datagrams, and which of them say something new. Pure; whatever is cut off or unknown means nothing.

use std::collections::HashSet;

/// Something that may have moved the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::os) enum RouteEvent {
    /// A link has its carrier.
    LinkUp,
    /// A link lost it, or is gone.
    LinkDown,
    /// This machine has a new address.
    AddressAdded,
    /// It lost one.
    AddressRemoved,
    /// There is another way to everywhere, or one less.
    DefaultRoute,
    /// The kernel had more to tell than it could keep.
    Unknown,
}

impl RouteEvent {
    /// For logs.
    pub(in crate::os) const fn as_str(self) -> &'static str {
        match self {
            Self::LinkUp => "a link is up",
            Self::LinkDown => "a link is down",
            Self::AddressAdded => "an address was added",
            Self::AddressRemoved => "an address was removed",
            Self::DefaultRoute => "the default route changed",
            Self::Unknown => "much changed at once",
        }
    }
}

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
const HEADER: usize = 16;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
const FAMILY_UNSPECIFIED: u8 = 0;
const LINK_RUNNING: u32 = 0x40;
const LINK_LOOPBACK: u32 = 0x8;
const LINK_MASTER: u16 = 10;
const ADDRESS_TENTATIVE: u8 = 0x40;
const ADDRESS_VALUE: u16 = 1;
const SCOPE_LINK: u8 = 253;
const TABLE_MAIN: u8 = 254;
const TYPE_UNICAST: u8 = 1;
const ROUTE_OUTPUT: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_PRIORITY: u16 = 6;

/// Facts that are remembered, so that telling them again is no news. Far more than a machine has; beyond it, all is
/// forgotten and may be news once more.
const MAX_KNOWN: usize = 4096;

/// What the kernel has told so far. It repeats itself: with each router advertisement, each count of packets.
#[derive(Debug, Default)]
pub(super) struct KernelState(HashSet<NetlinkFact>);

#[derive(Debug, PartialEq, Eq, Hash)]
enum NetlinkFact {
    Running(u32),
    Stopped(u32),
    Address(u32, Vec<u8>),
    Route(u8, Vec<u8>),
}

impl KernelState {
    /// The last event in a datagram that is news.
    pub(super) fn parse(&mut self, datagram: &[u8]) -> Option<RouteEvent> {
        messages(datagram).filter_map(|(kind, body)| self.message(kind, body)).last()
    }

    fn message(&mut self, kind: u16, body: &[u8]) -> Option<RouteEvent> {
        match kind {
            NEW_LINK | DELETE_LINK => self.link(kind == NEW_LINK, body),
            NEW_ADDRESS | DELETE_ADDRESS => self.address(kind == NEW_ADDRESS, body),
            NEW_ROUTE | DELETE_ROUTE => self.route(kind == NEW_ROUTE, body),
            _ => None,
        }
    }

    fn link(&mut self, there: bool, body: &[u8]) -> Option<RouteEvent> {
        let (index, flags) = (word(body, 4)?, word(body, 8)?);
        // A port of a bridge is a container's or a guest's, and bridges speak of it in a family of their own.
        let foreign = *body.first()? != FAMILY_UNSPECIFIED || attribute(body, LINK_HEADER, LINK_MASTER).is_some();
        if foreign || flags & LINK_LOOPBACK != 0 {
            return None;
        }
        if there && flags & LINK_RUNNING != 0 {
            self.0.remove(&NetlinkFact::Stopped(index));
            self.learn(NetlinkFact::Running(index)).then_some(RouteEvent::LinkUp)
        } else {
            // A link that is only made, or was down all the time, changes no route in use.
            let was_running = self.0.remove(&NetlinkFact::Running(index));
            let first_heard = self.learn(NetlinkFact::Stopped(index)) && there && word(body, 12)? != u32::MAX;
            (was_running || first_heard).then_some(RouteEvent::LinkDown)
        }
    }

    fn address(&mut self, there: bool, body: &[u8]) -> Option<RouteEvent> {
        let (flags, scope, index) = (*body.get(2)?, *body.get(3)?, word(body, 4)?);
        // Not usable yet; the kernel tells again when it is.
        let unusable = there && flags & ADDRESS_TENTATIVE != 0;
        if scope >= SCOPE_LINK || unusable {
            return None;
        }
        let address = NetlinkFact::Address(index, attribute(body, ADDRESS_HEADER, ADDRESS_VALUE)?.to_vec());
        if there {
            return self.learn(address).then_some(RouteEvent::AddressAdded);
        }
        self.0.remove(&address);
        Some(RouteEvent::AddressRemoved)
    }

    fn route(&mut self, there: bool, body: &[u8]) -> Option<RouteEvent> {
        let (family, length, table, kind) = (*body.first()?, *body.get(1)?, *body.get(4)?, *body.get(7)?);
        if length != 0 || table != TABLE_MAIN || kind != TYPE_UNICAST {
            return None;
        }
        let ways = [ROUTE_OUTPUT, ROUTE_GATEWAY, ROUTE_PRIORITY];
        let way = ways.iter().flat_map(|kind| attribute(body, ROUTE_HEADER, *kind).unwrap_or_default());
        let route = NetlinkFact::Route(family, way.copied().collect());
        if there {
            return self.learn(route).then_some(RouteEvent::DefaultRoute);
        }
        self.0.remove(&route);
        Some(RouteEvent::DefaultRoute)
    }

    fn learn(&mut self, fact: NetlinkFact) -> bool {
        if self.0.len() >= MAX_KNOWN {
            self.0.clear();
        }
        self.0.insert(fact)
    }
}

/// Type and body of each message.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(word(datagram, 0)?).ok()?;
        let body = datagram.get(HEADER..length)?;
        let kind = half(datagram, 4)?;
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The first attribute of a kind, after a header of this length.
fn attribute(body: &[u8], header: usize, wanted: u16) -> Option<&[u8]> {
    let mut rest = body.get(header..)?;
    loop {
        let length = usize::from(half(rest, 0)?);
        let value = rest.get(4..length)?;
        if half(rest, 2)? == wanted {
            return Some(value);
        }
        rest = rest.get(aligned(length)..)?;
    }
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

// The bytes are as a little-endian machine has them.
#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests;
