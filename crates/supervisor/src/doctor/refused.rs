//! Why a server refused to listen or to connect, from all that was seen: pure. OpenSSH says the same of every policy,
//! and of a port that is taken nothing at all; what else the login may do tells the causes apart.

use tunnel_engine::forward::ProbeFailureKind;
use tunnel_engine::spec::{Connect, Listen};

use super::forward_results::ListenRefusal;
use crate::tunnel::{PortHolder, is_policy, is_unlisted, shown};

/// The ports that only root may listen on, where the server's administrator changed nothing.
const PRIVILEGED: std::ops::Range<u16> = 1..1024;

/// What is known of the login beside the refusal.
pub(super) struct LoginContext<'a> {
    pub(super) user: &'a str,
    /// It may connect from the server.
    pub(super) may_connect: Option<bool>,
    /// It may listen on the server.
    pub(super) may_listen: Option<bool>,
}

/// Why the server does not listen, and what to do.
pub(super) fn listen(listen: &Listen, refusal: &ListenRefusal, setting: &LoginContext<'_>) -> (String, String) {
    match listen {
        Listen::Unix(path) => of_path(&path.display().to_string(), refusal),
        Listen::Tcp { .. } if is_unlisted(&refusal.error) => unlisted(&shown(listen)),
        Listen::Tcp { port, .. } => of_port(*port, refusal, setting),
        // Asked for otherwise.
        Listen::Device { .. } => answer("it does not say why", "look into the server's log"),
    }
}

/// Why, and what to do.
fn answer(why: impl Into<String>, action: impl Into<String>) -> (String, String) {
    (why.into(), action.into())
}

fn unlisted(listen: &str) -> (String, String) {
    answer(
        "its policy forbids it: the login may listen on other addresses or ports, and not on this one",
        format!(
            "have `PermitListen` in sshd_config and `permitlisten=` in authorized_keys, where they are set, name {listen}, \
             and reload sshd; `tunneld authorize` prints both"
        ),
    )
}

fn of_port(port: u16, refusal: &ListenRefusal, setting: &LoginContext<'_>) -> (String, String) {
    // A server that names its policy does not care who listens there.
    let seen_there = if is_policy(&refusal.error) { None } else { held_by_other(port, refusal) };
    seen_there.unwrap_or_else(|| by_policy(port, refusal, setting))
}

/// What has the port; `None`: nothing that was seen.
fn held_by_other(port: u16, refusal: &ListenRefusal) -> Option<(String, String)> {
    let another = "stop it there, or choose another port";
    Some(match &refusal.holder {
        Ok(PortHolder::Program(which)) => {
            answer(format!("a program of this user listens there (process {which})"), another)
        }
        Ok(PortHolder::Other(user)) => answer(format!("a process of another user (uid {user}) listens there"), another),
        Ok(PortHolder::Session(process)) => {
            let process = if process.is_empty() { String::new() } else { format!(" (process {process})") };
            let action = "if it is an earlier session of this tunnel, set on_remote_port_busy = \"takeover\" here, or \
                          ClientAliveInterval on the server; else choose another port";
            answer(format!("another SSH session of this user listens there{process}"), action)
        }
        Ok(_) | Err(_) if refusal.answers == Some(true) => answer(
            "something listens there; the login may not look what it is",
            format!("look with `ss -lptn 'sport = :{port}'` on the server; {another}"),
        ),
        Ok(_) | Err(_) => return None,
    })
}

fn by_policy(port: u16, refusal: &ListenRefusal, setting: &LoginContext<'_>) -> (String, String) {
    if PRIVILEGED.contains(&port) && setting.user != "root" && refusal.any_port != Some(false) {
        let why = format!("port {port} is below 1024, where only root may listen, and the login is `{}`", setting.user);
        return answer(why, "choose a port above 1023; a local redirect on the server can lead to it");
    }
    let seen = match &refusal.holder {
        Ok(_) => "nothing listens there, so ",
        Err(_) if refusal.answers == Some(false) => "nothing answers there, so ",
        Err(_) => "",
    };
    match (refusal.any_port, setting.may_connect) {
        (Some(true), _) => answer(
            format!("{seen}it listens on other ports, and not on this one"),
            format!(
                "allow it: `PermitListen` in sshd_config and `permitlisten=` in authorized_keys must name {port}, and the listen address must be one of the server's"
            ),
        ),
        (_, Some(true)) => answer(
            format!("{seen}the server's policy forbids it: it lets this login connect, and not listen there"),
            format!(
                "set `AllowTcpForwarding yes` (or `remote`) instead of `local` in sshd_config, and have `PermitListen` there and `permitlisten=` in authorized_keys name {port}; then reload sshd"
            ),
        ),
        (_, Some(false)) => answer(
            format!("{seen}the server's policy forbids all forwards of this login"),
            "set `AllowTcpForwarding yes` in sshd_config (and look for DisableForwarding), and take `restrict` or \
             `no-port-forwarding` off the key in authorized_keys; then reload sshd",
        ),
        (_, None) => answer(
            format!("{seen}most likely the server's policy forbids it"),
            "look at AllowTcpForwarding, PermitListen and DisableForwarding in sshd_config, and at the key's options in \
             authorized_keys",
        ),
    }
}

fn of_path(path: &str, refusal: &ListenRefusal) -> (String, String) {
    match &refusal.holder {
        Ok(PortHolder::Stale) => answer(
            "a stale socket file is there, which nothing listens on and sshd does not replace",
            format!(
                "remove it (`rm {path}` on the server), or set `StreamLocalBindUnlink yes` in its sshd_config, or \
                 on_remote_port_busy = \"takeover\" here"
            ),
        ),
        Ok(PortHolder::Program(which)) => answer(
            format!("a program of this user listens there (process {which})"),
            "stop it there, or choose another path",
        ),
        Ok(PortHolder::Session(_)) => answer(
            "another SSH session of this user listens there",
            "if it is an earlier session of this tunnel, set on_remote_port_busy = \"takeover\" here; else choose another path",
        ),
        Ok(PortHolder::Living | PortHolder::Other(_)) => {
            answer("a program listens there", "stop it there, or choose another path")
        }
        Ok(PortHolder::NotSocket) => {
            answer("a file that is no socket is there", "move it away on the server, or choose another path")
        }
        Ok(PortHolder::NoDirectory) => {
            answer("its folder does not exist there", "make the folder on the server, or choose another path")
        }
        Ok(PortHolder::ReadOnly) => answer(
            "the login may not write to its folder",
            "let the login write to the folder on the server, or choose a path in one of its own",
        ),
        Ok(PortHolder::Free) => answer(
            "nothing is there, so the server's policy forbids it",
            "set `AllowStreamLocalForwarding yes` in sshd_config (and look for DisableForwarding), and take `restrict` off \
             the key in authorized_keys",
        ),
        Err(why) => answer(
            format!("most likely a socket file of an earlier session is there, which could not be looked at ({why})"),
            format!(
                "remove `{path}` on the server, or set `StreamLocalBindUnlink yes` in its sshd_config; look at \
                 AllowStreamLocalForwarding, too"
            ),
        ),
    }
}

/// What to do about a target that could not be connected to.
pub(super) fn target(
    target: &Connect,
    cause: ProbeFailureKind,
    words: &str,
    here: bool,
    setting: &LoginContext<'_>,
) -> String {
    let side = if here { "this machine" } else { "the server" };
    match cause {
        ProbeFailureKind::Prohibited => prohibited(target, setting),
        ProbeFailureKind::Refused | ProbeFailureKind::RefusedHere if does_not_resolve(words) => {
            format!("write a name that {side} can resolve, or an address: `getent ahosts NAME` on {side}")
        }
        ProbeFailureKind::Refused | ProbeFailureKind::RefusedHere => {
            format!(
                "start the service that is to listen on {target}, or correct the target; look with `ss -ltn` on its machine"
            )
        }
        ProbeFailureKind::NoAnswer => format!("check the route and the firewall between {side} and {target}"),
        ProbeFailureKind::Unsupported => {
            "use a server that forwards connections, or another kind of forward".to_owned()
        }
        ProbeFailureKind::Shortage => {
            "raise the server's limits: open files, processes, channels of one session".to_owned()
        }
        ProbeFailureKind::Unnamed | ProbeFailureKind::NotListening | ProbeFailureKind::WrongBanner => {
            "look into the server's log for the reason".to_owned()
        }
    }
}

fn prohibited(target: &Connect, setting: &LoginContext<'_>) -> String {
    if let Connect::Unix(_) = target {
        return "set `AllowStreamLocalForwarding yes` in sshd_config, and take `restrict` or `no-port-forwarding` off the key"
            .to_owned();
    }
    let permit = match target {
        Connect::Tcp { .. } => {
            format!("`PermitOpen` in sshd_config and `permitopen=` in authorized_keys name {target}")
        }
        Connect::Socks | Connect::Unix(_) | Connect::Device(_) => {
            "`PermitOpen` in sshd_config and `permitopen=` in authorized_keys leave all targets open".to_owned()
        }
    };
    match (setting.may_connect, setting.may_listen) {
        (Some(true), _) => format!("the login may connect elsewhere: have {permit}; then reload sshd"),
        (_, Some(true)) => format!(
            "the login may listen there and not connect: set `AllowTcpForwarding yes` (or `local`) instead of `remote` in sshd_config, and have {permit}; then reload sshd"
        ),
        (_, _) => format!(
            "set `AllowTcpForwarding yes` (or `local`) in sshd_config (and look for DisableForwarding), have {permit}, and take `restrict` or `no-port-forwarding` off the key; then reload sshd"
        ),
    }
}

/// The words of resolvers, of this machine's and of OpenSSH's servers.
fn does_not_resolve(words: &str) -> bool {
    [
        "Name or service not known",
        "failed to lookup",
        "not resolve",
        "Temporary failure in name resolution",
        "No address associated",
    ]
    .iter()
    .any(|known| words.contains(known))
}
