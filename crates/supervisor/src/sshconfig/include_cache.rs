//! The ssh_config files of one load: each is read once, however many tunnels and jump hosts ask for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::{Blocks, ByHost};
use super::host_facts::HostFacts;
use crate::spec::SourceFile;

/// Diagnostics of ssh_config come after those of any number of config files.
const FIRST_RANK: usize = 1 << 32;

/// Files read so far, shared by all queries of one load.
#[derive(Default)]
pub struct FileCache {
    files: RefCell<HashMap<PathBuf, CachedFile>>,
    /// By the pattern of an `Include`: one file for each host, in some configurations, and thousands of them.
    includes: RefCell<HashMap<String, Arc<ByHost<PathBuf>>>>,
    /// Texts that have a rank, in files or not.
    ranked: Cell<usize>,
    /// The first command that was run for a `Match exec`.
    command: RefCell<Option<String>>,
}

/// A file as it was found.
#[derive(Clone)]
pub(super) enum CachedFile {
    Text { blocks: Arc<Blocks>, trusted: bool },
    Missing,
    PrivateKey,
    Unreadable(String),
}

impl FileCache {
    pub(super) fn open(&self, path: &Path, facts: &dyn HostFacts) -> CachedFile {
        if let Some(file) = self.files.borrow().get(path) {
            return file.clone();
        }
        let file = match facts.read(path) {
            Ok(file) => {
                let source = Arc::new(SourceFile::new(path, file.text, self.rank()));
                match source.is_private_key() {
                    true => CachedFile::PrivateKey,
                    false => CachedFile::Text { blocks: Arc::new(Blocks::of(&source)), trusted: file.trusted },
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => CachedFile::Missing,
            Err(error) => CachedFile::Unreadable(error.to_string()),
        };
        self.files.borrow_mut().insert(path.to_owned(), file.clone());
        file
    }

    /// The files that an `Include` of this pattern reads, in the order of their names.
    pub(super) fn included(&self, pattern: &str, facts: &dyn HostFacts) -> Arc<ByHost<PathBuf>> {
        if let Some(files) = self.includes.borrow().get(pattern) {
            return files.clone();
        }
        let mut files = ByHost::new();
        for path in facts.files(pattern) {
            let hosts = match self.open(&path, facts) {
                CachedFile::Text { blocks, trusted: true } => blocks.hosts(),
                CachedFile::Text { .. } | CachedFile::Missing | CachedFile::PrivateKey | CachedFile::Unreadable(_) => {
                    None
                }
            };
            files.push(path, hosts);
        }
        let files = Arc::new(files);
        self.includes.borrow_mut().insert(pattern.to_owned(), files.clone());
        files
    }

    /// A text that is in no file: an option of a command line.
    pub(super) fn note(&self, name: &str, text: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile::new(Path::new(name), text.to_owned(), self.rank()))
    }

    pub(super) fn note_command(&self, command: &str) {
        self.command.borrow_mut().get_or_insert_with(|| command.to_owned());
    }

    /// The first command of a `Match exec` that was run, whatever came of it.
    pub(crate) fn command_run(&self) -> Option<String> {
        self.command.borrow().clone()
    }

    fn rank(&self) -> usize {
        FIRST_RANK + self.ranked.replace(self.ranked.get() + 1)
    }
}
