//! Blocks and files of ssh_config by the hosts that they name: ten thousand questions about ten thousand blocks do not look
//! at each block each time.

use std::collections::HashMap;
use std::sync::Arc;

use super::keyword::{self, KeywordLookup};
use super::line::{ConfigLine, lines};
use super::value;
use crate::spec::{ConfigError, MAX_ERRORS, SourceFile};

/// Lines of one file that only `IgnoreUnknown` can make right: two for each of ten thousand hosts. More is another file,
/// whose lines would take a hundred times its size in memory.
const MAX_UNKNOWN: usize = 20_000;

/// A line, or what is wrong with it.
pub(super) type LineResult = Result<ConfigLine, ConfigError>;

/// The blocks of one file. Each begins with its `Host` or `Match`, but for the first.
pub(super) type Blocks = ByHost<Vec<LineResult>>;

/// Parts of a configuration, each about a few hosts that are named in full, or about any.
pub(super) struct ByHost<T> {
    parts: Vec<T>,
    /// Indices of those that say nothing to any other host.
    named: HashMap<String, Vec<usize>>,
    /// Indices of all others.
    others: Vec<usize>,
}

impl<T> ByHost<T> {
    pub(super) fn new() -> Self {
        Self { parts: Vec::new(), named: HashMap::new(), others: Vec::new() }
    }

    /// Adds a part. `hosts` are the only ones that it may say something to; `None`: it may do so to all.
    pub(super) fn push(&mut self, part: T, hosts: Option<Vec<String>>) {
        let at = self.parts.len();
        match hosts {
            Some(hosts) => hosts.into_iter().for_each(|host| self.named.entry(host).or_default().push(at)),
            None => self.others.push(at),
        }
        self.parts.push(part);
    }

    /// The only hosts that any part may say something to; `None`: it may do so to all.
    pub(super) fn hosts(&self) -> Option<Vec<String>> {
        self.others.is_empty().then(|| self.named.keys().cloned().collect())
    }

    /// The parts that may say something to `host`, in their order.
    pub(super) fn about(&self, host: &str) -> impl Iterator<Item = &T> {
        let named = self.named.get(host).map(Vec::as_slice).unwrap_or_default();
        let mut at: Vec<usize> = self.others.iter().chain(named).copied().collect();
        at.sort_unstable();
        at.dedup();
        at.into_iter().filter_map(|at| self.parts.get(at))
    }
}

impl Blocks {
    pub(super) fn of(source: &Arc<SourceFile>) -> Self {
        let mut blocks = vec![Vec::new()];
        let (mut malformed, mut unknown) = (0, 0);
        for mut read in lines(source) {
            let begins = read.as_ref().is_ok_and(|line| matches!(line.keyword.text.as_str(), "host" | "match"));
            if let Ok(line) = &read {
                unknown += usize::from(!begins && is_unknown(line));
                if unknown > MAX_UNKNOWN {
                    let what = format!("more than {MAX_UNKNOWN} lines have no keyword of ssh_config");
                    read = Err(line.error_at(&line.keyword, what, "is this the wrong file?"));
                }
            }
            malformed += usize::from(read.is_err());
            match blocks.last_mut() {
                Some(block) if !begins => block.push(read),
                Some(_) | None => blocks.push(vec![read]),
            }
            // More are not told: nothing of the file counts.
            if malformed > MAX_ERRORS || unknown > MAX_UNKNOWN {
                break;
            }
        }
        let mut by_host = Self::new();
        // Before the first `Host` there is most often nothing.
        for block in blocks.into_iter().filter(|block| !block.is_empty()) {
            let hosts = names(&block);
            by_host.push(block, hosts);
        }
        by_host
    }
}

/// The hosts that a block is about, where it can be passed over by all others: no pattern, no error, no remark.
fn names(block: &[LineResult]) -> Option<Vec<String>> {
    let (Ok(head), body) = block.split_first()? else { return None };
    let is_name = |text: &str| !text.is_empty() && !text.contains(['*', '?', '!']);
    let passed = head.keyword.text == "host"
        && head.words.iter().all(|word| is_name(&word.text))
        && body.iter().all(|read| read.as_ref().is_ok_and(is_silent));
    passed.then(|| head.words.iter().map(|word| word.text.clone()).collect())
}

fn is_unknown(line: &ConfigLine) -> bool {
    line.keyword.text != "include" && matches!(keyword::find(&line.keyword.text), KeywordLookup::Unknown)
}

/// Where its block does not apply, this line has no error, no note and no effect.
fn is_silent(line: &ConfigLine) -> bool {
    match keyword::find(&line.keyword.text) {
        KeywordLookup::Keyword(keyword) => line.keyword.text != "include" && value::check(keyword, line).is_ok(),
        KeywordLookup::Dropped(_) | KeywordLookup::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn junk_is_left_after_a_bound() {
        let count = |line: &str, lines: usize| {
            let source = Arc::new(SourceFile::new(Path::new("f"), line.repeat(lines), 0));
            Blocks::of(&source).about("h").map(Vec::len).sum::<usize>()
        };
        assert_eq!(count("junk\n", 1000), MAX_ERRORS + 1);
        assert_eq!(count("junk x\n", MAX_UNKNOWN), MAX_UNKNOWN);
        assert_eq!(count("junk x\n", 2 * MAX_UNKNOWN), MAX_UNKNOWN + 1);
        assert_eq!(count("Host h\nInclude x\nMatch all\n", MAX_UNKNOWN), 3 * MAX_UNKNOWN);
    }

    #[test]
    fn blocks_of_other_hosts_are_skipped_unless_relevant() {
        let text = "Compression no\nHost a b\nPort 1\nHost a*\nPort 2\nHost c\nPort 3\nHost b\nPort x\nHost !d\nPort 4\n\
                    Host e\nBogus 1\nMatch host f\nPort 5\nHost g\nInclude x\nHost a\nUser u\n";
        let source = Arc::new(SourceFile::new(Path::new("f"), text.to_owned(), 0));
        let blocks = Blocks::of(&source);
        let of = |host: &str| {
            let heads = blocks.about(host).filter_map(|block| block.first()?.as_ref().ok());
            heads.map(|line| line.rest.text.clone()).collect::<Vec<_>>()
        };
        let always = ["no", "a*", "b", "!d", "e", "host f", "g"];
        assert_eq!(of("z"), always);
        assert_eq!(of("a"), ["no", "a b", "a*", "b", "!d", "e", "host f", "g", "a"]);
        assert_eq!(of("c"), ["no", "a*", "c", "b", "!d", "e", "host f", "g"]);
    }
}
