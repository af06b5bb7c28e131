//! Host aliases of ssh_config: one table for each, as ssh would reach it.

use super::keys::KeyLines;
use super::names::UniqueNames;
use super::table;
use crate::config::ConfigErrors;
use crate::sshconfig::{ConfigFiles, FileCache, Query, System, resolve};

/// The tables of these hosts, in their order. Each may be typed as after `ssh`: `user@alias:port` too.
///
/// # Errors
/// Everything that is wrong in the files, for any of them.
pub fn hosts(hosts: &[String], files: &ConfigFiles, facts: &System) -> Result<String, ConfigErrors> {
    let library = FileCache::default();
    let (mut tables, mut names, mut errors) = (Vec::new(), UniqueNames::default(), Vec::new());
    for host in hosts {
        match Query::typed(host, files.clone()).and_then(|query| resolve(&query, &library, facts)) {
            Ok(resolved) => {
                let mut keys = KeyLines::default();
                keys.remark(format!("Host {host}"));
                table::tunnel(&mut keys, &names.of(&resolved.alias), &resolved, facts);
                tables.push(keys.write());
            }
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(tables.join("\n")) } else { Err(ConfigErrors::new(errors)) }
}
