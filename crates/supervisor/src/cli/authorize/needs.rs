//! What the login of a tunnel has to be allowed on each server of its route, and nothing more. Pure.

use std::borrow::Cow;

use tunnel_engine::forward::probed_at;
use tunnel_engine::session::RemoteListen;
use tunnel_engine::spec::{
    Bind, Connect, Destination, DeviceMode, DeviceUnit, Forward, ForwardKind, Listen, Route, SessionSpec,
};

use crate::config::{OnRemotePortBusy, ProbeSpec, TunnelSpec};

/// A server that the tunnel logs in to.
#[derive(Debug, Clone)]
pub(super) struct LoginServer {
    pub(super) session: SessionSpec,
    pub(super) is_jump_host: bool,
    pub(super) needs: Needs,
}

/// What is allowed there. Addresses are those of the requests, for the server compares these very words. A unix socket
/// stands in the list of connections by its path, with port 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Needs {
    /// Connections from the server.
    pub(super) opens: PermittedOpens,
    /// Ports that the server listens on; 0: one of its choice.
    pub(super) listens: Vec<(String, u16)>,
    /// Some of them to unix sockets.
    pub(super) opens_sockets: bool,
    /// Unix sockets that the server listens on.
    pub(super) listens_on_sockets: bool,
    /// A listener on another address than loopback.
    pub(super) gateway: bool,
    /// Network devices of the server.
    pub(super) devices: Vec<(DeviceMode, DeviceUnit)>,
    /// Commands of the login's shell.
    pub(super) commands: bool,
    /// What cannot be narrowed down, or proven.
    pub(super) notes: Vec<Cow<'static, str>>,
}

/// Where the server may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PermittedOpens {
    Any,
    These(Vec<(String, u16)>),
}

impl Default for PermittedOpens {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

const DYNAMIC: &str =
    "a dynamic forward connects to whatever its peers name: permitopen and PermitOpen cannot limit it";
const REVERSE: &str = "through the SOCKS proxy on the server, its users reach what this machine reaches: permit_remote_open \
                       in the tunnel limits that";
const NEW_SOCKETS: &str =
    "OpenSSH has no list of paths: with this, a unix socket can be made wherever the login may write";
const UNPROVEN_PORT: &str = "the port that the server chooses is not in a list, so it is not proven to lead back: `tunneld \
                             status` shows the forward as unverified, and it is ready";
const ODD_PATH: &str = "a path with blanks, quotes or brackets cannot be written into these lists: choose another one";
const TAKEOVER: &str = "on_remote_port_busy = \"takeover\" runs commands in the login's shell on Linux, so they are allowed; \
                        with \"retry\" none would be";

/// Every server that the tunnel logs in to, those next to this machine first. One that is on several routes is there once.
pub(super) fn logins(tunnel: &TunnelSpec) -> Vec<LoginServer> {
    let mut logins: Vec<LoginServer> = Vec::new();
    for server in tunnel.servers() {
        let mut route = vec![LoginServer { session: server.clone(), is_jump_host: false, needs: of_server(tunnel) }];
        let mut session = server;
        while let Route::Jump(jump) = &session.dial.via {
            let needs = of_jump_host(&session.destination);
            route.push(LoginServer { session: jump.as_ref().clone(), is_jump_host: true, needs });
            session = jump;
        }
        for login in route.into_iter().rev() {
            match logins.iter_mut().find(|known| known.session.destination == login.session.destination) {
                Some(known) => known.needs.add(login.needs),
                None => logins.push(login),
            }
        }
    }
    logins
}

fn of_jump_host(next: &Destination) -> Needs {
    Needs { opens: PermittedOpens::These(vec![(next.host.clone(), next.port)]), ..Needs::default() }
}

fn of_server(tunnel: &TunnelSpec) -> Needs {
    let mut needs = Needs::default();
    for forward in &tunnel.forwards {
        match forward.kind {
            ForwardKind::Local | ForwardKind::Dynamic => needs.open(&forward.connect),
            ForwardKind::Remote => needs.listen(forward, tunnel.probe != ProbeSpec::Off),
            ForwardKind::TunnelDevice => needs.device(forward),
        }
    }
    if tunnel.on_remote_port_busy == OnRemotePortBusy::Takeover
        && (!needs.listens.is_empty() || needs.listens_on_sockets)
    {
        needs.commands = true;
        needs.note(TAKEOVER);
    }
    needs
}

impl Needs {
    fn open(&mut self, target: &Connect) {
        match target {
            Connect::Tcp { host, port } => self.opens.add(host, *port),
            Connect::Unix(path) => self.open_socket(&path.to_string_lossy()),
            Connect::Device(_) => {}
            Connect::Socks => {
                self.opens = PermittedOpens::Any;
                self.note(DYNAMIC);
            }
        }
    }

    fn open_socket(&mut self, path: &str) {
        self.opens_sockets = true;
        if path.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"\"'\\[],#".contains(c)) {
            self.opens.add(path, 0);
        } else {
            self.note(ODD_PATH);
        }
    }

    fn listen(&mut self, forward: &Forward, probed: bool) {
        let listen = RemoteListen::of(&forward.listen);
        if forward.connect == Connect::Socks {
            self.note(REVERSE);
        }
        match (&listen, probed_at(&listen).0) {
            (RemoteListen::Tcp { address, port }, at) => {
                self.gateway |= !is_loopback(&forward.listen);
                // An empty address asks for all of them.
                let address = if address.is_empty() { "*" } else { address };
                push(&mut self.listens, (address.to_owned(), *port));
                match at {
                    Connect::Tcp { .. } if probed && *port == 0 => self.note(UNPROVEN_PORT),
                    Connect::Tcp { host, port } if probed => self.opens.add(&host, port),
                    Connect::Tcp { .. } | Connect::Unix(_) | Connect::Socks | Connect::Device(_) => {}
                }
            }
            (RemoteListen::Unix(path), _) => {
                self.listens_on_sockets = true;
                self.note(NEW_SOCKETS);
                if probed {
                    self.open_socket(path);
                }
            }
        }
    }

    fn device(&mut self, forward: &Forward) {
        if let (Listen::Device { mode, .. }, Connect::Device(unit)) = (&forward.listen, &forward.connect) {
            push(&mut self.devices, (*mode, *unit));
            self.note(device_of_another_login(*mode, *unit));
        }
    }

    fn note(&mut self, note: impl Into<Cow<'static, str>>) {
        push(&mut self.notes, note.into());
    }

    /// What this and the other need together.
    pub(super) fn add(&mut self, other: Self) {
        match other.opens {
            PermittedOpens::Any => self.opens = PermittedOpens::Any,
            PermittedOpens::These(targets) => targets.iter().for_each(|(host, port)| self.opens.add(host, *port)),
        }
        other.listens.into_iter().for_each(|listen| push(&mut self.listens, listen));
        self.opens_sockets |= other.opens_sockets;
        self.listens_on_sockets |= other.listens_on_sockets;
        self.gateway |= other.gateway;
        other.devices.into_iter().for_each(|device| push(&mut self.devices, device));
        self.commands |= other.commands;
        other.notes.into_iter().for_each(|note| self.note(note));
    }
}

impl PermittedOpens {
    fn add(&mut self, host: &str, port: u16) {
        if let Self::These(targets) = self {
            push(targets, (host.to_owned(), port));
        }
    }
}

/// By the server's own number, which is the second of `tunnel_device`.
fn device_of_another_login(mode: DeviceMode, unit: DeviceUnit) -> String {
    let kind = mode.device_prefix();
    let (number, choose) = match unit {
        DeviceUnit::Number(number) => (number, ""),
        DeviceUnit::Any => (0, ", and name its number as the second one of tunnel_device, in place of `any`"),
    };
    format!(
        "the server makes a tunnel device for root only; for another login, make it there beforehand, with `ip tuntap add dev \
         {kind}{number} mode {kind} user NAME`{choose}"
    )
}

fn push<T: PartialEq>(list: &mut Vec<T>, new: T) {
    if !list.contains(&new) {
        list.push(new);
    }
}

/// What a server with `GatewayPorts no` listens on anyway.
fn is_loopback(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(_) | Listen::Device { .. } | Listen::Tcp { bind: Bind::Default, .. } => true,
        Listen::Tcp { bind: Bind::Any, .. } => false,
        Listen::Tcp { bind: Bind::Address(address), .. } => matches!(address.as_str(), "localhost" | "127.0.0.1"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, load_text};

    fn logins_of(lines: &str) -> Vec<LoginServer> {
        let text = format!("[[tunnel]]\nname = \"t\"\nhost = \"u@h\"\n{lines}");
        let desired = load_text(Path::new("/c.toml"), &text, &Overrides::default());
        logins(&desired.unwrap_or_else(|errors| panic!("{errors}")).tunnels[0])
    }

    fn needs(lines: &str) -> Needs {
        let mut logins = logins_of(lines);
        logins.pop().unwrap().needs
    }

    fn pairs(list: &[(&str, u16)]) -> Vec<(String, u16)> {
        list.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect()
    }

    #[test]
    fn local_forwards_open_their_targets_as_written() {
        let needs = needs("local_forward = [\"1:DB:3306\", \"2:DB:3306\", \"3:[::1]:5432\", \"/run/s:/run/t\"]");
        assert_eq!(needs.opens, PermittedOpens::These(pairs(&[("DB", 3306), ("::1", 5432), ("/run/t", 0)])));
        assert!(needs.opens_sockets && !needs.listens_on_sockets && needs.listens.is_empty());
        assert_eq!(needs.notes, [""; 0]);
    }

    #[test]
    fn remote_forwards_may_reach_their_own_port() {
        let lines = "remote_forward = [\"80:a:1\", \"*:81:a:1\", \"[::1]:82:a:1\", \"0:a:1\"]";
        let proven = needs(lines);
        assert_eq!(proven.listens, pairs(&[("localhost", 80), ("*", 81), ("::1", 82), ("localhost", 0)]));
        assert_eq!(proven.opens, PermittedOpens::These(pairs(&[("127.0.0.1", 80), ("127.0.0.1", 81), ("::1", 82)])));
        assert!(proven.gateway && !proven.commands);
        assert_eq!(proven.notes, [UNPROVEN_PORT]);
        let unproven = needs(&format!("{lines}\nprobe = \"off\""));
        assert_eq!(unproven.opens, PermittedOpens::default());
        assert!(!needs("remote_forward = [\"localhost:80:a:1\"]").gateway);
    }

    #[test]
    fn what_cannot_be_limited_is_said() {
        let dynamic = needs("dynamic_forward = [\"1080\"]\nlocal_forward = [\"1:db:1\"]");
        assert_eq!((dynamic.opens, dynamic.notes), (PermittedOpens::Any, vec![DYNAMIC.into()]));
        let reverse = needs("remote_forward = [\"1080\"]\non_remote_port_busy = \"takeover\"");
        assert!(reverse.commands);
        assert_eq!(reverse.notes, [REVERSE, TAKEOVER]);
        let socket = needs("remote_forward = [\"/run/s:/run/t\"]");
        assert_eq!(socket.opens, PermittedOpens::These(pairs(&[("/run/s", 0)])));
        assert_eq!(socket.notes, [NEW_SOCKETS]);
        assert_eq!(needs("local_forward = [{ listen = \"1\", connect = \"/a#b\" }]").notes, [ODD_PATH]);
        let unproven = needs("remote_forward = [\"/run/s:/run/t\"]\nprobe = \"off\"");
        assert!(unproven.listens_on_sockets && !unproven.opens_sockets);
    }

    #[test]
    fn note_on_a_device_names_the_servers_own() {
        let note = |value: &str| needs(&format!("tunnel_device = \"{value}\"")).notes.remove(0);
        assert!(note("0:1").contains("`ip tuntap add dev tun1 mode tun user NAME`"), "{}", note("0:1"));
        let any = note("ethernet:3:any");
        assert!(any.contains("`ip tuntap add dev tap0 mode tap") && any.contains("name its number"), "{any}");
    }

    #[test]
    fn each_server_of_the_route_is_there_once() {
        let logins = logins_of("proxy_jump = \"a@one,b@two:2200\"\nlocal_forward = [\"1:db:1\"]");
        let shown = logins.iter().map(|login| (login.session.destination.to_string(), login.needs.opens.clone()));
        let shown: Vec<_> = shown.collect();
        let opens = |host, port| PermittedOpens::These(pairs(&[(host, port)]));
        assert_eq!(
            shown,
            [
                ("a@one:22".to_owned(), opens("two", 2200)),
                ("b@two:2200".to_owned(), opens("h", 22)),
                ("u@h:22".to_owned(), opens("db", 1)),
            ]
        );
    }
}
