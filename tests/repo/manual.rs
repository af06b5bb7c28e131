//! The manual pages are well-formed. That they say what the program has is tested beside the code.

use std::path::Path;
use std::process::Command;

use crate::sources::{read, root};

fn pages() -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(root().join("packaging/man")).expect("packaging/man");
    let pages: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    assert!(pages.len() >= 3, "{pages:?}");
    pages
}

#[test]
fn every_manual_page_is_without_warnings() {
    for page in pages() {
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page).output().expect("mandoc");
        let said = String::from_utf8_lossy(&lint.stdout);
        assert!(lint.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn every_manual_page_is_installed_in_its_section() {
    let makefile = read(&root().join("Makefile"));
    for page in pages() {
        let section = page.extension().and_then(|section| section.to_str()).expect("a section");
        let name = page.file_name().map(Path::new).expect("a name").display().to_string();
        let line = format!("$(DESTDIR)/usr/share/man/man{section} packaging/man/*.{section}\n");
        assert!(makefile.contains(&line), "`make install` does not install {name}");
    }
}
