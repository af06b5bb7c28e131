//! Tables with spans become a [`Desired`]: defaults merged under each tunnel, everything checked, every error kept.

mod claims;
mod defaults;
mod forwards;
mod global;
mod hops;
mod policy;
mod session;
mod ssh_config;
mod toml;
mod tunnel;

use std::sync::Arc;

use ::toml::de::DeTable;

use super::environment::Environment;
use super::keys;
use super::load::Overrides;
use super::reader::TableReader;
use super::value::{ReadResult, Table};
use crate::spec::{ConfigError, Desired, SourceFile, SourceSpan, TunnelSpec};
use crate::sshconfig::FileCache;
use claims::Claim;

pub(super) use defaults::tunnel as without_settings;
pub(crate) use defaults::{identities_of, user_known_hosts_of};
pub(super) use global::{account, control_socket};
pub(super) use ssh_config::session_by_itself;

/// A file that was read.
pub(super) struct Document<'s> {
    pub(super) source: Arc<SourceFile>,
    pub(super) table: DeTable<'s>,
}

impl Document<'_> {
    pub(super) fn table(&self) -> Table<'_> {
        Table::of_file(&self.source, &self.table)
    }
}

/// What one `[[tunnel]]` came to. Names and claims are known even where the tunnel has errors, so that clashes are
/// found in the same run.
struct ParsedTunnel {
    name: Option<(String, SourceSpan)>,
    claims: Vec<Claim>,
    spec: Option<TunnelSpec>,
}

/// The main file first.
pub(super) fn resolve(
    documents: &[Document<'_>],
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Desired, Vec<ConfigError>> {
    let Some(main) = documents.first() else { return Err(Vec::new()) };
    let mut top = top_of(main, environment);
    top.check_keys(keys::FILE);
    let mut own_claims = Vec::new();
    let global = global::global(&mut top, main, overrides, &mut own_claims);
    let defaults = top.value("defaults").and_then(|value| top.note(value.table()));
    let library = FileCache::default();
    let mut errors = top.errors;
    if let Some(defaults) = &defaults {
        errors.extend(check_defaults(defaults, environment, &library));
    }

    let mut candidates = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            errors.extend(document.table().check_keys(keys::INCLUDED));
        }
        match tables_of_tunnels(document) {
            Ok(tables) => candidates.extend(tables.into_iter().map(|table| {
                let layers = std::iter::once(table).chain(defaults.clone()).collect();
                tunnel::tunnel(&mut TableReader::new(layers, environment), &library, &mut errors)
            })),
            Err(more) => errors.extend(more),
        }
    }
    errors.extend(claims::twice(&own_claims, &candidates));

    let tunnels = candidates.into_iter().filter_map(|candidate| candidate.spec).collect();
    match global {
        Some(mut global) if errors.is_empty() => {
            global.reading.match_exec = library.command_run();
            let desired = Desired { global, tunnels };
            match global::confine_refused(&top_of(main, environment), &desired) {
                Some(error) => Err(vec![error]),
                None => Ok(desired),
            }
        }
        _ => Err(errors),
    }
}

fn tables_of_tunnels<'a>(document: &'a Document<'_>) -> ReadResult<Vec<Table<'a>>> {
    let Some(value) = document.table().get("tunnel") else { return Ok(Vec::new()) };
    if value.raw().as_array().is_none() {
        return value.refuse("`tunnel` is a list of tables", "write `[[tunnel]]`, with two brackets on each side");
    }
    value.each(|item| item.table())
}

fn top_of<'a>(main: &'a Document<'_>, environment: &'a Environment) -> TableReader<'a> {
    TableReader::new(vec![main.table()], environment)
}

/// Defaults are checked also where no tunnel uses them; what they leave out is no error.
fn check_defaults(defaults: &Table<'_>, environment: &Environment, library: &FileCache) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    if let Some(name) = defaults.get("name") {
        errors.push(name.error("a name cannot be a default", "names are unique: write it in [[tunnel]]"));
    }
    tunnel::tunnel(&mut TableReader::new(vec![defaults.clone()], environment), library, &mut errors);
    errors.retain(|error| !error.absence);
    errors
}
