//! rtnetlink datagrams, and which of them say something new. Pure; whatever is cut off or unknown means nothing.

use std::collections::HashSet;

use nix::libc;

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

// Sizes of the headers of linux/netlink.h, linux/if_link.h, linux/if_addr.h and linux/rtnetlink.h.
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// Facts that are remembered, so that a repeated report is no event. Far more than a machine has; beyond it, all is
/// forgotten and may be reported once more.
const MAX_KNOWN: usize = 4096;

/// What the kernel has reported so far. It repeats itself: with each router advertisement, each count of packets.
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
            libc::RTM_NEWLINK | libc::RTM_DELLINK => self.link(kind == libc::RTM_NEWLINK, body),
            libc::RTM_NEWADDR | libc::RTM_DELADDR => self.address(kind == libc::RTM_NEWADDR, body),
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => self.route(kind == libc::RTM_NEWROUTE, body),
            _ => None,
        }
    }

    fn link(&mut self, there: bool, body: &[u8]) -> Option<RouteEvent> {
        let (index, flags) = (word(body, 4)?, word(body, 8)?);
        // A port of a bridge is a container's or a guest's, and bridges speak of it in a family of their own.
        let foreign =
            i32::from(*body.first()?) != libc::AF_UNSPEC || attribute(body, LINK_HEADER, libc::IFLA_MASTER).is_some();
        if foreign || flags & libc::IFF_LOOPBACK.cast_unsigned() != 0 {
            return None;
        }
        if there && flags & libc::IFF_RUNNING.cast_unsigned() != 0 {
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
        let unusable = there && u32::from(flags) & libc::IFA_F_TENTATIVE != 0;
        if scope >= libc::RT_SCOPE_LINK || unusable {
            return None;
        }
        let address = NetlinkFact::Address(index, attribute(body, ADDRESS_HEADER, libc::IFA_ADDRESS)?.to_vec());
        if there {
            return self.learn(address).then_some(RouteEvent::AddressAdded);
        }
        self.0.remove(&address);
        Some(RouteEvent::AddressRemoved)
    }

    fn route(&mut self, there: bool, body: &[u8]) -> Option<RouteEvent> {
        let (family, length, table, kind) = (*body.first()?, *body.get(1)?, *body.get(4)?, *body.get(7)?);
        if length != 0 || table != libc::RT_TABLE_MAIN || kind != libc::RTN_UNICAST {
            return None;
        }
        let ways = [libc::RTA_OIF, libc::RTA_GATEWAY, libc::RTA_PRIORITY];
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
