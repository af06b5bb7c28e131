//! `import`: prints TOML, changes nothing.

use std::path::Path;

use super::args::ImportFrom;
use super::problem::{Problem, print};
use crate::import::UnitFile;
use crate::sshconfig::ConfigFiles;
use crate::{config, exit, import};

pub(super) fn run(from: ImportFrom) -> Result<u8, Problem> {
    let facts = config::facts();
    let text = match from {
        ImportFrom::SshConfig { hosts, file } => {
            import::hosts(&hosts, &file.map_or(ConfigFiles::Usual, ConfigFiles::One), &facts).map_err(Problem::Config)
        }
        ImportFrom::Autossh { words } => import::line(&words, &facts).map_err(Problem::from),
        ImportFrom::Unit { file } => UnitFile::open(&file, &facts)
            .and_then(|unit| import::unit(&unit, &|path: &Path| import::read_part(path).ok(), &facts))
            .map_err(Problem::from),
    }?;
    print(&text).map(|()| exit::OK)
}
