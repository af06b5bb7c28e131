//! Reads keys out of tables that lie over one another, and collects everything that is wrong.

use std::path::PathBuf;

use super::environment::Environment;
use super::keys::did_you_mean;
use super::value::{ReadResult, Table, Value};
use crate::spec::{ConfigError, SourceSpan};

/// A tunnel's table over `[defaults]`, or one table alone.
pub(super) struct TableReader<'a> {
    /// The first one that has a key wins.
    layers: Vec<Table<'a>>,
    pub(super) environment: &'a Environment,
    pub(super) errors: Vec<ConfigError>,
    /// What its unknown keys were probably meant as.
    meant: Vec<&'static str>,
}

impl<'a> TableReader<'a> {
    pub(super) fn new(layers: Vec<Table<'a>>, environment: &'a Environment) -> Self {
        Self { layers, environment, errors: Vec::new(), meant: Vec::new() }
    }

    pub(super) fn value(&self, key: &str) -> Option<Value<'a>> {
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    /// The value in the top layer.
    pub(super) fn own_value(&self, key: &str) -> Option<Value<'a>> {
        self.layers.first().and_then(|layer| layer.get(key))
    }

    pub(super) fn header(&self) -> Option<SourceSpan> {
        self.layers.first().map(|layer| layer.span.clone())
    }

    /// Notes that none of these keys is there. Where one is misspelt, that is the error.
    pub(super) fn miss(
        &mut self,
        keys: &[&str],
        header: Option<&SourceSpan>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if !self.meant.iter().any(|meant| keys.contains(meant)) {
            self.errors.extend(header.map(|span| ConfigError::absent(span.clone(), what, hint)));
        }
    }

    /// The values of several keys that exclude one another: all from the first layer that has any of them.
    pub(super) fn rivals<const N: usize>(&self, keys: [&str; N]) -> [Option<Value<'a>>; N] {
        let rivals = |layer: &Table<'a>| keys.map(|key| layer.get(key));
        let mut layers = self.layers.iter().map(rivals);
        layers.find(|values| values.iter().any(Option::is_some)).unwrap_or([None; N])
    }

    /// `None` where the key is absent, and where it is wrong, which is then noted.
    pub(super) fn read<T>(&mut self, key: &str, read: impl FnOnce(Value<'a>) -> ReadResult<T>) -> Option<T> {
        let value = self.value(key)?;
        self.note(read(value))
    }

    pub(super) fn note<T>(&mut self, read: ReadResult<T>) -> Option<T> {
        read.map_err(|errors| self.errors.extend(errors)).ok()
    }

    /// Reads a table key by key: the layers' tables lie over one another as the layers do.
    pub(super) fn inner(&mut self, key: &str) -> Self {
        let tables: Vec<_> = self.layers.iter().filter_map(|layer| layer.get(key)).map(Value::table).collect();
        let layers = tables.into_iter().filter_map(|table| self.note(table)).collect();
        TableReader::new(layers, self.environment)
    }

    /// Notes the unknown keys of every layer.
    pub(super) fn check_keys(&mut self, known: &'static [&'static str]) {
        for layer in &self.layers {
            self.errors.extend(layer.check_keys(known));
            self.meant.extend(layer.unknown_keys(known).filter_map(|key| did_you_mean(key, known)));
        }
    }

    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        let environment = self.environment;
        self.read(key, |value| path(value, environment))
    }
}

/// A path, or a list of them; `none` stands for an empty list, as in ssh_config.
pub(super) fn paths(value: Value<'_>, environment: &Environment) -> ReadResult<Vec<PathBuf>> {
    match value.raw().as_str() {
        Some("none") => Ok(Vec::new()),
        _ => value.each(|item| path(item, environment)),
    }
}

/// A path, from the folder of the file that names it.
pub(super) fn path(value: Value<'_>, environment: &Environment) -> ReadResult<PathBuf> {
    let text = value.string()?;
    environment.path(text, &value.source.folder).or_else(|error| value.refuse(error.to_string(), error.hint()))
}
