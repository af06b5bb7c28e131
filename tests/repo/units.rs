//! The unit files: hardened alike, and every example explained.

use std::collections::BTreeSet;

use crate::sources::{files, read, root};

/// First and last line of what a unit forbids the process.
const SANDBOX: (&str, &str) = ("CapabilityBoundingSet=", "UMask=0077");

/// The directives of a unit between the two lines.
fn sandbox(unit: &str) -> BTreeSet<String> {
    let text = read(&root().join("systemd").join(unit));
    let lines: Vec<&str> = text.lines().collect();
    let at = |wanted: &str| lines.iter().position(|line| *line == wanted).expect(wanted);
    let directives = lines[at(SANDBOX.0)..=at(SANDBOX.1)].iter().filter(|line| !line.starts_with('#'));
    let families = lines.iter().filter(|line| line.starts_with("RestrictAddressFamilies="));
    directives.chain(families).map(|line| (*line).to_owned()).collect()
}

#[test]
fn template_is_hardened_as_the_service_is() {
    let service = sandbox("tunneld.service");
    assert!(service.len() > 20, "{service:?}");
    assert_eq!(service, sandbox("tunneld@.service"));
}

#[test]
fn every_example_is_in_the_documents() {
    let document = read(&root().join("docs/systemd.md"));
    let examples = [files("systemd/examples", ".conf"), files("systemd/examples", ".service")].concat();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in examples {
        let name = example.file_name().expect("a name").to_string_lossy();
        assert!(document.contains(&*name), "docs/systemd.md does not name {name}");
    }
}
