//! Why each dependency is there is written down.

use std::collections::BTreeSet;

use crate::sources::{read, root};

/// The workspace's own crates, which need no reason.
const OURS: [&str; 2] = ["tunnel-engine", "supervisor"];

#[test]
fn every_direct_dependency_has_its_reason() {
    let manifest: toml::Table = read(&root().join("Cargo.toml")).parse().expect("the workspace's manifest");
    let declared: BTreeSet<&str> = manifest["workspace"]["dependencies"]
        .as_table()
        .expect("a table of dependencies")
        .keys()
        .map(String::as_str)
        .filter(|name| !OURS.contains(name))
        .collect();
    let text = read(&root().join("docs/dependencies.md"));
    let told: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    assert_eq!(told, declared, "docs/dependencies.md (left) and [workspace.dependencies] (right)");
}
