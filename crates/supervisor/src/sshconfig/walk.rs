//! One pass over the files: which blocks apply, what they set, what they include.

use std::path::{Path, PathBuf};

use tunnel_engine::spec::{Destination, wildcard};

use super::blocks::Blocks;
use super::host_facts::HostFacts;
use super::include_cache::{CachedFile, FileCache};
use super::jump;
use super::keyword::{self, KeywordLookup};
use super::line::ConfigLine;
use super::notes::NoteCollector;
use super::options::{OptionValue, Options};
use super::query::{ConfigFiles, Query};
use super::tokens::{self, Tokens};
use super::{pattern, value};
use crate::spec::{ConfigError, MAX_ERRORS};

/// As ssh: deeper nesting is a file that includes itself.
const DEEPEST: usize = 16;
/// Files that are included for one host, each time counted. More is a few files that include each other: 16 levels of
/// three lines each come to 43 million.
const MAX_INCLUDED: usize = 100_000;
pub(crate) const SYSTEM_FILE: &str = "/etc/ssh/ssh_config";
const SYSTEM_FOLDER: &str = "/etc/ssh";

/// The state of a pass.
pub(super) struct ReadPass<'a> {
    pub(super) facts: &'a dyn HostFacts,
    pub(super) library: &'a FileCache,
    pub(super) query: &'a Query,
    /// What `Host` patterns are compared with: the name as it was typed, in the last pass the one that is dialled.
    pub(super) host: String,
    pub(super) last_pass: bool,
    /// `Match final` asks for a second pass, with the host name known.
    pub(super) wants_last_pass: bool,
    pub(super) options: Options,
    pub(super) errors: Vec<ConfigError>,
    /// Of words that set nothing.
    pub(super) remarks: NoteCollector,
    /// Those that were read, and those that would be if they were there; of those that are included, the ones that may
    /// say something about the host.
    pub(super) files: Vec<PathBuf>,
    pub(super) included: Included,
}

#[derive(Default)]
pub(super) struct Included {
    files: usize,
    /// It was too deep or too much, which is an error: as with ssh, nothing more is included.
    ended: bool,
}

#[derive(Clone, Copy)]
struct Scope {
    /// It is the user's: `~` and relative paths are theirs.
    user: bool,
    /// It is included by a block that does not apply: it is read for its errors only.
    never: bool,
    depth: usize,
}

impl ReadPass<'_> {
    pub(super) fn files(&mut self) {
        let user = Scope { user: true, never: false, depth: 0 };
        match &self.query.files {
            ConfigFiles::None => {}
            // A file that is asked for by name must exist, and may belong to any account.
            ConfigFiles::One(path) => {
                if !self.open(path, user, &mut true, false) {
                    let what = "there is no such file";
                    self.errors.push(ConfigError::of_file(path, what, "name the ssh_config to read"));
                }
            }
            ConfigFiles::Usual => {
                if let Some(path) = self.facts.home().map(|home| home.join(".ssh/config")) {
                    self.open(&path, user, &mut true, true);
                }
                self.open(Path::new(SYSTEM_FILE), Scope { user: false, ..user }, &mut true, false);
            }
        }
    }

    /// False: the file is not there.
    fn open(&mut self, path: &Path, scope: Scope, active: &mut bool, guarded: bool) -> bool {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
        }
        match self.library.open(path, self.facts) {
            CachedFile::Missing => return false,
            CachedFile::PrivateKey => {
                let hint = "name the ssh_config, and the key with `IdentityFile` in it";
                self.errors.push(ConfigError::of_file(path, "the file is a private key, not an ssh_config", hint));
            }
            CachedFile::Unreadable(error) => {
                let what = format!("the file cannot be read: {error}");
                self.errors.push(ConfigError::of_file(path, what, "give tunneld the right to read it"));
            }
            CachedFile::Text { trusted: false, .. } if guarded => {
                let what = "others than root and the account that runs tunneld can write the file";
                let hint = format!("run `chmod go-w {}`, and see that it belongs to one of them", path.display());
                self.errors.push(ConfigError::of_file(path, what, hint));
            }
            CachedFile::Text { blocks, .. } => self.read(&blocks, scope, active),
        }
        true
    }

    fn read(&mut self, blocks: &Blocks, scope: Scope, active: &mut bool) {
        let host = self.host.clone();
        for read in blocks.about(&host).flatten() {
            // One more than is told: the file is perhaps no ssh_config.
            if self.errors.len() > MAX_ERRORS {
                return;
            }
            let done = match read {
                Ok(line) => self.line(line, scope, active),
                Err(error) => Err(error.clone()),
            };
            self.errors.extend(done.err());
        }
    }

    fn line(&mut self, line: &ConfigLine, scope: Scope, active: &mut bool) -> Result<(), ConfigError> {
        match line.keyword.text.as_str() {
            "host" => {
                *active = false;
                *active = self.host_line(line)? && !scope.never;
            }
            "match" => {
                *active = false;
                *active = self.match_line(line, scope.never)?;
            }
            "include" => self.include(line, scope, active)?,
            _ => self.option(line, *active)?,
        }
        Ok(())
    }

    /// A keyword that sets a value.
    pub(super) fn option(&mut self, line: &ConfigLine, active: bool) -> Result<(), ConfigError> {
        let name = line.keyword.text.as_str();
        match keyword::find(name) {
            KeywordLookup::Keyword(keyword) => {
                value::check(keyword, line)?;
                if active {
                    self.options.set(OptionValue::of(keyword, line));
                }
            }
            KeywordLookup::Dropped(dropped) => self.remarks.dropped(line, dropped, active),
            KeywordLookup::Unknown
                if self.options.word("IgnoreUnknown").is_some_and(|list| pattern::caseless(list, name)) =>
            {
                self.remarks.ignored(line, active);
            }
            KeywordLookup::Unknown => {
                let quotable = |name| line.source.quotable(name);
                let hint = match keyword::did_you_mean(name) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("remove it, or write `IgnoreUnknown {}` at the top of the file", quotable(name)),
                };
                let what = format!("`{}` is not a keyword of ssh_config", quotable(line.keyword_as_written()));
                return Err(line.error_at(&line.keyword, what, hint).without_rest_of_line());
            }
        }
        Ok(())
    }

    fn host_line(&self, line: &ConfigLine) -> Result<bool, ConfigError> {
        let mut any = false;
        for word in &line.words {
            let (negated, text) = match word.text.strip_prefix('!') {
                Some(text) => (true, text),
                None => (false, word.text.as_str()),
            };
            if word.text.is_empty() {
                return Err(line.error_at(word, "the pattern is empty", "write a name, or `*` for any"));
            }
            if wildcard(text, &self.host) {
                if negated {
                    return Ok(false);
                }
                any = true;
            }
        }
        Ok(any)
    }

    fn include(&mut self, line: &ConfigLine, scope: Scope, active: &mut bool) -> Result<(), ConfigError> {
        for word in &line.words {
            if self.included.ended {
                return Ok(());
            }
            if word.text.is_empty() {
                return Err(line.error_at(word, "the path is empty", "name a file, or a pattern"));
            }
            if word.text.starts_with('~') && !scope.user {
                let what = "the system's file includes a file of a user";
                return Err(line.error_at(word, what, "write the whole path"));
            }
            if scope.depth >= DEEPEST {
                self.included.ended = true;
                let what = format!("includes are nested more than {DEEPEST} deep");
                return Err(line.error_at(word, what, "does a file include itself?"));
            }
            let span = line.span(word);
            let pattern = self.tokens()?.expand(&word.text, Some(self.facts), &span)?;
            let pattern = if scope.user { tokens::tilde(&pattern, self.facts, &span)? } else { pattern };
            let pattern = match (pattern.starts_with('/'), scope.user) {
                (true, _) => pattern,
                (false, true) => tokens::tilde(&format!("~/.ssh/{pattern}"), self.facts, &span)?,
                (false, false) => format!("{SYSTEM_FOLDER}/{pattern}"),
            };
            let outside = *active;
            let inner = Scope { never: scope.never || !outside, depth: scope.depth + 1, ..scope };
            let (files, host) = (self.library.included(&pattern, self.facts), self.host.clone());
            for path in files.about(&host) {
                if self.included.ended {
                    return Ok(());
                }
                self.included.files += 1;
                if self.included.files > MAX_INCLUDED {
                    self.included.ended = true;
                    let what = format!("more than {MAX_INCLUDED} files are included, each time counted");
                    return Err(line.error_at(word, what, "do files include each other?"));
                }
                let mut inside = outside;
                self.open(path, inner, &mut inside, true);
            }
        }
        Ok(())
    }

    /// The name to dial, as far as it is known.
    pub(super) fn current_host(&self) -> Result<String, ConfigError> {
        match self.options.get("Hostname") {
            // In the last pass it is the name that was found.
            _ if self.last_pass => Ok(self.host.clone()),
            Some(setting) => Tokens::of_hostname(&self.query.host).expand(setting.first(), None, &setting.span),
            None => Ok(self.query.host.clone()),
        }
    }

    pub(super) fn current_user(&self) -> &str {
        self.options.word("User").or(self.facts.user()).unwrap_or_default()
    }

    pub(super) fn current_port(&self) -> u16 {
        self.options.word("Port").and_then(value::port).unwrap_or(Destination::DEFAULT_PORT)
    }

    /// The jump host next to the server.
    pub(super) fn current_jump(&self) -> String {
        let hops = self.options.get("ProxyJump").and_then(|setting| jump::parse(&setting.rest).ok().flatten());
        hops.and_then(|mut hops| hops.pop()).map(|hop| hop.host).unwrap_or_default()
    }
}
