//! The words that stand for the values of a key, in TOML.

use tunnel_engine::spec::{AddressFamily, StrictHostKeyChecking};

use crate::spec::{DuringOutage, OnRemotePortBusy};

pub(crate) const ADDRESS_FAMILY: &[(&str, AddressFamily)] =
    &[("any", AddressFamily::Any), ("inet", AddressFamily::Inet), ("inet6", AddressFamily::Inet6)];

pub(crate) const STRICT_HOST_KEY_CHECKING: &[(&str, StrictHostKeyChecking)] = &[
    ("yes", StrictHostKeyChecking::Yes),
    ("accept-new", StrictHostKeyChecking::AcceptNew),
    ("no", StrictHostKeyChecking::No),
];

pub(crate) const ON_REMOTE_PORT_BUSY: &[(&str, OnRemotePortBusy)] =
    &[("retry", OnRemotePortBusy::Retry), ("takeover", OnRemotePortBusy::Takeover), ("fail", OnRemotePortBusy::Fail)];

pub(crate) const DURING_OUTAGE: &[(&str, DuringOutage)] =
    &[("hold", DuringOutage::Hold), ("refuse", DuringOutage::Refuse)];
