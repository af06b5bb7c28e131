//! Whether a config that is read later is within what was fixed at the start.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::paths::{Access, NamedPath, paths};
use super::rules::{Rule, folders};
use crate::config::{ConfigError, ConfigErrors, Desired, obstacle};

/// What a confined process reaches.
#[derive(Debug)]
pub struct Reach {
    config: PathBuf,
    rules: Vec<Rule>,
}

const RESTART: &str =
    "restart tunneld: what it may reach is fixed at its start; under systemd the listeners are kept meanwhile";

impl Reach {
    pub(super) const fn new(config: PathBuf, rules: Vec<Rule>) -> Self {
        Self { config, rules }
    }

    /// Nothing, where all of the config can be followed.
    ///
    /// # Errors
    /// Each path that is out of reach, and a program that could not be run.
    pub fn check(&self, desired: &Desired) -> Result<(), ConfigErrors> {
        let errors = self.errors(desired, super::real);
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors::new(errors)) }
    }

    pub(super) fn errors(&self, desired: &Desired, real: impl Fn(&Path) -> Option<PathBuf>) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if let Some(reason) = obstacle(desired) {
            let what = format!("tunneld is confined since its start, and {reason}");
            errors.push(ConfigError::of_file(&desired.global.config, what, RESTART));
        }
        // The config itself has been read.
        for one in paths(desired).into_iter().filter(|one| one.path != desired.global.config) {
            let wanted = folders(&one, &real);
            let reached = |path: &PathBuf| self.rules.iter().any(|rule| rule.covers(path, one.access));
            if wanted.is_empty() || !wanted.iter().all(reached) {
                let verb = match one.access {
                    Access::Read => "read it",
                    Access::Write => "write there",
                    Access::Control => "control it",
                };
                let what = format!("{} names it; tunneld is confined since its start, and may not {verb}", one.by);
                errors.push(ConfigError::of_file(&one.path, what, RESTART));
            }
        }
        errors
    }

    /// The errors of a config that could not be read, and where permission was missing, that this may be why. It is not
    /// where the file of the error is within reach: restarted, tunneld could not read it either, and would not run.
    pub fn explain(&self, errors: ConfigErrors) -> ConfigErrors {
        let denied = io::Error::from(Errno::EACCES).to_string();
        let is_reached = |error: &ConfigError| {
            let folders = folders(&NamedPath::file(Path::new(&error.file()), Access::Read, ""), super::real);
            !folders.is_empty()
                && folders.iter().all(|folder| self.rules.iter().any(|rule| rule.covers(folder, Access::Read)))
        };
        // One with a line is about another file, which that line names.
        let in_question = |error: &ConfigError| error.line_and_column().is_some() || !is_reached(error);
        if !errors.iter().any(|error| error.what().contains(&denied) && in_question(error)) {
            return errors;
        }
        let what =
            "tunneld is confined since its start: it reads the folders that its config named then, and runs no program";
        let hint = "where permission is denied to it and not to you: restart tunneld, or set `confine = \"off\"` and restart it";
        ConfigErrors::new(errors.iter().cloned().chain([ConfigError::of_file(&self.config, what, hint)]).collect())
    }
}
