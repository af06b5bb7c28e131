//! Variables with their rules, and everything that is wrong with them.

use std::collections::BTreeMap;
use std::path::Path;

use super::PathKind;

/// The environment, the files, and the errors so far.
pub(super) struct Variables<'a> {
    environment: &'a BTreeMap<String, String>,
    path_kind: &'a dyn Fn(&Path) -> PathKind,
    pub(super) errors: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(environment: &'a BTreeMap<String, String>, path_kind: &'a dyn Fn(&Path) -> PathKind) -> Self {
        Self { environment, path_kind, errors: Vec::new(), notes: Vec::new() }
    }

    /// An empty one is not set, as in the images' scripts.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// One that has to be set.
    pub(super) fn required(&mut self, name: &str, what: &str) -> String {
        match self.get(name) {
            Some(value) => value.to_owned(),
            None => {
                self.errors.push(format!("{name} is not set: it is {what}"));
                String::new()
            }
        }
    }

    /// A port as it is written on a command line. `lowest` is 0 where the server may choose.
    pub(super) fn check_port(&mut self, name: &str, value: &str, lowest: u16) {
        if !value.parse::<u16>().is_ok_and(|port| port >= lowest) {
            self.errors.push(format!("{name}: `{value}` is no port: write a number from {lowest} to {}", u16::MAX));
        }
    }

    /// A number that ssh reads.
    pub(super) fn check_number(&mut self, name: &str, value: &str) {
        if value.parse::<u32>().is_err() {
            self.errors.push(format!("{name}: `{value}` is no number: write one without a unit"));
        }
    }

    /// A host or user must not look like an option.
    pub(super) fn check_word(&mut self, name: &str, value: &str) {
        if value.starts_with('-') || value.contains(char::is_whitespace) {
            self.errors
                .push(format!("{name}: `{value}` begins with a dash or has blanks: it would be read as options"));
        }
    }

    /// Options in one value, cut at blanks outside quotes.
    pub(super) fn options(&mut self, name: &str) -> Vec<String> {
        let Some(text) = self.get(name) else { return Vec::new() };
        shlex::split(text).unwrap_or_else(|| {
            self.errors.push(format!("{name}: a quote is not closed"));
            Vec::new()
        })
    }

    pub(super) fn found(&self, path: &str) -> PathKind {
        (self.path_kind)(Path::new(path))
    }
}

/// An address in a forward: IPv6 stands in brackets.
pub(super) fn in_forward(address: &str) -> String {
    if address.contains(':') && !address.starts_with('[') { format!("[{address}]") } else { address.to_owned() }
}
