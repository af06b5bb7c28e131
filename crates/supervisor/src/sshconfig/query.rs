//! What is asked of ssh_config: a host as it is typed after `ssh`, and the options beside it.

use std::path::PathBuf;

use tunnel_engine::spec::Destination;

use super::include_cache::FileCache;
use super::keyword::{self, KeywordLookup};
use super::line::lines;
use super::notes::NoteCollector;
use super::options::OptionValue;
use super::{pattern, value};
use crate::spec::{ConfigError, SourceSpan};

/// The ssh_config files of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFiles {
    /// `~/.ssh/config`, then `/etc/ssh/ssh_config`.
    Usual,
    /// This one alone, as `ssh -F FILE`. It must be there.
    One(PathBuf),
    /// None, as `ssh -F none`.
    None,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Query {
    /// As typed: an alias, a name, an address; no user and no port.
    pub(super) host: String,
    pub(super) files: ConfigFiles,
    /// Values that win over every file, as options of ssh's command line do. Jump hosts do not get them.
    pub(super) given: Vec<OptionValue>,
    /// Of options that set nothing.
    pub(super) remarks: NoteCollector,
}

impl Query {
    /// About a host.
    pub fn new(host: impl Into<String>, files: ConfigFiles) -> Self {
        Self { host: host.into(), files, given: Vec::new(), remarks: NoteCollector::default() }
    }

    /// About a host as it is typed after `ssh`: with a user and a port, perhaps.
    ///
    /// # Errors
    /// The user cannot be one of ssh_config.
    pub fn typed(text: &str, files: ConfigFiles) -> Result<Self, Vec<ConfigError>> {
        /// Stands for what the text does not name; no user can write either.
        const UNNAMED: (&str, u16) = ("-", 0);
        let Ok(typed) = Destination::parse_or(text, UNNAMED.0, UNNAMED.1) else {
            return Ok(Self::new(text, files));
        };
        let mut query = Self::new(typed.host, files);
        let library = FileCache::default();
        let user = format!("User \"{}\"", typed.user.replace('\\', "\\\\"));
        let port = format!("Port {}", typed.port);
        for (named, option) in [(typed.user != UNNAMED.0, user), (typed.port != UNNAMED.1, port)] {
            if named {
                query.option(&option, &library).map_err(|error| vec![error])?;
            }
        }
        Ok(query)
    }

    /// Gives a value for a keyword, as from a place that is not ssh_config. The first for a keyword wins.
    ///
    /// # Errors
    /// The keyword is not one, or the value is malformed: with the place.
    pub(crate) fn give(&mut self, name: &str, value: &str, span: SourceSpan) -> Result<(), ConfigError> {
        let KeywordLookup::Keyword(keyword) = keyword::find(&name.to_ascii_lowercase()) else {
            let what = format!("`{name}` is not a keyword of ssh_config");
            return Err(ConfigError::new(span, what, "see ssh_config(5)"));
        };
        self.given.push(OptionValue { keyword, words: vec![value.to_owned()], rest: value.to_owned(), span });
        Ok(())
    }

    /// An `IgnoreUnknown` before it names this keyword.
    fn ignores(&self, name: &str) -> bool {
        let setting = self.given.iter().find(|setting| setting.keyword.name == "IgnoreUnknown");
        setting.is_some_and(|setting| pattern::caseless(setting.first(), name))
    }

    /// Reads what follows `-o` on a command line: `Keyword value`, `Keyword=value`.
    ///
    /// # Errors
    /// What a file could not hold either, and `Host`, `Match` and `Include`.
    pub fn option(&mut self, text: &str, library: &FileCache) -> Result<(), ConfigError> {
        let source = library.note("command line", text);
        for line in lines(&source) {
            let line = line?;
            match keyword::find(&line.keyword.text) {
                KeywordLookup::Keyword(keyword) => {
                    value::check(keyword, &line)?;
                    self.given.push(OptionValue::of(keyword, &line));
                }
                KeywordLookup::Dropped(dropped) => self.remarks.dropped_option(&line, dropped),
                KeywordLookup::Unknown if self.ignores(&line.keyword.text) => self.remarks.ignored_option(&line),
                KeywordLookup::Unknown => {
                    let what = format!("`{}` cannot be an option", line.keyword.text);
                    let hint = keyword::did_you_mean(&line.keyword.text)
                        .map_or_else(|| "see ssh_config(5)".to_owned(), |meant| format!("did you mean `{meant}`?"));
                    return Err(line.error_at(&line.keyword, what, hint));
                }
            }
        }
        Ok(())
    }
}
