//! The variables of jnovack/autossh, versions 2 and 1, with its defaults. What differs is in docs/containers.md.

use tunnel_engine::spec::ForwardKind;

use super::names::AUTOSSH_IMAGE;
use super::variables::{Variables, in_forward};
use super::{ImageCommand, PathKind};
use crate::autossh::argv::Dialect;
use crate::autossh::settings::quoted;
use crate::import::Invocation;

/// Where the key and the known hosts are mounted unless a variable says otherwise.
const KEY_FILE: &str = "/id_rsa";
const KNOWN_HOSTS_FILE: &str = "/known_hosts";

const ALIVE_INTERVAL: &str = "10";
const ALIVE_COUNT_MAX: &str = "3";

pub(super) fn command(variables: &mut Variables<'_>) -> ImageCommand {
    let mut words: Vec<String> = ["-M", "0", "-N"].map(str::to_owned).to_vec();
    words.extend(host_key_check(variables));
    words.extend(keepalive(variables));
    words.extend(["-i".to_owned(), key_file(variables)]);
    words.extend(forward(variables));
    words.extend(destination(variables));
    words.extend(variables.options("SSH_OPTIONS"));
    let invocation = Invocation::of_words(Dialect::Autossh, words);
    ImageCommand { image: AUTOSSH_IMAGE, invocation, notes: std::mem::take(&mut variables.notes) }
}

/// With a file of known hosts it alone counts, without one any key is believed: as the image documents. A file that is
/// named has to be there: the image goes on without a check.
fn host_key_check(variables: &mut Variables<'_>) -> Vec<String> {
    match variables.get("SSH_STRICT_HOST_IP_CHECK") {
        None | Some("false" | "no") => {}
        Some("true" | "yes") => variables.notes.push(
            "SSH_STRICT_HOST_IP_CHECK: host keys are looked up by name, not by address too, as in ssh since 8.5"
                .to_owned(),
        ),
        Some(value) => variables.errors.push(format!("SSH_STRICT_HOST_IP_CHECK: `{value}` is neither true nor false")),
    }
    let (name, named) = of_two(variables, "SSH_KNOWN_HOSTS_FILE", "SSH_KNOWN_HOSTS");
    let file = named.unwrap_or(KNOWN_HOSTS_FILE);
    let check = match variables.found(file) {
        PathKind::File => format!("UserKnownHostsFile={}", quoted(file)),
        PathKind::Folder => {
            variables.errors.push(format!("{name}: `{file}` {IS_FOLDER}"));
            return Vec::new();
        }
        PathKind::Nothing if named.is_some() => {
            variables.errors.push(format!("{name}: `{file}` is not there, or may not be looked at: mount it"));
            return Vec::new();
        }
        PathKind::Nothing => {
            variables.notes.push(format!("any host key is believed: mount the server's into {KNOWN_HOSTS_FILE}"));
            return ["-o", "StrictHostKeyChecking=no"].map(str::to_owned).to_vec();
        }
    };
    ["-o", "StrictHostKeyChecking=yes", "-o", &check].map(str::to_owned).to_vec()
}

const IS_FOLDER: &str = "is a folder: docker makes one where the host does not have the file that is to be mounted";

fn key_file(variables: &mut Variables<'_>) -> String {
    let file = variables.get("SSH_KEY_FILE").unwrap_or(KEY_FILE);
    match variables.found(file) {
        PathKind::File => {}
        PathKind::Folder => variables.errors.push(format!("SSH_KEY_FILE: `{file}` {IS_FOLDER}")),
        PathKind::Nothing => variables.errors.push(format!(
            "there is no key `{file}`, or it may not be looked at: mount it, or name it in SSH_KEY_FILE"
        )),
    }
    file.to_owned()
}

/// Version 1 had these two without the prefix, which are too common names to be errors or to tell the image by.
fn keepalive(variables: &mut Variables<'_>) -> Vec<String> {
    let mut words = Vec::new();
    for (keyword, name, old, default) in [
        ("ServerAliveInterval", "SSH_SERVER_ALIVE_INTERVAL", "SERVER_ALIVE_INTERVAL", ALIVE_INTERVAL),
        ("ServerAliveCountMax", "SSH_SERVER_ALIVE_COUNT_MAX", "SERVER_ALIVE_COUNT_MAX", ALIVE_COUNT_MAX),
    ] {
        let (name, value) = of_two(variables, name, old);
        let value = value.unwrap_or(default);
        variables.check_number(name, value);
        words.extend(["-o".to_owned(), format!("{keyword}={value}")]);
    }
    words
}

fn forward(variables: &mut Variables<'_>) -> [String; 2] {
    let mode = match variables.get("SSH_MODE") {
        None | Some("-R") => ForwardKind::Remote,
        Some("-L") => ForwardKind::Local,
        Some(value) => {
            let wrong = format!("SSH_MODE: `{value}` is neither -R nor -L: for a SOCKS proxy mount a config");
            variables.errors.push(wrong);
            ForwardKind::Remote
        }
    };
    let listen = listen(variables, mode);
    let (host_name, host) = of_two(variables, "SSH_TARGET_HOST", "SSH_TUNNEL_HOST");
    let (port_name, port) = of_two(variables, "SSH_TARGET_PORT", "SSH_TUNNEL_LOCAL");
    let (host, port) = (host.unwrap_or("localhost"), port.unwrap_or("22"));
    variables.check_word(host_name, host);
    variables.check_port(port_name, port, 1);
    [mode.option().to_owned(), format!("{listen}:{}:{port}", in_forward(host))]
}

/// `address:port`, or what version 1 has of the two in one variable. Without a port the server chooses, and keeps the
/// choice for as long as it can; the image draws one at each start.
fn listen(variables: &mut Variables<'_>, mode: ForwardKind) -> String {
    let bind = variables.get("SSH_BIND_IP");
    let (name, port) = of_two(variables, "SSH_TUNNEL_PORT", "SSH_TUNNEL_REMOTE");
    let old = name == "SSH_TUNNEL_REMOTE";
    if mode == ForwardKind::Local && port.is_none() {
        let missing = "SSH_TUNNEL_PORT is not set: with SSH_MODE=-L it is the port to listen on";
        variables.errors.push(missing.to_owned());
        return String::new();
    }
    if mode == ForwardKind::Remote && bind.is_some() {
        variables.notes.push("SSH_BIND_IP: the server has to allow it with GatewayPorts".to_owned());
    }
    let (own, port) = match port.unwrap_or("0").rsplit_once(':') {
        Some((own, port)) if old => (Some(own), port),
        _ => (None, port.unwrap_or("0")),
    };
    variables.check_port(name, port, if mode == ForwardKind::Remote { 0 } else { 1 });
    match bind.or(own) {
        Some(address) => format!("{}:{port}", in_forward(address)),
        None if old => port.to_owned(),
        None => format!("127.0.0.1:{port}"),
    }
}

fn destination(variables: &mut Variables<'_>) -> Vec<String> {
    let (user_name, user) = of_two(variables, "SSH_REMOTE_USER", "SSH_HOSTUSER");
    let (host_name, host) = of_two(variables, "SSH_REMOTE_HOST", "SSH_HOSTNAME");
    let (port_name, port) = of_two(variables, "SSH_REMOTE_PORT", "SSH_HOSTPORT");
    let (user, host, port) = (user.unwrap_or("root"), host.unwrap_or("localhost"), port.unwrap_or("22"));
    variables.check_word(user_name, user);
    variables.check_word(host_name, host);
    variables.check_port(port_name, port, 1);
    ["-p", port, "-l", user, host].map(str::to_owned).to_vec()
}

/// A variable, or the one that it was in version 1: the name that is set, and its value.
fn of_two<'a>(variables: &mut Variables<'a>, name: &'static str, old: &'static str) -> (&'static str, Option<&'a str>) {
    match (variables.get(name), variables.get(old)) {
        (Some(value), Some(other)) if value != other => {
            variables.errors.push(format!("{old} is an older name of {name}, and says something else: leave it out"));
            (name, Some(value))
        }
        (None, Some(value)) => (old, Some(value)),
        (value, _) => (name, value),
    }
}
