//! The ssh_config files of one load: each is read once, however many tunnels and jump hosts ask for it.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::facts::Facts;
use crate::config::Source;

/// Diagnostics of ssh_config come after those of any number of config files.
const FIRST_RANK: usize = 1 << 32;

/// What was read so far.
#[derive(Default)]
pub struct Library {
    books: RefCell<Vec<(PathBuf, Book)>>,
}

/// A file as it was found.
#[derive(Clone)]
pub(super) enum Book {
    Text { source: Arc<Source>, trusted: bool },
    Missing,
    Unreadable(String),
}

impl Library {
    pub(super) fn open(&self, path: &Path, facts: &dyn Facts) -> Book {
        if let Some((_, book)) = self.books.borrow().iter().find(|(known, _)| known == path) {
            return book.clone();
        }
        let rank = FIRST_RANK + self.books.borrow().len();
        let book = match facts.read(path) {
            Ok(file) => Book::Text { source: Arc::new(Source::new(path, file.text, rank)), trusted: file.trusted },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Book::Missing,
            Err(error) => Book::Unreadable(error.to_string()),
        };
        self.books.borrow_mut().push((path.to_owned(), book.clone()));
        book
    }

    /// A text that is in no file: an option of a command line.
    pub(super) fn note(&self, name: &str, text: &str) -> Arc<Source> {
        let rank = FIRST_RANK + self.books.borrow().len();
        let source = Arc::new(Source::new(Path::new(name), text.to_owned(), rank));
        self.books.borrow_mut().push((PathBuf::new(), Book::Missing));
        source
    }
}
