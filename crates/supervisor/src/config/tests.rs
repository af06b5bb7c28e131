//! Whole configs in, `Desired` or diagnostics out.

mod bad;
mod example;
mod files;
mod good;
mod manual;
mod ssh_config;
mod table;

use std::path::Path;

use super::environment::Environment;
use super::load::{load_in, load_text_in};
use super::{ConfigError, ConfigErrors, Desired, Overrides, TunnelSpec, keys};

fn environment() -> Environment {
    let variables = [("KEYS", "/keys"), ("PORT", "3307"), ("CREDENTIALS_DIRECTORY", "/run/cred")];
    Environment {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        user: Some("me".to_owned()),
        home: Some("/home/me".into()),
        service_credentials: None,
    }
}

fn read(text: &str) -> Result<Desired, ConfigErrors> {
    load_text_in(Path::new("/etc/tunneld.toml"), text, &Overrides::default(), &environment())
}

fn good(text: &str) -> Desired {
    read(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The one tunnel of a config with these keys; one forward is added where they ask for none.
fn tunnel(keys: &str) -> TunnelSpec {
    let forward = if keys.contains("_forward =") { "" } else { "dynamic_forward = '1080'" };
    good(&format!("[[tunnel]]\nname = 'a'\nhost = 'h'\n{forward}\n{keys}")).tunnels.remove(0)
}
