//! The names of variables: the images', ssh's own, and what is neither.

use std::collections::BTreeMap;

/// github.com/jnovack/autossh.
pub(crate) const AUTOSSH_IMAGE: &str = "jnovack/autossh";
/// github.com/cagataygurturk/docker-ssh-tunnel.
pub(crate) const SSH_IMAGE: &str = "cagataygurturk/docker-ssh-tunnel";

/// The variable of [`SSH_IMAGE`] without which it does nothing. Its others have names that many programs use.
pub(super) const TUNNEL_HOST: &str = "TUNNEL_HOST";

/// [`AUTOSSH_IMAGE`]'s, as version 2 documents them, and those of version 1.
pub(super) const OF_AUTOSSH: &[&str] = &[
    "SSH_REMOTE_HOST",
    "SSH_REMOTE_USER",
    "SSH_REMOTE_PORT",
    "SSH_MODE",
    "SSH_BIND_IP",
    "SSH_TUNNEL_PORT",
    "SSH_TARGET_HOST",
    "SSH_TARGET_PORT",
    "SSH_KEY_FILE",
    "SSH_KNOWN_HOSTS_FILE",
    "SSH_STRICT_HOST_IP_CHECK",
    "SSH_SERVER_ALIVE_INTERVAL",
    "SSH_SERVER_ALIVE_COUNT_MAX",
    "SSH_OPTIONS",
    "SSH_HOSTNAME",
    "SSH_HOSTUSER",
    "SSH_HOSTPORT",
    "SSH_TUNNEL_REMOTE",
    "SSH_TUNNEL_HOST",
    "SSH_TUNNEL_LOCAL",
    "SSH_KNOWN_HOSTS",
];

/// [`SSH_IMAGE`]'s variable with the prefix of ssh.
pub(super) const SSH_DEBUG: &str = "SSH_DEBUG";

/// What ssh, sshd and ssh-agent themselves set or read: about other things.
const OF_SSH: &[&str] = &[
    "SSH_AGENT_PID",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SSH_AUTH_SOCK",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_ORIGINAL_COMMAND",
    "SSH_SK_HELPER",
    "SSH_SK_PROVIDER",
    "SSH_TTY",
    "SSH_TUNNEL",
    "SSH_USER_AUTH",
];

/// Names with ssh's prefix that mean nothing, each with what was probably meant. Their values may be secrets and are not
/// looked at further than for an address that Kubernetes or docker wrote.
pub(super) fn unknown(environment: &BTreeMap<String, String>) -> Vec<String> {
    let ours = |name: &str| OF_AUTOSSH.contains(&name) || OF_SSH.contains(&name) || name == SSH_DEBUG;
    let unknown = environment
        .iter()
        .filter(|(name, value)| name.starts_with("SSH_") && !ours(name) && !is_service_link(name, value));
    unknown.map(|(name, _)| format!("{name} is no variable of {AUTOSSH_IMAGE}: {}", advice(name))).collect()
}

fn advice(name: &str) -> String {
    const SECRETS: [&str; 3] = ["PASS", "PRIVATE", "SSH_KEY"];
    if SECRETS.iter().any(|part| name.contains(part)) {
        return "the environment is no place for a secret; mount a private key, and name its file in SSH_KEY_FILE"
            .to_owned();
    }
    match crate::config::did_you_mean(name, OF_AUTOSSH) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "leave it out; `tunneld container --help` lists what is read".to_owned(),
    }
}

/// A service, or linked container, that is called `ssh…`: its addresses are in the environment of all its neighbours.
fn is_service_link(name: &str, value: &str) -> bool {
    let part = |part: &str| name.contains(part);
    part("_SERVICE_HOST")
        || part("_SERVICE_PORT")
        || (part("_PORT") && (value.starts_with("tcp://") || value.starts_with("udp://")))
        || ["_TCP", "_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO", "_UDP", "_UDP_ADDR", "_UDP_PORT", "_UDP_PROTO"]
            .iter()
            .any(|end| name.ends_with(end) && part("_PORT_"))
}
