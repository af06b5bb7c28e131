//! The forwards, and what holds for all of them.

use super::Field::{Apart, Flag, Mask, PermitRemoteOpen};
use super::Jump::Never;
use super::ReloadEffect::Reforward;
use super::SettingKey;

pub(super) const KEYS: &[SettingKey] = &[
    SettingKey::new("local_forward", Apart, Never, Reforward)
        .keyword("LocalForward")
        .doc("Listen here, connect from the server."),
    SettingKey::new("remote_forward", Apart, Never, Reforward)
        .keyword("RemoteForward")
        .default("[]")
        .doc("Listen on the server, connect from here."),
    SettingKey::new("dynamic_forward", Apart, Never, Reforward)
        .keyword("DynamicForward")
        .default("[]")
        .doc("Listen here as a SOCKS proxy (4, 4a and 5), connect from the server."),
    SettingKey::new("tunnel_device", Apart, Never, Reforward)
        .default("\"none\"")
        .doc("Carry the packets of a network device here and one of the server's, as `ssh -w`"),
    SettingKey::of_tunnel("exit_on_forward_failure", Flag(|t| &mut t.exit_on_forward_failure))
        .keyword("ExitOnForwardFailure")
        .default("false")
        .doc("true: a forward that cannot be set up ends the session."),
    SettingKey::new("gateway_ports", Flag(|t| &mut t.gateway_ports), Never, Reforward)
        .keyword("GatewayPorts")
        .default("false")
        .doc("true: a listen port without an address listens on all interfaces, as `ssh -g`."),
    SettingKey::of_tunnel("permit_remote_open", PermitRemoteOpen(|t| &mut t.permit_remote_open))
        .keyword("PermitRemoteOpen")
        .default("\"any\"")
        .doc("Where users of the server may connect to through a SOCKS proxy of remote_forward"),
    SettingKey::new("stream_local_bind_mask", Mask(|t| &mut t.stream_local_bind_mask), Never, Reforward)
        .keyword("StreamLocalBindMask")
        .default("\"0177\"")
        .doc("Permissions that the unix sockets of local forwards do not give, in octal"),
    SettingKey::of_tunnel("stream_local_bind_unlink", Flag(|t| &mut t.stream_local_bind_unlink))
        .keyword("StreamLocalBindUnlink")
        .default("false")
        .doc("true: take the path of a unix socket that another program listens on."),
];
