//! ssh's own defaults, from the home of the account that runs tunneld.

use std::path::{Path, PathBuf};

use tunnel_engine::spec::{AgentSpec, Destination, IdentitySpec, SessionSpec};

use crate::config::environment::Environment;
use crate::spec::TunnelSpec;

/// The files that ssh tries in this order (ssh_config(5), IdentityFile). The security key types are left out: their
/// touch at every login needs a person, and russh reads them only through an agent.
const IDENTITIES: &[&str] = &["id_rsa", "id_ecdsa", "id_ed25519"];

const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// A tunnel to this server of which no source sets anything.
pub(in crate::config) fn tunnel(destination: Destination, environment: &Environment) -> TunnelSpec {
    let mut session = SessionSpec::to(destination);
    if let Some(home) = &environment.home {
        session.auth.identities = identities_of(home);
        session.host_key.user_known_hosts = user_known_hosts_of(home);
    }
    session.auth.agent = agent(environment);
    session.host_key.global_known_hosts = GLOBAL_KNOWN_HOSTS.map(PathBuf::from).into();
    TunnelSpec::new(String::new(), session)
}

/// Of the account with this home.
pub(crate) fn identities_of(home: &Path) -> Vec<IdentitySpec> {
    in_ssh_folder(home, IDENTITIES).map(|path| IdentitySpec { path, explicit: false }).collect()
}

/// Of the account with this home.
pub(crate) fn user_known_hosts_of(home: &Path) -> Vec<PathBuf> {
    in_ssh_folder(home, &["known_hosts", "known_hosts2"]).collect()
}

pub(super) fn agent(environment: &Environment) -> AgentSpec {
    environment.variable("SSH_AUTH_SOCK").map_or(AgentSpec::None, |socket| AgentSpec::Socket(Path::new(socket).into()))
}

fn in_ssh_folder(home: &Path, names: &[&str]) -> impl Iterator<Item = PathBuf> {
    names.iter().map(|name| home.join(".ssh").join(name))
}
