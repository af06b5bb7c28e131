//! The process confines itself: after its start it reads and writes what its config names and the system's own files,
//! and runs no program (`confine`). The kernel holds it to that by Landlock, which goes to every thread and cannot be
//! taken back, nor widened by a reload.
//!
//! ```text
//! named (config → paths, pure) ─► rules (paths → folders, pure but for symbolic links) ─► kernel
//!                                     └─► reach: is a reload's config within what was fixed at the start?
//! ```
//!
//! Landlock's rules are about folders and what is below them, as they are at the start. So a file is reached through
//! its folder: it may be replaced by a rename, as editors, `ssh-keygen` and known_hosts do. Sockets may be connected to
//! anywhere: agents and the name service are.

mod allowed;
mod kernel;
mod paths;
mod rules;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, ConfigErrors, Confine, Desired, obstacle};

pub use allowed::Reach;
use rules::Rule;

/// Result of confining the process.
#[derive(Debug)]
pub enum ConfinementOutcome {
    /// `confine = "off"`.
    NotAsked,
    /// `confine = "auto"`, and why it was not done.
    NotDone(String),
    /// The process is confined.
    Done(Confinement),
}

/// What the process may do from now on.
#[derive(Debug)]
pub struct Confinement {
    config: PathBuf,
    rules: Vec<Rule>,
    enforced: kernel::Enforced,
}

/// Confines this thread and those that it starts. To be called before there are others.
///
/// # Errors
/// `confine = "on"`, and it cannot be done.
pub fn confine(desired: &Desired, is_root: bool) -> Result<ConfinementOutcome, ConfigErrors> {
    let asked = desired.global.confine;
    let because = |reason: String| match asked {
        Confine::On => {
            let what = format!("`confine = \"on\"` cannot be done: {reason}");
            let hint = "write `confine = \"auto\"` to do without where it cannot be done";
            Err(ConfigErrors::new(vec![ConfigError::of_file(&desired.global.config, what, hint)]))
        }
        Confine::Auto | Confine::Off => Ok(ConfinementOutcome::NotDone(reason)),
    };
    if asked == Confine::Off {
        return Ok(ConfinementOutcome::NotAsked);
    }
    if let Some(reason) = obstacle(desired) {
        return because(reason);
    }
    rules::make_folders(desired);
    let (mut rules, unreachable) = rules::of(&paths::paths(desired), real);
    // A config that was read and is nowhere is not in a file.
    if let Some(named) = unreachable.iter().find(|named| named.path != desired.global.config) {
        let path = named.path.display();
        return because(format!(
            "no folder of `{path}` ({}) is there yet, so that it could not be reached later",
            named.by
        ));
    }
    rules::add_those_of_system(&mut rules, is_root, real);
    match kernel::restrict(&rules) {
        Ok(enforced) => {
            tunnel_engine::file::note_confined();
            Ok(ConfinementOutcome::Done(Confinement { config: desired.global.config.clone(), rules, enforced }))
        }
        Err(error) => because(error.to_string()),
    }
}

/// Where a path leads to, if anything is there.
fn real(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

impl ConfinementOutcome {
    /// One line, once there is a log.
    pub fn log(&self) {
        match self {
            Self::NotAsked => {}
            Self::NotDone(reason) => tracing::info!("not confined: {reason}"),
            Self::Done(Confinement { rules, enforced, .. }) => {
                tracing::info!("confined: {} (Landlock {enforced})", rules::summary(rules));
                for rule in rules {
                    tracing::debug!("confined: may {} {}", rule.access.verb(), rule.path.display());
                }
            }
        }
    }

    /// The paths that a reload may name.
    pub fn reach(self) -> Option<Reach> {
        match self {
            Self::Done(Confinement { config, rules, .. }) => Some(Reach::new(config, rules)),
            Self::NotAsked | Self::NotDone(_) => None,
        }
    }
}
