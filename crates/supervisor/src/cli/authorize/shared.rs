//! Tunnels that log in as the same user of one server. sshd goes by the first Match block of a login and by the first line
//! of a key, so there is one of each, for all that they need.

use tunnel_engine::auth::{Credential, Credentials, credentials};
use tunnel_engine::spec::AuthSpec;

use super::needs::{self, LoginServer, Needs};
use crate::config::TunnelSpec;

/// A login of a tunnel's route.
pub(super) struct SharedLogin {
    pub(super) login: LoginServer,
    /// What it shows there.
    pub(super) credentials: Credentials,
    /// The tunnels of the config that log in there so, in its order, this one among them.
    pub(super) uses: Vec<LoginUse>,
}

/// What one tunnel needs of a login.
pub(super) struct LoginUse {
    pub(super) tunnel: String,
    pub(super) needs: Needs,
    /// The keys that have a line for it, without a comment.
    pub(super) keys: Vec<String>,
}

/// The logins of a tunnel among all of the config.
pub(super) async fn logins(tunnel: &TunnelSpec, all: &[TunnelSpec]) -> Vec<SharedLogin> {
    let mut shared = Vec::new();
    for login in needs::logins(tunnel) {
        shared.push(of(login, all).await);
    }
    shared
}

async fn of(login: LoginServer, all: &[TunnelSpec]) -> SharedLogin {
    let shown = credentials(&login.session.auth).await;
    // Most tunnels with the same login have the same keys, too: no agent is asked twice.
    let mut asked: Vec<(AuthSpec, Vec<String>)> = vec![(login.session.auth.clone(), keys(&shown))];
    let mut uses = Vec::new();
    for tunnel in all {
        let same = |other: &LoginServer| other.session.destination == login.session.destination;
        let Some(other) = needs::logins(tunnel).into_iter().find(same) else { continue };
        let known = asked.iter().find(|(auth, _)| *auth == other.session.auth).map(|(_, keys)| keys.clone());
        let keys = match known {
            Some(keys) => keys,
            None => {
                let keys = keys(&credentials(&other.session.auth).await);
                asked.push((other.session.auth, keys.clone()));
                keys
            }
        };
        uses.push(LoginUse { tunnel: tunnel.name.clone(), needs: other.needs, keys });
    }
    SharedLogin { login, credentials: shown, uses }
}

/// Those that have a line each: all that the tunnel names, else the first that it would show.
pub(super) fn authorized(credentials: &Credentials) -> Vec<&Credential> {
    let plain = || credentials.shown.iter().filter(|one| one.certified.is_none());
    let named: Vec<_> = plain().filter(|one| one.named).collect();
    if named.is_empty() { plain().take(1).collect() } else { named }
}

/// The same, with the authorities of certificates.
fn keys(credentials: &Credentials) -> Vec<String> {
    let authorities = credentials.shown.iter().filter_map(|one| one.certified.as_ref());
    let authorities = authorities.map(|certified| certified.authority.clone());
    authorized(credentials).into_iter().map(|one| one.key.clone()).chain(authorities).collect()
}

impl SharedLogin {
    /// What all of them need, for the login's block.
    pub(super) fn needs(&self) -> Needs {
        together(self.uses.iter())
    }

    /// What those with this key need, for its line, and their names.
    pub(super) fn of_key(&self, key: &str) -> (Needs, Vec<&str>) {
        let with_key = || self.uses.iter().filter(|one| one.keys.iter().any(|own| own == key));
        (together(with_key()), with_key().map(|one| one.tunnel.as_str()).collect())
    }

    /// Names of the other tunnels.
    pub(super) fn others(&self, tunnel: &str) -> Vec<&str> {
        self.uses.iter().map(|one| one.tunnel.as_str()).filter(|name| *name != tunnel).collect()
    }
}

fn together<'a>(uses: impl Iterator<Item = &'a LoginUse>) -> Needs {
    let mut needs = Needs::default();
    uses.for_each(|one| needs.add(one.needs.clone()));
    needs
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, load_text};

    fn needs_of(uses: &[(&str, &[&str])], lines: &[&str]) -> SharedLogin {
        let tunnel = |(at, lines): (usize, &&str)| format!("[[tunnel]]\nname = \"t{at}\"\nhost = \"u@h\"\n{lines}\n");
        let text: String = lines.iter().enumerate().map(tunnel).collect();
        let desired = load_text(Path::new("/c.toml"), &text, &Overrides::default());
        let desired = desired.unwrap_or_else(|errors| panic!("{errors}"));
        let logins = desired.tunnels.iter().map(|tunnel| needs::logins(tunnel).remove(0));
        let uses = uses.iter().zip(logins.clone()).map(|((tunnel, keys), login)| LoginUse {
            tunnel: (*tunnel).to_owned(),
            needs: login.needs,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        });
        let uses = uses.collect();
        SharedLogin { login: logins.into_iter().next().unwrap(), credentials: Credentials::default(), uses }
    }

    #[test]
    fn block_is_for_all_and_a_line_for_those_with_its_key() {
        let uses: [(&str, &[&str]); 3] = [("t0", &["A"]), ("t1", &["A", "B"]), ("t2", &["B"])];
        let lines = [
            "local_forward = [\"1:db:3306\"]",
            "remote_forward = [\"*:80:a:1\"]",
            "dynamic_forward = [\"1080\"]\non_remote_port_busy = \"takeover\"\nremote_forward = [\"81:a:1\"]",
        ];
        let shared = needs_of(&uses, &lines);
        let (a, names) = shared.of_key("A");
        assert_eq!(names, ["t0", "t1"]);
        assert_eq!(a.listens, [("*".to_owned(), 80)]);
        assert!(a.opens != needs::PermittedOpens::Any && a.gateway && !a.commands);
        let all = shared.needs();
        assert!(all.opens == needs::PermittedOpens::Any && all.gateway && all.commands);
        assert_eq!(all.listens.len(), 2);
        assert_eq!(shared.others("t1"), ["t0", "t2"]);
    }
}
