//! The ssh_config files of one load: each is read once, however many tunnels and jump hosts ask for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::Blocks;
use super::host_facts::HostFacts;
use crate::spec::SourceFile;

/// Diagnostics of ssh_config come after those of any number of config files.
const FIRST_RANK: usize = 1 << 32;

/// Files read so far, shared by all queries of one load.
#[derive(Default)]
pub struct FileCache {
    books: RefCell<HashMap<PathBuf, CachedFile>>,
    shelves: RefCell<HashMap<String, Arc<IncludeCache>>>,
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
    Unreadable(String),
}

impl FileCache {
    pub(super) fn open(&self, path: &Path, facts: &dyn HostFacts) -> CachedFile {
        if let Some(book) = self.books.borrow().get(path) {
            return book.clone();
        }
        let book = match facts.read(path) {
            Ok(file) => {
                let source = Arc::new(SourceFile::new(path, file.text, self.rank()));
                CachedFile::Text { blocks: Arc::new(Blocks::of(&source)), trusted: file.trusted }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => CachedFile::Missing,
            Err(error) => CachedFile::Unreadable(error.to_string()),
        };
        self.books.borrow_mut().insert(path.to_owned(), book.clone());
        book
    }

    /// The files that an `Include` of this pattern reads.
    pub(super) fn shelf(&self, pattern: &str, facts: &dyn HostFacts) -> Arc<IncludeCache> {
        if let Some(shelf) = self.shelves.borrow().get(pattern) {
            return shelf.clone();
        }
        let mut shelf = IncludeCache { files: facts.files(pattern), named: HashMap::new(), others: Vec::new() };
        for (at, path) in shelf.files.iter().enumerate() {
            let book = self.open(path, facts);
            let names = match &book {
                CachedFile::Text { blocks, trusted: true } => blocks.names(),
                CachedFile::Text { .. } | CachedFile::Missing | CachedFile::Unreadable(_) => None,
            };
            match names {
                Some(names) => names.for_each(|name| shelf.named.entry(name.to_owned()).or_default().push(at)),
                None => shelf.others.push(at),
            }
        }
        let shelf = Arc::new(shelf);
        self.shelves.borrow_mut().insert(pattern.to_owned(), shelf.clone());
        shelf
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

/// Files that are included together: one for each host, in some configurations, and thousands of them.
pub(super) struct IncludeCache {
    /// In the order of their names.
    files: Vec<PathBuf>,
    /// By host, those that have something to say to some hosts only.
    named: HashMap<String, Vec<usize>>,
    /// All others.
    others: Vec<usize>,
}

impl IncludeCache {
    /// Those that may say something to who asks for `host`, in their order.
    pub(super) fn about(&self, host: &str) -> impl Iterator<Item = &Path> {
        let named = self.named.get(host).map(Vec::as_slice).unwrap_or_default();
        let mut at: Vec<usize> = self.others.iter().chain(named).copied().collect();
        at.sort_unstable();
        at.into_iter().filter_map(|at| self.files.get(at).map(PathBuf::as_path))
    }
}
