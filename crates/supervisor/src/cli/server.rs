//! Which server a word of the command line stands for: one of the config's, with its route and its rules, or one that ssh
//! would reach by that word.

use std::fs::File;

use tunnel_engine::spec::{Destination, SessionSpec};

use super::args::GlobalArgs;
use super::problem::Problem;
use super::run::overrides;
use crate::config::{self, Desired, Overrides, Settings, TunnelSpec};
use crate::spec::on_route;
use crate::sshconfig::{ConfigFiles, FileCache, Query, resolve};

/// The config, where there is one: a default that does not exist, or that this user may not read, is none.
/// Credentials of the service may be missing: a host key is looked at without them.
pub(super) fn config_if_any(global: &GlobalArgs) -> Result<Option<Desired>, Problem> {
    let path = global.config_file();
    if global.config.is_none() && File::open(&path).is_err() {
        return Ok(None);
    }
    let overrides = Overrides { credentials: Some(config::SERVICE_CREDENTIALS.into()), ..overrides(global) };
    config::load(&path, &overrides).map(Some).map_err(Problem::Config)
}

/// The session to `[user@]host[:port]` or to a tunnel's server by the tunnel's name. Jump hosts of the config count.
pub(super) fn named(text: &str, desired: Option<&Desired>) -> Result<SessionSpec, Problem> {
    let tunnels = desired.map(|desired| desired.tunnels.as_slice()).unwrap_or_default();
    if let Some(tunnel) = tunnels.iter().find(|tunnel| tunnel.name == text) {
        return Ok(tunnel.session.clone());
    }
    match of_config(&destination(text)?, tunnels)? {
        Some(session) => Ok(session),
        None => by_ssh_config(text),
    }
}

/// The session of the config to that host, of any login there; `None`: the config has none.
pub(super) fn at(text: &str, desired: &Desired) -> Result<Option<SessionSpec>, Problem> {
    let typed = Destination { user: UNNAMED_USER.to_owned(), ..destination(text)? };
    of_config(&typed, &desired.tunnels)
}

fn destination(text: &str) -> Result<Destination, Problem> {
    Destination::parse_or(text, UNNAMED_USER, UNNAMED_PORT).map_err(|error| Problem::Usage(error.to_string()))
}

fn of_config(typed: &Destination, tunnels: &[TunnelSpec]) -> Result<Option<SessionSpec>, Problem> {
    let mut found: Vec<&SessionSpec> = Vec::new();
    for session in tunnels.iter().flat_map(|tunnel| tunnel.servers()).flat_map(on_route) {
        // One server may be reached by several tunnels; the first says how.
        if is(&session.destination, typed) && !found.iter().any(|known| same_server(known, session)) {
            found.push(session);
        }
    }
    let usual = found.iter().find(|session| session.destination.port == Destination::DEFAULT_PORT);
    match (found.as_slice(), usual) {
        ([], _) => Ok(None),
        ([session], _) => Ok(Some((*session).clone())),
        (_, Some(session)) => Ok(Some((*session).clone())),
        (several, None) => {
            let names: Vec<_> =
                several.iter().map(|session| format!("`{}`", session.destination.host_port())).collect();
            Err(Problem::Usage(format!(
                "the config has several servers of that name: {}; name the port",
                names.join(", ")
            )))
        }
    }
}

/// What ssh would do for the word, whatever the config says.
pub(super) fn by_ssh_config(text: &str) -> Result<SessionSpec, Problem> {
    let errors = |errors| Problem::Config(config::ConfigErrors::new(errors));
    let query = Query::typed(text, ConfigFiles::Usual).map_err(errors)?;
    let resolved = resolve(&query, &FileCache::default(), &config::facts()).map_err(errors)?;
    Ok(config::session_by_ssh_config(&resolved, &Settings::default()))
}

/// Stand for what is not typed; no user can write either.
const UNNAMED_USER: &str = "-";
const UNNAMED_PORT: u16 = 0;

fn is(destination: &Destination, typed: &Destination) -> bool {
    destination.canonical_host().eq_ignore_ascii_case(&typed.canonical_host())
        && (typed.port == UNNAMED_PORT || typed.port == destination.port)
        && (typed.user == UNNAMED_USER || typed.user == destination.user)
}

fn same_server(one: &SessionSpec, other: &SessionSpec) -> bool {
    one.destination.host_port() == other.destination.host_port()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tunnel_engine::spec::Route;

    use super::*;
    use crate::config::load_text;

    const CONFIG: &str = r#"
        [[tunnel]]
        name = "db"
        host = "Inner.example"
        port = 2222
        proxy_jump = "hop@bastion.example:2200"
        user_known_hosts_file = "/k"
        local_forward = ["1:a:1"]
        [[tunnel]]
        name = "two"
        hosts = ["many.example:1", "many.example:2"]
        local_forward = ["2:a:1"]
    "#;

    #[test]
    fn config_is_used_although_its_credentials_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tunneld.toml");
        std::fs::write(&file, CONFIG.replace("[[tunnel]]", "[[tunnel]]\nidentity_file = 'credential:key'")).unwrap();
        let global = GlobalArgs { config: Some(file), ..GlobalArgs::default() };
        let desired = config_if_any(&global).unwrap();
        let session = named("db", desired.as_ref()).unwrap();
        assert_eq!(session.host_key.user_known_hosts, [Path::new("/k")]);
    }

    #[test]
    fn server_of_the_config_keeps_its_route_and_rules() {
        let desired = load_text(Path::new("/c.toml"), CONFIG, &Overrides::default()).unwrap();
        let found = |text: &str| named(text, Some(&desired)).map(|spec| spec.destination.host_port());
        for text in ["inner.example", "inner.example:2222", "db"] {
            assert_eq!(found(text).unwrap(), "Inner.example:2222", "{text}");
            let spec = named(text, Some(&desired)).unwrap();
            assert!(matches!(spec.dial.via, Route::Jump(_)), "{text}");
            assert_eq!(spec.host_key.user_known_hosts, [Path::new("/k")], "{text}");
        }
        assert_eq!(found("bastion.example").unwrap(), "bastion.example:2200");
        assert_eq!(found("many.example:2").unwrap(), "many.example:2");
        let several = found("many.example").unwrap_err().to_string();
        assert!(several.contains("`many.example:1`, `many.example:2`"), "{several}");
        assert_eq!(found("inner.example:22").unwrap(), "inner.example:22", "another server, by ssh_config");
    }
}
