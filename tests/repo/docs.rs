//! What the documents say is true: configs parse, links lead somewhere, every failure kind has an entry.

use supervisor::config::{Overrides, load};
use supervisor::troubleshooting;
use tunnel_engine::failure::FailureKind;

use crate::sources::{files, read, root};

/// The ```toml blocks of a Markdown text.
fn toml_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (None, "```toml") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_config_in_the_documents_is_valid() {
    let mut documents = files("docs", ".md");
    documents.push(root().join("README.md"));
    let blocks: Vec<_> = documents
        .iter()
        .flat_map(|path| toml_blocks(&read(path)).into_iter().map(move |block| (path, block)))
        .collect();
    assert!(blocks.len() >= 5, "only {} configs found in the documents", blocks.len());
    for (path, block) in blocks {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("tunneld.toml");
        std::fs::write(&file, &block).expect("a config");
        if let Err(errors) = load(&file, &Overrides::default()) {
            panic!("{}:\n{block}\n{errors}", path.display());
        }
    }
}

#[test]
fn every_failure_kind_has_an_entry_in_troubleshooting() {
    let text = read(&root().join("docs/troubleshooting.md"));
    let entries: Vec<&str> = text.split("\n### `").skip(1).collect();
    for kind in FailureKind::ALL {
        let entry = entries.iter().find_map(|entry| entry.strip_prefix(&format!("{kind}`\n")));
        let entry = entry.unwrap_or_else(|| panic!("no entry for {kind}"));
        let seen = format!("**You see**\n\n```text\n{kind}: ");
        for part in [seen.as_str(), "**It means** ", "**What to do**\n\n1. "] {
            assert!(entry.contains(part), "the entry for {kind} lacks {part:?}");
        }
        let class = if kind.is_permanent() { ["*Blocked", "*Failed"] } else { ["*Retried", "*Retried"] };
        assert!(class.iter().any(|class| entry.trim_start().starts_with(class)), "{kind} is of another class");
    }
}

#[test]
fn every_failure_kind_leads_to_its_entry_as_installed() {
    let folder = troubleshooting::PAGE.rsplit_once('/').expect("a path").0;
    let makefile = read(&root().join("Makefile"));
    assert!(makefile.contains(&format!("$(DESTDIR){folder} docs/*.md")), "`make install` puts no page into {folder}");
    let page = read(&root().join("docs/troubleshooting.md"));
    // An anchor is the text of its heading, without backticks.
    let headings: Vec<String> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).map(|heading| heading.replace('`', "")).collect();
    for kind in FailureKind::ALL {
        let entry = troubleshooting::entry(*kind);
        let (file, anchor) = entry.split_once('#').expect("an anchor");
        assert_eq!(file, troubleshooting::PAGE);
        assert!(headings.iter().any(|heading| heading == anchor), "{entry} leads nowhere");
        assert!(page.contains(&format!("[`{anchor}`](#{anchor})")), "{anchor} is not in the list of kinds");
    }
}

#[test]
fn every_link_between_documents_leads_to_a_file() {
    let mut documents = files("docs", ".md");
    documents.extend(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "RELEASING.md", "SECURITY.md"].map(|name| root().join(name)),
    );
    for path in documents {
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = path.parent().expect("a document is in a folder").join(file);
            assert!(target.exists(), "{} links to {link}", path.display());
        }
    }
}
