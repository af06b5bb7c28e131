//! What stays the same of a tunnel over restarts of the program and of the machine.

use sha1::{Digest as _, Sha1};

use crate::config::TunnelSpec;

/// Hex digits of a mark: more than enough for the tunnels of one account.
const DIGITS: usize = 24;

/// `tunneld:` and a digest of machine, user, tunnel and server: the server's other users may read it.
pub(in crate::tunnel) fn mark(spec: &TunnelSpec) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = nix::unistd::gethostname().unwrap_or_default();
    digest(&[
        machine.trim(),
        &host.to_string_lossy(),
        &nix::unistd::getuid().to_string(),
        &spec.name,
        &spec.session.destination.to_string(),
    ])
}

fn digest(parts: &[&str]) -> String {
    let hash = Sha1::digest(parts.join("\n"));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("tunneld:{}", &hex[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::test_support::tunnel_spec;

    #[test]
    fn mark_is_stable_and_unique_per_tunnel_and_server() {
        let spec = tunnel_spec("t", &[]);
        assert_eq!(mark(&spec), mark(&spec));
        assert_ne!(mark(&spec), mark(&tunnel_spec("u", &[])));
        let mut elsewhere = spec.clone();
        elsewhere.session.destination.host = "elsewhere".to_owned();
        assert_ne!(mark(&spec), mark(&elsewhere));
        assert!(mark(&spec).chars().all(|c| c.is_ascii_alphanumeric() || c == ':'), "safe in any shell");
    }
}
