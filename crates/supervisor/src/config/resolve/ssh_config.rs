//! `ssh_config`: `host` is the argument of `ssh`. What the tunnel's own keys say wins.

use tunnel_engine::spec::{Destination, Route, SessionSpec};

use super::{TableReader, defaults};
use crate::config::environment::Environment;
use crate::config::file::{self, WritableByOthers};
use crate::config::reader::path;
use crate::config::value::{ReadResult, Value};
use crate::spec::settings::Settings;
use crate::sshconfig::{ConfigFiles, FileCache, ProxyRoute, Query, Resolved, resolve};

/// `true`, `false` or a path.
pub(super) fn files(value: Value<'_>, environment: &Environment) -> ReadResult<Option<ConfigFiles>> {
    match value.raw().as_bool() {
        Some(true) => Ok(Some(ConfigFiles::Usual)),
        Some(false) => Ok(None),
        None if value.raw().as_str().is_some() => {
            let path = path(value, environment)?;
            // An included folder is empty to ssh, and to us; one that is named is a mistake.
            if path.is_dir() {
                return value.refuse(
                    format!("`{}` cannot be read: it is a folder", path.display()),
                    "name the ssh_config to read",
                );
            }
            match file::exposed(&path) {
                Some(WritableByOthers { what, hint }) => value.refuse(what, hint),
                None => Ok(Some(ConfigFiles::One(path))),
            }
        }
        None => value.refuse(
            "expected true, false or a path",
            "`true` reads ~/.ssh/config and then /etc/ssh/ssh_config; a path reads that file alone",
        ),
    }
}

/// A host, and the keys that files and tokens can depend on.
pub(super) struct HostQuery<'a, 'v> {
    pub(super) host: Value<'v>,
    pub(super) user: Option<&'a str>,
    pub(super) port: Option<u16>,
    pub(super) settings: &'a Settings,
    pub(super) files: ConfigFiles,
}

impl HostQuery<'_, '_> {
    pub(super) fn ask(self, reader: &TableReader<'_>, library: &FileCache) -> ReadResult<Resolved> {
        /// Stands for a port that the text does not name; no config can contain it.
        const NO_PORT: u16 = 0;
        let text = self.host.word()?;
        let typed = Destination::parse_or(text, self.user.unwrap_or("-"), NO_PORT)
            .or_else(|error| self.host.refuse(error.to_string(), "write a Host alias, a name or an address"))?;
        let user = if text.contains('@') { Some(typed.user.as_str()) } else { self.user };
        let port = if typed.port == NO_PORT { self.port } else { Some(typed.port) };
        let mut query = Query::new(typed.host.clone(), self.files);
        let port = port.map(|port| port.to_string());
        let span = |key| reader.value(key).unwrap_or(self.host).span();
        let hops;
        let key_alias = self.settings.get("host_key_alias").and_then(|tunnel| tunnel.session.host_key.alias.as_deref());
        let mut given = vec![
            ("User", user, span("user")),
            ("Port", port.as_deref(), span("port")),
            ("HostKeyAlias", key_alias, span("host_key_alias")),
        ];
        match reader.rivals(["proxy_jump", "proxy_command"]) {
            [Some(value), _] | [None, Some(value)] if value.raw().as_str() == Some("none") => {
                given.extend(["ProxyJump", "ProxyCommand"].map(|name| (name, Some("none"), value.span())));
            }
            [Some(jump), _] => {
                let each = jump.each(|hop| match hop.raw().is_table() {
                    true => hop.refuse(
                        "beside `ssh_config`, a jump host has no keys of its own here",
                        "write `user@host:port`, and the rest into its Host block",
                    ),
                    false => hop.word(),
                })?;
                hops = each.join(",");
                given.push(("ProxyJump", Some(&hops), jump.span()));
            }
            [None, Some(command)] => given.push(("ProxyCommand", command.raw().as_str(), command.span())),
            [None, None] => {}
        }
        for (name, value, span) in given {
            if let Some(value) = value {
                query.give(name, value, span).map_err(|error| vec![error])?;
            }
        }
        resolve(&query, library, &reader.environment.facts())
    }
}

/// Whom and where ssh would log in.
pub(super) fn destination(host: Value<'_>, resolved: &Resolved) -> ReadResult<Destination> {
    if resolved.user.is_empty() {
        let what = "there is no user to log in as: the account that runs tunneld has no name";
        return host.refuse(what, "add `user`, or `User` to the Host block");
    }
    Ok(destination_of(resolved))
}

fn destination_of(resolved: &Resolved) -> Destination {
    Destination { user: resolved.user.clone(), host: resolved.host.clone(), port: resolved.port }
}

/// The session to a host: the tunnel's keys before those of its Host blocks.
pub(super) fn session(
    resolved: &Resolved,
    destination: Destination,
    settings: &Settings,
    environment: &Environment,
) -> SessionSpec {
    let via = via(resolved, settings, environment);
    settings.clone().or(resolved.settings.clone()).session(defaults::tunnel(destination, environment), via)
}

/// The session to a host of which only ssh_config says something: a command line of ssh's has been read like a file.
/// `weaker` holds where it says nothing, for jump hosts too.
pub(in crate::config) fn session_by_itself(
    resolved: &Resolved,
    weaker: &Settings,
    environment: &Environment,
) -> SessionSpec {
    let via = via(resolved, weaker, environment);
    let usual = defaults::tunnel(destination_of(resolved), environment);
    resolved.settings.clone().or(weaker.clone()).session(usual, via)
}

/// A jump host has Host blocks of its own, which win: as ssh, which hands it no option. What they leave open follows
/// the tunnel's keys, as it does without ssh_config.
fn via(resolved: &Resolved, settings: &Settings, environment: &Environment) -> Route {
    match &resolved.way {
        ProxyRoute::Direct => Route::Direct,
        ProxyRoute::Command(command) => Route::Command(command.clone()),
        ProxyRoute::Jump(jump) => {
            Route::Jump(Box::new(session_by_itself(jump, &settings.clone().of_jump_hosts(), environment)))
        }
    }
}
