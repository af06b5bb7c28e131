//! A unit's file with its drop-ins: where systemd looks for them. The one part of the import that reads folders.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tunnel_engine::file;

use super::syntax::settings;
use crate::import::ImportError;
use crate::sshconfig::{HostFacts, System};

/// Where the system's manager looks, the strongest first.
const SYSTEM_FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Where a user's manager looks, besides `~/.config/systemd/user`.
const USER_FOLDERS: &[&str] =
    &["/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];

/// A unit, a drop-in, an environment file: some kilobytes.
const LARGEST_FILE: u64 = 1 << 20;

/// The text of a file that a unit is made of.
///
/// # Errors
/// As [`file::read`]; or it is not UTF-8.
pub fn read_part(path: &Path) -> io::Result<String> {
    let bytes = file::read_or_null(path, LARGEST_FILE)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// What a unit says, drop-ins included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// With its instance: `autossh@db.service`.
    pub name: String,
    /// Of the unit itself.
    pub path: PathBuf,
    /// The text, that of the drop-ins behind it.
    pub text: String,
    /// It is for a user's manager, not the system's.
    pub of_user: bool,
}

impl UnitFile {
    /// Reads a file, or a unit by its name alone. An instance is read from its template.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(asked: &Path, facts: &System) -> Result<Self, ImportError> {
        let name = asked.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let by_name = asked.components().count() == 1;
        let mut folders = vec![asked.parent().map(Path::to_owned).unwrap_or_default()];
        if by_name {
            folders.extend(search_path(facts));
        }
        let names = [Some(name.clone()), template(&name)];
        let candidates: Vec<PathBuf> =
            folders.iter().flat_map(|folder| names.iter().flatten().map(|name| folder.join(name))).collect();
        let mut failure = io::ErrorKind::NotFound.into();
        for path in &candidates {
            match read_part(path) {
                Ok(text) => return Ok(Self::with_drop_ins(name, path, text, facts)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failure = error,
            }
        }
        let mut error = format!("cannot read `{}`: {failure}", asked.display());
        if by_name {
            error.push_str("; name its file, which `systemctl cat` shows in its first line");
        }
        Err(ImportError::one(error))
    }

    /// A template, or a unit without an instance.
    pub(super) fn is_template(&self) -> bool {
        self.name.contains("@.")
    }

    /// A template is read as the instance that it names for those who name none.
    pub(super) fn with_default_instance(&self) -> Self {
        let default = settings(&self.text).into_iter().rev().find(|setting| setting.key == "DefaultInstance");
        let name = match default.filter(|setting| self.is_template() && !setting.value.is_empty()) {
            Some(setting) => self.name.replacen('@', &format!("@{}", setting.value), 1),
            None => self.name.clone(),
        };
        Self { name, ..self.clone() }
    }

    fn with_drop_ins(name: String, path: &Path, mut text: String, facts: &System) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let home = facts.home().map(|home| home.join(".config/systemd/user"));
        let own = path.parent().map(Path::to_owned).unwrap_or_default();
        let of_user =
            USER_FOLDERS.iter().any(|folder| own == Path::new(folder)) || home.is_some_and(|home| own == home);
        let folders = match search_path(facts).contains(&own) {
            true => search_path(facts).into_iter().filter(|folder| is_of_user(folder) == of_user).collect(),
            false => vec![own],
        };
        for part in drop_ins(&name, &folders) {
            if let Ok(more) = read_part(&part) {
                text.push_str(&format!("\n{more}"));
            }
        }
        Self { name, path, text, of_user }
    }
}

fn search_path(facts: &System) -> Vec<PathBuf> {
    let own = facts.home().map(|home| home.join(".config/systemd/user"));
    own.into_iter().chain(SYSTEM_FOLDERS.iter().chain(USER_FOLDERS).map(PathBuf::from)).collect()
}

fn is_of_user(folder: &Path) -> bool {
    folder.ends_with("user")
}

/// `autossh@.service` of `autossh@db.service`.
fn template(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

/// `NAME.d/*.conf`, those of a template too, in the order of their names; of one name, the first folder's counts.
fn drop_ins(name: &str, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for unit in [Some(name.to_owned()), template(name)].into_iter().flatten() {
        for folder in folders {
            let Ok(entries) = fs::read_dir(folder.join(format!("{unit}.d"))) else { continue };
            let paths = entries.flatten().map(|entry| entry.path());
            let parts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "conf"));
            for part in parts {
                if !found.iter().any(|known| known.file_name() == part.file_name()) {
                    found.push(part);
                }
            }
        }
    }
    found.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    found
}
