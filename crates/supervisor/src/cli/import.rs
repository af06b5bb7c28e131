//! `import`: prints TOML, changes nothing.

use std::path::PathBuf;

use tunnel_engine::spec::{AgentSpec, Destination};

use super::problem::{Problem, print};
use crate::config::{self, ConfigErrors};
use crate::exit;
use crate::import::{Defaults, tunnel};
use crate::sshconfig::{Facts, Files, Library, Query, resolve};

/// One table for each host, as ssh would reach it from here.
pub(super) fn ssh_config(hosts: &[String], file: Option<PathBuf>) -> Result<u8, Problem> {
    let facts = config::facts();
    let library = Library::default();
    let files = file.map_or(Files::Usual, Files::One);
    let socket = facts.variable("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty());
    let defaults = Defaults { agent: socket.map_or(AgentSpec::None, |socket| AgentSpec::Socket(socket.into())) };
    let (mut tables, mut names, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for host in hosts {
        match query(host, &files).and_then(|query| resolve(&query, &library, &facts)) {
            Ok(resolved) => {
                let name = name(&resolved.alias, &names);
                tables.push(format!("# Host {host}\n{}", tunnel(&name, &resolved, &defaults)));
                names.push(name);
            }
            Err(more) => errors.extend(more),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::Config(ConfigErrors::new(errors)));
    }
    print(&tables.join("\n")).map(|()| exit::OK)
}

/// `user@alias:port` is understood too.
fn query(host: &str, files: &Files) -> Result<Query, Vec<config::ConfigError>> {
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

/// The alias with the letters that a name may have, and a number where it is taken.
fn name(alias: &str, taken: &[String]) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let plain: String = alias.chars().map(fine).collect();
    let mut name = plain.clone();
    let mut number = 1;
    while taken.contains(&name) {
        number += 1;
        name = format!("{plain}-{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_what_names_may_hold_and_are_unique() {
        assert_eq!(name("db1.example_x-y", &[]), "db1.example_x-y");
        assert_eq!(name("::1", &[]), "--1");
        assert_eq!(name("a", &["a".to_owned(), "a-2".to_owned()]), "a-3");
    }
}
