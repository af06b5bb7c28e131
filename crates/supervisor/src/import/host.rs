//! Host aliases of ssh_config: one table for each, as ssh would reach it.

use tunnel_engine::spec::Destination;

use super::keys::Keys;
use super::names::Names;
use super::table;
use crate::config::{ConfigError, ConfigErrors};
use crate::sshconfig::{Files, Library, Query, System, resolve};

/// The tables of these hosts, in their order. Each may be typed as after `ssh`: `user@alias:port` too.
///
/// # Errors
/// Everything that is wrong in the files, for any of them.
pub fn hosts(hosts: &[String], files: &Files, facts: &System) -> Result<String, ConfigErrors> {
    let library = Library::default();
    let (mut tables, mut names, mut errors) = (Vec::new(), Names::default(), Vec::new());
    for host in hosts {
        match query(host, files).and_then(|query| resolve(&query, &library, facts)) {
            Ok(resolved) => {
                let mut keys = Keys::default();
                keys.remark(format!("Host {host}"));
                table::tunnel(&mut keys, &names.of(&resolved.alias), &resolved, facts);
                tables.push(keys.write());
            }
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(tables.join("\n")) } else { Err(ConfigErrors::new(errors)) }
}

fn query(host: &str, files: &Files) -> Result<Query, Vec<ConfigError>> {
    /// Stands for what the text does not name; nobody can write either.
    const UNNAMED: (&str, u16) = ("-", 0);
    let Ok(typed) = Destination::parse_or(host, UNNAMED.0, UNNAMED.1) else {
        return Ok(Query::new(host, files.clone()));
    };
    let mut query = Query::new(typed.host, files.clone());
    let library = Library::default();
    if typed.user != UNNAMED.0 {
        query
            .option(&format!("User \"{}\"", typed.user.replace('\\', "\\\\")), &library)
            .map_err(|error| vec![error])?;
    }
    if typed.port != UNNAMED.1 {
        query.option(&format!("Port {}", typed.port), &library).map_err(|error| vec![error])?;
    }
    Ok(query)
}
