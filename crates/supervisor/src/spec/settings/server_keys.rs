//! Which tunnel it is, its server, and the way there.

use super::Field::{Apart, Family, Flag, Word};
use super::Jump::{FirstHop, Never, Own};
use super::ReloadEffect::{NewSession, Rename, StartOrStop};
use super::SettingKey;

pub(super) const KEYS: &[SettingKey] = &[
    SettingKey::new("name", Apart, Never, Rename).doc("Letters, digits, `.`, `_` and `-`; unique."),
    SettingKey::new("enabled", Flag(|t| &mut t.enabled), Never, StartOrStop)
        .default("true")
        .doc("false: known, but not started."),
    SettingKey::new("host", Apart, Own, NewSession).doc("Name or address of the SSH server."),
    SettingKey::of_tunnel("hosts", Apart).doc("Several servers in order of preference, in place of `host`"),
    SettingKey::new("port", Apart, Own, NewSession)
        .keyword("Port")
        .default("22")
        .doc("Its port, or the name of a service in /etc/services."),
    SettingKey::new("user", Apart, Own, NewSession).keyword("User").doc("Whom to log in as"),
    SettingKey::of_tunnel("ssh_config", Apart)
        .default("false")
        .doc("true: take what is not set here from ~/.ssh/config and /etc/ssh/ssh_config"),
    SettingKey::new("proxy_jump", Apart, Never, NewSession)
        .keyword("ProxyJump")
        .default("\"none\"")
        .doc("Go through these servers, the one next to this machine first."),
    SettingKey::new("proxy_command", Apart, Own, NewSession)
        .keyword("ProxyCommand")
        .doc("talk to the server over this command's standard input and output"),
    SettingKey::new("bind_address", Word(|t| &mut t.session.dial.bind_address), FirstHop, NewSession)
        .keyword("BindAddress")
        .doc("The address of this machine to dial from, or a name that stands for one."),
    SettingKey::new("bind_interface", Word(|t| &mut t.session.dial.bind_interface), FirstHop, NewSession)
        .keyword("BindInterface")
        .doc("Or the interface whose address it is"),
    SettingKey::of_session("address_family", Family(|t| &mut t.session.dial.address_family))
        .keyword("AddressFamily")
        .default("\"any\"")
        .doc("any, inet (IPv4 only) or inet6 (IPv6 only)."),
];
