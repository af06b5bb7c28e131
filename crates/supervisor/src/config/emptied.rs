//! A reload that would take tunnels away because their file is empty or its folder is gone, which is how a write that broke
//! off, or a file system that is not mounted, looks. A start has nothing to lose, and takes such a config.

use std::path::Path;

use super::include::folder_of;
use crate::spec::{ConfigError, ConfigErrors, Desired, IncludeMatch};

/// Refuses `wanted` in the place of `applied` where that would stop every tunnel and the config does not say
/// `tunnel = []`, and where a pattern of `include` had files and its folder does not exist any more.
///
/// # Errors
/// What is missing, and how to say that it is meant.
pub fn emptied(applied: &Desired, wanted: &Desired) -> Result<(), ConfigErrors> {
    let errors: Vec<_> = gone_folders(applied, wanted).chain(no_tunnel_left(applied, wanted)).collect();
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

fn no_tunnel_left(applied: &Desired, wanted: &Desired) -> Option<ConfigError> {
    let lost = applied.tunnels.len();
    if lost == 0 || !wanted.tunnels.is_empty() || wanted.global.reading.no_tunnels {
        return None;
    }
    let includes = &wanted.global.reading.includes;
    let patterns: Vec<_> = includes.iter().map(|include| format!("`{}`", include.pattern.display())).collect();
    let nor = match patterns.is_empty() {
        true => String::new(),
        false => format!(", nor what it includes ({})", patterns.join(", ")),
    };
    let tunnels = if lost == 1 { "the tunnel that is".to_owned() } else { format!("all {lost} tunnels that are") };
    let what = format!("the config has no tunnel any more{nor}: {tunnels} applied would stop");
    let hint = "put the tunnels back; if all are to stop, write `tunnel = []` into this file, before its first table";
    Some(ConfigError::of_file(&wanted.global.config, what, hint))
}
