//! `ssh_config`: `host` is what somebody would type after `ssh`. What the tunnel's own keys say wins.

use tunnel_engine::spec::{Destination, SessionSpec, Via};

use super::wishes::{self, Own};
use super::{Reader, hops};
use crate::config::environment::Environment;
use crate::config::reader::path;
use crate::config::value::{Read, Value};
use crate::sshconfig::{Files, Library, Query, Resolved, Way, Wishes, resolve};

/// `true`, `false` or a path.
pub(super) fn files(value: Value<'_>, environment: &Environment) -> Read<Option<Files>> {
    match value.raw().as_bool() {
        Some(true) => Ok(Some(Files::Usual)),
        Some(false) => Ok(None),
        None if value.raw().as_str().is_some() => path(value, environment).map(|path| Some(Files::One(path))),
        None => value.refuse(
            "expected true, false or a path",
            "`true` reads ~/.ssh/config and then /etc/ssh/ssh_config; a path reads that file alone",
        ),
    }
}

/// A host, and the keys that files and tokens can depend on.
pub(super) struct Question<'a, 'v> {
    pub(super) host: Value<'v>,
    pub(super) user: Option<&'a str>,
    pub(super) port: Option<u16>,
    pub(super) wishes: &'a Wishes,
    pub(super) files: Files,
}

impl Question<'_, '_> {
    pub(super) fn ask(self, reader: &Reader<'_>, library: &Library) -> Read<Resolved> {
        /// Stands for a port that the text does not name; nobody can write it.
        const NO_PORT: u16 = 0;
        let text = self.host.word()?;
        let typed = Destination::parse_or(text, self.user.unwrap_or("-"), NO_PORT)
            .or_else(|error| self.host.refuse(error.to_string(), "write a Host alias, a name or an address"))?;
        let user = if text.contains('@') { Some(typed.user.as_str()) } else { self.user };
        let port = if typed.port == NO_PORT { self.port } else { Some(typed.port) };
        let mut query = Query::new(typed.host.clone(), self.files);
        let port = port.map(|port| port.to_string());
        let place = |key| reader.value(key).unwrap_or(self.host).place();
        let hops;
        let mut given = vec![
            ("User", user, place("user")),
            ("Port", port.as_deref(), place("port")),
            ("HostKeyAlias", self.wishes.host_key_alias.as_deref(), place("host_key_alias")),
        ];
        match reader.rivals(["proxy_jump", "proxy_command"]) {
            [Some(value), _] | [None, Some(value)] if value.raw().as_str() == Some("none") => {
                given.extend(["ProxyJump", "ProxyCommand"].map(|name| (name, Some("none"), value.place())));
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
                given.push(("ProxyJump", Some(&hops), jump.place()));
            }
            [None, Some(command)] => given.push(("ProxyCommand", command.raw().as_str(), command.place())),
            [None, None] => {}
        }
        for (name, value, place) in given {
            if let Some(value) = value {
                query.give(name, value, place).map_err(|error| vec![error])?;
            }
        }
        resolve(&query, library, &reader.environment.facts())
    }
}

/// Whom and where ssh would log in.
pub(super) fn destination(host: Value<'_>, resolved: &Resolved) -> Read<Destination> {
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
    wishes: &Wishes,
    own: &Own,
    environment: &Environment,
) -> SessionSpec {
    let mut session =
        wishes::session(destination, wishes.clone().or(resolved.wishes.clone()), own.clone(), environment);
    session.dial.via = via(resolved, wishes, own, environment);
    hops::keep_bind_address(&mut session.dial);
    session
}

/// The session to a host of which only ssh_config says something: a command line of ssh's has been read like a file.
/// `defaults` hold for whoever says nothing, jump hosts too.
pub(in crate::config) fn session_by_itself(
    resolved: &Resolved,
    defaults: &Wishes,
    environment: &Environment,
) -> SessionSpec {
    let wishes = resolved.wishes.clone().or(defaults.clone());
    let mut session = wishes::session(destination_of(resolved), wishes, Own::default(), environment);
    session.dial.via = via(resolved, defaults, &Own::default(), environment);
    session
}

/// A jump host has Host blocks of its own, which win: as ssh, which hands it no option. What they leave open follows
/// the tunnel's keys, as it does without ssh_config.
fn via(resolved: &Resolved, wishes: &Wishes, own: &Own, environment: &Environment) -> Via {
    match &resolved.way {
        Way::Direct => Via::Direct,
        Way::Command(command) => Via::Command(command.clone()),
        Way::Jump(jump) => {
            let inherited = Wishes { host_key_alias: None, compression: None, ..wishes.clone() };
            let settings = jump.wishes.clone().or(inherited);
            let mut session = wishes::session(destination_of(jump), settings, own.for_jump(), environment);
            session.dial.via = via(jump, wishes, own, environment);
            hops::keep_bind_address(&mut session.dial);
            Via::Jump(Box::new(session))
        }
    }
}
