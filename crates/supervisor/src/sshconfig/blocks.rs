//! A file of ssh_config cut into its blocks, so that ten thousand questions about ten thousand blocks need not look at
//! each block each time.

use std::collections::HashMap;
use std::sync::Arc;

use super::keyword::{self, KeywordLookup};
use super::line::{ConfigLine, lines};
use super::value;
use crate::spec::{ConfigError, SourceFile};

/// A line, or what is wrong with it.
pub(super) type LineResult = Result<ConfigLine, ConfigError>;

/// The lines of one file.
pub(super) struct Blocks {
    /// Each begins with its `Host` or `Match`, but for the first.
    blocks: Vec<Vec<LineResult>>,
    /// Blocks about hosts that are named in full, and with nothing in them to be told to those who ask for others.
    named: HashMap<String, Vec<usize>>,
    /// All other blocks.
    others: Vec<usize>,
}

impl Blocks {
    pub(super) fn of(source: &Arc<SourceFile>) -> Self {
        let mut blocks = vec![Vec::new()];
        for read in lines(source) {
            let begins = read.as_ref().is_ok_and(|line| matches!(line.keyword.text.as_str(), "host" | "match"));
            match blocks.last_mut() {
                Some(block) if !begins => block.push(read),
                Some(_) | None => blocks.push(vec![read]),
            }
        }
        let (mut named, mut others): (HashMap<String, Vec<usize>>, _) = (HashMap::new(), Vec::new());
        for (at, block) in blocks.iter().enumerate() {
            match names(block) {
                // Before the first `Host` there is most often nothing.
                _ if block.is_empty() => {}
                Some(names) => names.for_each(|name| named.entry(name).or_default().push(at)),
                None => others.push(at),
            }
        }
        Self { blocks, named, others }
    }

    /// The only hosts to which any of it may say something; `None` where it may do so to all.
    pub(super) fn names(&self) -> Option<impl Iterator<Item = &str>> {
        self.others.is_empty().then(|| self.named.keys().map(String::as_str))
    }

    /// Those that may say something to who asks for `host`, in their order.
    pub(super) fn about(&self, host: &str) -> impl Iterator<Item = &[LineResult]> {
        let named = self.named.get(host).map(Vec::as_slice).unwrap_or_default();
        let mut at: Vec<usize> = self.others.iter().chain(named).copied().collect();
        at.sort_unstable();
        at.dedup();
        at.into_iter().filter_map(|at| self.blocks.get(at).map(Vec::as_slice))
    }
}

/// The hosts that a block is about, where it can be passed over by all others: no pattern, no error, no remark.
fn names(block: &[LineResult]) -> Option<impl Iterator<Item = String> + use<'_>> {
    let (Ok(head), body) = block.split_first()? else { return None };
    let is_name = |text: &str| !text.is_empty() && !text.contains(['*', '?', '!']);
    let passed = head.keyword.text == "host"
        && head.words.iter().all(|word| is_name(&word.text))
        && body.iter().all(|read| read.as_ref().is_ok_and(is_silent));
    passed.then(|| head.words.iter().map(|word| word.text.clone()))
}

/// Nothing is said of this line where its block does not apply.
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
