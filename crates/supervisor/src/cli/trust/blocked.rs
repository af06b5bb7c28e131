//! The tunnels that wait for a host key which is known now. The daemon looks at the files of a blocked tunnel by itself, and
//! may do so after this command has ended; it is told, so that `tunneld trust HOST && tunneld wait NAME` works.

use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::SessionSpec;

use crate::config::{Desired, TunnelSpec};
use crate::control::ask;
use crate::lifecycle::Phase;
use crate::protocol::status::{Status, TunnelStatus};
use crate::protocol::{Request, Response};
use crate::spec::on_route;

/// Has the daemon of this config start them. Without one, or for a user who may not ask it, nothing is to be done.
pub(super) fn retry(desired: &Desired, server: &SessionSpec) {
    let socket = &desired.global.control_socket;
    let Ok(Response::Status { status }) = ask(socket, Request::Status { names: Vec::new() }) else { return };
    let names = waiting(&status, &desired.tunnels, server);
    if names.is_empty() {
        return;
    }
    if let Err(error) = ask(socket, Request::Restart { names }) {
        tracing::debug!(%error, "the daemon is not told; it looks at known_hosts by itself");
    }
}

/// Those that are blocked by an unknown host key, and go by that server.
fn waiting(status: &Status, tunnels: &[TunnelSpec], server: &SessionSpec) -> Vec<String> {
    let is_blocked = |tunnel: &&TunnelStatus| {
        let kind = tunnel.last_failure.as_ref().and_then(|failure| failure.kind.known());
        tunnel.phase == Phase::Blocked && kind == Some(FailureKind::HostKeyUnknown)
    };
    let at = server.destination.host_port();
    let goes_there = |name: &str| {
        let sessions = tunnels.iter().filter(|tunnel| tunnel.name == name).flat_map(TunnelSpec::servers);
        sessions.flat_map(on_route).any(|session| session.destination.host_port() == at)
    };
    let names = status.tunnels.iter().filter(is_blocked).map(|tunnel| tunnel.name.clone());
    names.filter(|name| goes_there(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, load_text};
    use crate::protocol::status::example;

    #[test]
    fn only_tunnels_that_wait_for_the_servers_key_are_started() {
        let forward = "local_forward = [\"1:a:1\"]";
        let tunnel = |name: &str, rest: &str| format!("[[tunnel]]\nname = \"{name}\"\n{rest}\n");
        let text = [
            tunnel("direct", &format!("host = \"u@h\"\n{forward}")),
            tunnel("behind", "host = \"u@inner\"\nproxy_jump = \"u@h\"\nlocal_forward = [\"2:a:1\"]"),
            tunnel("refused", "host = \"u@h\"\nlocal_forward = [\"3:a:1\"]"),
            tunnel("elsewhere", "host = \"u@other\"\nlocal_forward = [\"4:a:1\"]"),
        ];
        let desired = load_text(Path::new("/c.toml"), &text.concat(), &Overrides::default());
        let desired = desired.unwrap_or_else(|errors| panic!("{errors}"));
        let blocked = |name: &str, kind: &str| {
            let mut tunnel = example::tunnel(name, "blocked", false);
            tunnel.last_failure = Some(example::failure(kind, "no"));
            tunnel
        };
        let unknown = ["direct", "behind", "elsewhere"].map(|name| blocked(name, "host_key_unknown"));
        let status = example::status(unknown.into_iter().chain([blocked("refused", "auth_rejected")]).collect());
        let server = &desired.tunnels[0].session;
        assert_eq!(waiting(&status, &desired.tunnels, server), ["direct", "behind"]);
    }
}
