//! A reload that would take tunnels away because their file is empty or its folder is gone, which is how a write that broke
//! off, or a file system that is not mounted, looks. A start has nothing to lose, and takes such a config.

use std::path::Path;

use super::include::folder_of;
use crate::spec::{ConfigError, ConfigErrors, Desired, IncludeMatch};

/// Refuses `wanted` in the place of `applied` where its main file has no key at all although tunnels are applied, and where
/// a pattern of `include` had files and its folder does not exist any more. A config that has keys and no tunnel is meant.
///
/// # Errors
/// What is missing, and what to do.
pub fn emptied(applied: &Desired, wanted: &Desired) -> Result<(), ConfigErrors> {
    let errors: Vec<_> = gone_folders(applied, wanted).chain(blank_file(applied, wanted)).collect();
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors::new(errors)) }
}

fn gone_folders<'a>(applied: &'a Desired, wanted: &'a Desired) -> impl Iterator<Item = ConfigError> + 'a {
    let had_files = |pattern: &Path| {
        let before = &applied.global.reading.includes;
        before.iter().any(|include| include.pattern == pattern && include.matched == IncludeMatch::Files)
    };
    let gone = wanted
        .global
        .reading
        .includes
        .iter()
        .filter(move |include| include.matched == IncludeMatch::NoFolder && had_files(&include.pattern));
    gone.map(|include| {
        let what = format!(
            "`include` has `{}`, and the folder `{}`, which had files when the config was last applied, is gone",
            include.pattern.display(),
            folder_of(&include.pattern).display()
        );
        let hint = "mount or make the folder again; if its tunnels are to stop, take the pattern out of `include`";
        ConfigError::of_file(&wanted.global.config, what, hint)
    })
}

fn blank_file(applied: &Desired, wanted: &Desired) -> Option<ConfigError> {
    let lost = applied.tunnels.len();
    if lost == 0 || !wanted.global.reading.blank {
        return None;
    }
    let tunnels = if lost == 1 { "the tunnel that is".to_owned() } else { format!("all {lost} tunnels that are") };
    let what = format!("the file is empty, as after a write that broke off: {tunnels} applied would stop");
    let hint = "put the tunnels back; if all are to stop, write `tunnel = []` into it, or run `tunneld stop`";
    Some(ConfigError::of_file(&wanted.global.config, what, hint))
}
