//! Whole configs in, `Desired` or diagnostics out.

mod bad;
mod good;

use std::path::Path;

use super::environment::Environment;
use super::load::load_text_in;
use super::{ConfigErrors, Desired, Overrides, TunnelSpec};

fn environment() -> Environment {
    let variables = [("KEYS", "/keys"), ("PORT", "3307"), ("CREDENTIALS_DIRECTORY", "/run/cred")];
    Environment {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        user: Some("me".to_owned()),
        home: Some("/home/me".into()),
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

/// `LINE:COLUMN: what` of every error.
fn problems(text: &str) -> Vec<String> {
    let errors = match read(text) {
        Ok(desired) => panic!("no error in {text}\n{desired:?}"),
        Err(errors) => errors,
    };
    let problem = |error: &super::ConfigError| match error.line_and_column() {
        Some((line, column)) => format!("{line}:{column}: {}", error.what()),
        None => error.what().to_owned(),
    };
    errors.iter().map(problem).collect()
}
