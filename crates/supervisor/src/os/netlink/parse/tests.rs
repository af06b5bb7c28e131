//! Bytes that a kernel said: a veth pair made, set up, given addresses and routes, and taken down again. Of links, only
//! the header and the attributes that are looked at.

use super::*;

const LINK_MADE: &str = "28000000100000000000000000000000000001000300000002100000ffffffff0700030064300000";
const LINK_RUNS: &str = "28000000100000000000000000000000000001000300000043100100000000000700030064300000";
const LINK_STOPS: &str = "28000000100000000000000000000000000001000300000002100000010000000700030064300000";
const LINK_GONE: &str = "28000000110000000000000000000000000001000300000002100000ffffffff0700030064300000";
const BRIDGE_PORT: &str =
    "3000000010000000000000000000000000000100050000000310000001000000070003007630000008000a0006000000";
const BRIDGE_FAMILY: &str = "28000000100000000000000000000000070001000500000003100000000000000700030076300000";
const ADDRESS: &str = concat!(
    "4c0000001400000090b0016b655e0000021880000300000008000100c000020708000200c00002070700030064300000",
    "080008008000000014000600ffffffffffffffff4f7814004f781400",
);
const ADDRESS_GONE: &str = concat!(
    "4c0000001500000095b0016bd35f0000021880000300000008000100c000020708000200c00002070700030064300000",
    "080008008000000014000600ffffffffffffffff4f7814004f781400",
);
const LINK_LOCAL: &str = concat!(
    "500000001400000000000000000000000a4080fd0300000014000100fe80000000000000503c8ffffed4f29d14000600",
    "ffffffffffffffff0878140008781400080008008000000005000b0003000000",
);
const ADDRESS_6: &str = concat!(
    "480000001400000000000000000000000a408200030000001400010020010db800000000000000000000000714000600",
    "ffffffffffffffff43791400437914000800080082000000",
);
const LOCAL_ROUTE: &str = concat!(
    "3c00000018000006000000000000000002200000ff02fe020000000008000f00ff00000008000100c000020708000700",
    "c00002070800040003000000",
);
const ROUTE: &str = concat!(
    "340000001800000691b0016b915e000002000000fe0300010000000008000f00fe00000008000500c000020108000400",
    "03000000",
);
const OTHER_ROUTE: &str = concat!(
    "3c0000001800000692b0016bb75e000002180000fe0300010000000008000f00fe00000008000100c633640008000500",
    "c00002010800040003000000",
);
const ROUTE_6: &str = concat!(
    "740000001800000693b0016b295f00000a000000fe0300010000000008000f00fe000000080006000004000014000500",
    "20010db8000000000000000000000001080004000300000024000c000000000000000000000000000000000000000000",
    "0000000000000000000000000500140000000000",
);
const ROUTE_GONE: &str = concat!(
    "340000001900000094b0016b375f000002000000fe0300010000000008000f00fe00000008000500c000020108000400",
    "03000000",
);

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn parsed(datagrams: &[&str]) -> Vec<Option<RouteEvent>> {
    let mut known = KernelState::default();
    datagrams.iter().map(|datagram| known.parse(&bytes(datagram))).collect()
}

#[test]
fn a_link_is_news_when_its_carrier_comes_or_goes() {
    let life = parsed(&[LINK_MADE, LINK_RUNS, LINK_RUNS, LINK_STOPS, LINK_STOPS, LINK_RUNS, LINK_GONE]);
    let (up, down) = (Some(RouteEvent::LinkUp), Some(RouteEvent::LinkDown));
    assert_eq!(life, [None, up, None, down, None, up, down]);
}

#[test]
fn link_up_before_we_listened_is_reported_when_lost() {
    assert_eq!(parsed(&[LINK_STOPS]), [Some(RouteEvent::LinkDown)]);
}

#[test]
fn port_of_a_bridge_is_no_route() {
    assert_eq!(parsed(&[BRIDGE_PORT, BRIDGE_FAMILY]), [None, None]);
}

#[test]
fn an_address_is_news_once_and_so_is_its_end() {
    let (added, removed) = (Some(RouteEvent::AddressAdded), Some(RouteEvent::AddressRemoved));
    assert_eq!(parsed(&[ADDRESS, ADDRESS, ADDRESS_6, ADDRESS_GONE, ADDRESS]), [added, None, added, removed, added]);
    assert_eq!(parsed(&[LINK_LOCAL]), [None]);
}

#[test]
fn only_default_routes_count() {
    let news = Some(RouteEvent::DefaultRoute);
    assert_eq!(parsed(&[ROUTE, ROUTE, ROUTE_6, ROUTE_GONE, ROUTE]), [news, None, news, news, news]);
    assert_eq!(parsed(&[OTHER_ROUTE, LOCAL_ROUTE]), [None, None]);
}

#[test]
fn several_messages_in_one_datagram_are_all_heard() {
    let mut known = KernelState::default();
    let both = [bytes(ADDRESS), bytes(ROUTE)].concat();
    assert_eq!(known.parse(&both), Some(RouteEvent::DefaultRoute));
    assert_eq!(known.parse(&bytes(ADDRESS)), None);
}

#[test]
fn what_is_cut_off_anywhere_means_nothing_and_breaks_nothing() {
    for datagram in [LINK_RUNS, ADDRESS, ROUTE, ROUTE_GONE, LINK_GONE] {
        let whole = bytes(datagram);
        for end in 0..whole.len() {
            assert_eq!(KernelState::default().parse(&whole[..end]), None);
            // The same with a length that is right again.
            let mut cut = whole[..end].to_vec();
            if end >= 4 {
                cut[..4].copy_from_slice(&u32::try_from(end).unwrap().to_ne_bytes());
                let _ = KernelState::default().parse(&cut);
            }
        }
    }
}
