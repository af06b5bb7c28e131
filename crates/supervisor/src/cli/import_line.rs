//! `import autossh` and `import unit`: the TOML of a command line, or of a unit that runs one.

use std::path::Path;

use super::problem::{Problem, print};
use crate::autossh::import::{self, ImportError};
use crate::exit;

pub(super) fn line(words: &[String]) -> Result<u8, Problem> {
    answer(import::line(words))
}

pub(super) fn unit(file: &Path) -> Result<u8, Problem> {
    let unit = std::fs::read_to_string(file)
        .map_err(|error| Problem::Import(format!("cannot read `{}`: {error}", file.display())))?;
    answer(import::unit(&unit, &|path: &Path| std::fs::read_to_string(path).ok()))
}

fn answer(text: Result<String, ImportError>) -> Result<u8, Problem> {
    print(&text.map_err(|error| Problem::Import(error.to_string()))?)?;
    Ok(exit::OK)
}
