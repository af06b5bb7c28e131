//! What keeps the process of a config from being confined (`confine`). Pure.

use tunnel_engine::spec::{Route, SessionSpec};

use crate::spec::{Desired, TunnelSpec};

/// Why the process of this config cannot be confined, if so: what a program may need is not known, and it would inherit
/// all limits.
pub fn obstacle(desired: &Desired) -> Option<String> {
    if !desired.global.no_new_privileges {
        return Some("`no_new_privileges = false`, without which the kernel confines no process".to_owned());
    }
    if let Some(command) = &desired.global.reading.match_exec {
        return Some(format!("`Match exec` of ssh_config runs `{command}`"));
    }
    desired.tunnels.iter().find_map(|tunnel| {
        let key = command_of(tunnel)?;
        Some(format!("`{key}` of tunnel `{}` runs a program", tunnel.name))
    })
}

/// The key by which a tunnel runs a program.
fn command_of(tunnel: &TunnelSpec) -> Option<&'static str> {
    fn of_session(session: &SessionSpec) -> Option<&'static str> {
        match &session.dial.via {
            Route::Command(_) => Some("proxy_command"),
            _ if session.host_key.command.is_some() => Some("known_hosts_command"),
            Route::Jump(jump) => of_session(jump),
            Route::Direct => None,
        }
    }
    let on_change = tunnel.on_change.as_ref().map(|_| "on_change");
    on_change.or_else(|| tunnel.servers().find_map(of_session))
}
