//! The environment of a container, as the images read it that people run autossh and ssh in: the command line that the
//! image's own script would have started becomes a config by way of `import`. Pure, but for a look at which files there
//! are.
//!
//! ```text
//! variables ─► names (which image, unknown ones) ─► autossh_image / ssh_image ─► command line ─► import ─► TOML
//! ```

mod autossh_image;
mod names;
mod ssh_image;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::BTreeMap;
use std::path::Path;

use crate::import::{self, ImportError, Invocation};
use crate::sshconfig::System;
pub(crate) use names::{AUTOSSH_IMAGE, SSH_IMAGE};
use variables::Variables;

/// A command line that variables stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageCommand {
    pub(crate) image: &'static str,
    /// The program and its options.
    pub(crate) invocation: Invocation,
    /// What a user should know: what is read otherwise than by the image.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathKind {
    /// Nothing, or nothing that can be seen.
    Nothing,
    /// What a program can open and read.
    File,
    /// docker makes one where a file that is to be mounted does not exist on the host.
    Folder,
}

impl PathKind {
    /// On this machine.
    pub(crate) fn at(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Self::Folder,
            Ok(_) => Self::File,
            Err(_) => Self::Nothing,
        }
    }
}

/// What the environment says. `None` where no variable of an image is set.
///
/// # Errors
/// Everything that is wrong, each with the variable's name and never with the value of an unknown one.
pub(crate) fn command(
    environment: &BTreeMap<String, String>,
    path_kind: &dyn Fn(&Path) -> PathKind,
) -> Result<Option<ImageCommand>, Vec<String>> {
    let mut variables = Variables::new(environment, path_kind);
    let known = |names: &[&str]| names.iter().any(|name| variables.get(name).is_some());
    let (autossh, ssh) = (known(names::OF_AUTOSSH), variables.get(names::TUNNEL_HOST).is_some());
    variables.errors.extend(names::unknown(environment));
    let command = match (autossh, ssh) {
        (true, true) => {
            let both =
                format!("{} is a variable of {SSH_IMAGE}, and others are of {AUTOSSH_IMAGE}", names::TUNNEL_HOST);
            variables.errors.push(format!("{both}: leave out those of one of them"));
            None
        }
        (true, false) => Some(autossh_image::command(&mut variables)),
        (false, true) => Some(ssh_image::command(&mut variables)),
        (false, false) => None,
    };
    if variables.errors.is_empty() { Ok(command) } else { Err(variables.errors) }
}

/// The command as a config, for the account and the machine of `facts`.
///
/// # Errors
/// The options of `SSH_OPTIONS`, or ssh's own files, are wrong.
pub(crate) fn toml(command: &ImageCommand, facts: &System) -> Result<String, ImportError> {
    let head = format!("made of the environment, as {} reads it", command.image);
    let comments: String = std::iter::once(&head).chain(&command.notes).map(|note| import::comment(note)).collect();
    Ok(comments + &import::of(&command.invocation, facts)?)
}
