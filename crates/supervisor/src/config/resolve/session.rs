//! The servers of a tunnel, and a session to each.

use std::path::PathBuf;

use tunnel_engine::spec::{Destination, SessionSpec};

use super::ssh_config::{self, HostQuery};
use super::{TableReader, hops};
use crate::config::value::{ReadResult, Value};
use crate::spec::SourceSpan;
use crate::spec::settings::Settings;
use crate::sshconfig::{self, FileCache, Resolved};

/// Far above real numbers of alternative servers; each may cost a `connect_timeout` before the next is tried.
const MAX_HOSTS: usize = 16;

/// A session to each of the hosts, in order of preference.
pub(super) struct Sessions {
    pub(super) first: SessionSpec,
    pub(super) fallbacks: Vec<SessionSpec>,
    /// What ssh_config says about the first of them, where it is read.
    pub(super) alias: Option<Resolved>,
    /// The files of ssh_config that were read for any of them.
    pub(super) files: Vec<PathBuf>,
    /// What it says of any of them and has no effect.
    pub(super) notes: Vec<String>,
}

/// They differ in the destination and what follows from it, and in what ssh_config says about each.
pub(super) fn sessions(
    reader: &mut TableReader<'_>,
    header: Option<&SourceSpan>,
    settings: &Settings,
    library: &FileCache,
) -> Option<Sessions> {
    let port = port(reader);
    let user = reader.read("user", |value| user(value));
    let hosts = hosts(reader, header);
    let way = hops::way(reader);
    let way = reader.note(way);
    let files = reader.read("ssh_config", |value| ssh_config::files(value, reader.environment));
    let mut destinations: Vec<Destination> = Vec::new();
    let (mut sessions, mut first, mut read) = (Vec::new(), None, Vec::new());
    let mut notes: Vec<String> = Vec::new();
    for host in hosts? {
        let aliased = match files.clone().flatten() {
            None => None,
            Some(files) => {
                let question = HostQuery { host, user: user.as_deref(), port, settings, files };
                let answer = question.ask(reader, library);
                Some(reader.note(answer)?)
            }
        };
        read.extend(aliased.iter().flat_map(|resolved| resolved.files.iter().cloned()));
        for note in aliased.iter().flat_map(|resolved| &resolved.notes).map(ToString::to_string) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let destination = match &aliased {
            None => destination(reader, host, user.as_deref(), port)?,
            Some(resolved) => {
                let destination = ssh_config::destination(host, resolved);
                reader.note(destination)?
            }
        };
        if destinations.contains(&destination) {
            reader.errors.push(host.error(format!("`{destination}` is named twice"), "leave it out here"));
            return None;
        }
        destinations.push(destination.clone());
        let session = match &aliased {
            None => hops::session(destination, settings, way.as_ref()?, reader.environment),
            Some(resolved) => Ok(ssh_config::session(resolved, destination, settings, reader.environment)),
        };
        sessions.push(reader.note(session)?);
        first = first.or(aliased);
    }
    let mut sessions = sessions.into_iter();
    let mut files: Vec<PathBuf> = Vec::new();
    for file in read {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    sessions.next().map(|session| Sessions {
        first: session,
        fallbacks: sessions.collect(),
        alias: first,
        files,
        notes,
    })
}

/// A jump host's own table has one host.
pub(super) fn destination_of_jump(reader: &mut TableReader<'_>, header: Option<&SourceSpan>) -> Option<Destination> {
    let port = port(reader);
    let user = reader.read("user", |value| user(value));
    match reader.value("host") {
        Some(host) => destination(reader, host, user.as_deref(), port),
        None => {
            reader.miss(&["host"], header, "the jump host has no host", "add `host = \"…\"`, its name or address");
            None
        }
    }
}

fn port(reader: &mut TableReader<'_>) -> Option<u16> {
    reader.read("port", |value| {
        // As ssh's `-p`: a word is the name of a service.
        let Some(text) = value.raw().as_str() else {
            return value.integer(1..=i64::from(u16::MAX)).map(|port| port as u16);
        };
        let hint = "write a number from 1 to 65535, or the name of a service in /etc/services";
        sshconfig::port(text).map_or_else(|| value.refuse(format!("`{text}` is not a port"), hint), Ok)
    })
}

fn hosts<'a>(reader: &mut TableReader<'a>, header: Option<&SourceSpan>) -> Option<Vec<Value<'a>>> {
    match reader.rivals(["host", "hosts"]) {
        [Some(host), Some(_)] => {
            reader.errors.push(host.error("both `host` and `hosts` are set", "leave one of them out"));
            None
        }
        [Some(host), None] => Some(vec![host]),
        [None, Some(hosts)] => {
            let items = hosts.items();
            if items.is_empty() {
                reader.errors.push(hosts.error("the list of hosts is empty", "name a server"));
                return None;
            }
            if items.len() > MAX_HOSTS {
                let what = format!("there are more than {MAX_HOSTS} hosts");
                reader.errors.push(hosts.error(what, "leave some of them out"));
                return None;
            }
            Some(items)
        }
        [None, None] => {
            reader.miss(
                &["host", "hosts"],
                header,
                "the tunnel has no host",
                "add `host = \"…\"`, the SSH server's name or address",
            );
            None
        }
    }
}

fn destination(
    reader: &mut TableReader<'_>,
    host: Value<'_>,
    own_user: Option<&str>,
    port: Option<u16>,
) -> Option<Destination> {
    let user = own_user.map(str::to_owned).or_else(|| reader.environment.user.clone());
    let read = host.word().and_then(|text| {
        let Some(user) = user.or_else(|| text.contains('@').then(String::new)) else {
            let what = "there is no user to log in as: the account that runs tunneld has no name";
            return host.refuse(what, "add `user`");
        };
        let hint = "write a name or an address, as in `bastion.example.com` or `user@[::1]:2222`";
        if text.contains(',') {
            return host.refuse(format!("`{text}` is not one host"), "write several as `hosts = [\"a\", \"b\"]`");
        }
        let port = port.unwrap_or(Destination::DEFAULT_PORT);
        Destination::parse_or(text, &user, port).or_else(|error| host.refuse(error.to_string(), hint))
    });
    let destination = reader.note(read)?;
    // `host` may hold a user and a port; with other ones in the same table it cannot be said which were meant.
    let other_port = port.is_some_and(|port| port != destination.port);
    let other_user = own_user.is_some_and(|user| user != destination.user);
    for (key, differs) in [("port", other_port), ("user", other_user)] {
        if differs && reader.own_value(key).is_some() && reader.own_value("host").is_some() {
            let what = format!("`host` and `{key}` name different {key}s");
            reader.errors.push(host.error(what, "leave one of them out"));
        }
    }
    Some(destination)
}

fn user(value: Value<'_>) -> ReadResult<String> {
    let text = value.word()?;
    if text.starts_with('-') || text.chars().any(char::is_whitespace) {
        return value.refuse(format!("`{text}` is not a user name"), "write the login name on the server");
    }
    if text.len() > Destination::MAX_USER {
        let what = format!("the user is longer than {} bytes", Destination::MAX_USER);
        return value.refuse(what, "write the login name on the server");
    }
    Ok(text.to_owned())
}
