//! `container`: what a container's image starts. It needs no shell, and a daemon that is started otherwise never looks at
//! these variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::args::GlobalArgs;
use super::problem::{Problem, print};
use super::run::{self, ConfigSource};
use crate::container::{self, AUTOSSH_IMAGE, PathKind, SSH_IMAGE};
use crate::{config, exit};

/// What `--help` adds.
pub(super) const HELP: &str = "\
Variables of jnovack/autossh, with its defaults:
  SSH_REMOTE_HOST, SSH_REMOTE_USER (root), SSH_REMOTE_PORT (22)    the server
  SSH_MODE (-R, or -L), SSH_BIND_IP (127.0.0.1), SSH_TUNNEL_PORT   where the tunnel begins
  SSH_TARGET_HOST (localhost), SSH_TARGET_PORT (22)                where it leads
  SSH_KEY_FILE (/id_rsa), SSH_KNOWN_HOSTS_FILE (/known_hosts; without it any host key is believed)
  SSH_SERVER_ALIVE_INTERVAL (10), SSH_SERVER_ALIVE_COUNT_MAX (3), SSH_STRICT_HOST_IP_CHECK, SSH_OPTIONS, AUTOSSH_*
  and the names of its version 1
Variables of cagataygurturk/docker-ssh-tunnel:
  TUNNEL_HOST, LOCAL_PORT, REMOTE_HOST, REMOTE_PORT, SSH_DEBUG
Anything more is in a config file: mount it as /etc/tunneld.toml.";

/// What a log and an error call the environment.
const ENVIRONMENT: &str = "environment";

pub(super) fn run(global: &GlobalArgs, only_print: bool) -> Result<u8, Problem> {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let variables: BTreeMap<String, String> = variables.collect();
    let command = container::command(&variables, &PathKind::at);
    let (command, file) = match (command, global.existing_config()) {
        // A file that is named wins, as a flag does over the environment elsewhere.
        (_, Ok(file)) if global.config.is_some() => return by_file(global, file, only_print),
        (Ok(None), Ok(file)) => return by_file(global, file, only_print),
        (Ok(None), Err(missing)) => return Err(nothing(&missing)),
        (Err(errors), _) => return Err(Problem::Environment(errors.join("\n"))),
        (Ok(Some(command)), file) => (command, file),
    };
    if let Ok(file) = file {
        let both =
            format!("`{}` is there, and variables of {} are set: leave out one of them", file.display(), command.image);
        return Err(Problem::Environment(both));
    }
    let text = container::toml(&command, &config::facts()).map_err(|error| Problem::Environment(error.to_string()))?;
    if only_print {
        return print(&text).map(|()| exit::OK);
    }
    run::run_by(global, ConfigSource::Text { name: ENVIRONMENT.into(), text, notes: command.notes })
}

fn by_file(global: &GlobalArgs, file: PathBuf, only_print: bool) -> Result<u8, Problem> {
    if only_print {
        return Err(Problem::No(format!("the config is the file `{}`, not the environment", file.display())));
    }
    run::run_by(global, ConfigSource::File(file))
}

fn nothing(missing: &Problem) -> Problem {
    let variables = format!("no variable of {AUTOSSH_IMAGE} or {SSH_IMAGE} is set");
    let first = missing.to_string();
    let first = first.lines().next().unwrap_or_default();
    Problem::Environment(format!(
        "{first}, and {variables}: mount a config as /etc/tunneld.toml, or set SSH_REMOTE_HOST"
    ))
}
