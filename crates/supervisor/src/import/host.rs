//! Host aliases of ssh_config: one table for each, as ssh would reach it.

use super::keys::Keys;
use super::names::Names;
use super::table;
use crate::config::ConfigErrors;
use crate::sshconfig::{Files, Library, Query, System, resolve};

/// The tables of these hosts, in their order. Each may be typed as after `ssh`: `user@alias:port` too.
///
/// # Errors
/// Everything that is wrong in the files, for any of them.
pub fn hosts(hosts: &[String], files: &Files, facts: &System) -> Result<String, ConfigErrors> {
    let library = Library::default();
    let (mut tables, mut names, mut errors) = (Vec::new(), Names::default(), Vec::new());
    for host in hosts {
        match Query::typed(host, files.clone()).and_then(|query| resolve(&query, &library, facts)) {
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
