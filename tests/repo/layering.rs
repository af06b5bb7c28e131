//! Who may name what, how long a file may be, and what each begins with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::sources::{files, read, root};

/// A file longer than this has more than one purpose.
const MAX_LINES: usize = 500;

#[test]
fn russh_is_named_only_in_its_folders() {
    let folders = ["session", "auth", "hostkey", "demo_server"];
    for path in files("crates", ".rs") {
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        let behind = relative.starts_with("crates/tunnel-engine/")
            && folders.iter().any(|folder| relative.contains(&format!("src/{folder}")));
        let names = read(&path)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .any(|line| line.contains("russh::"));
        assert!(behind || !names, "{relative} names russh");
    }
}

/// The modules of a crate: each uses only those before it. `lib.rs` and `main.rs` stand above all.
struct Order {
    krate: &'static str,
    modules: &'static [&'static str],
}

const SUPERVISOR: Order = Order {
    krate: "supervisor",
    modules: &[
        "exit",
        "build_info",
        "troubleshooting",
        "manual",
        "spec",
        "lifecycle",
        "word",
        "sshconfig",
        "config",
        "os",
        "history",
        "protocol",
        "plan",
        "servers",
        "tunnel",
        "supervise",
        "control",
        "http",
        "autossh",
        "import",
        "container",
        "doctor",
        "cli",
    ],
};

const ENGINE: Order = Order {
    krate: "tunnel-engine",
    modules: &[
        "clock",
        "task",
        "alarm",
        "backoff",
        "file",
        "shortage",
        "words",
        "services",
        "lookup",
        "spec",
        "failure",
        "log_limit",
        "child",
        "transport",
        "hostkey",
        "login_record",
        "link",
        "auth",
        "session",
        "dial",
        "examine",
        "forward",
        "demo_server",
        "fuzzing",
    ],
};

/// What a pure file does not name: a runtime, a clock, files, sockets, chance and the environment.
const IMPURE: [&str; 7] =
    ["tokio::", "clock::now(", "clock::wall(", "std::fs", "std::net::Tcp", "fastrand::u64(", "std::env::"];

/// A file without its tests, which may use what they like: a test's clock has to begin somewhere.
fn production(path: &Path) -> Option<String> {
    let tests = ["tests", "tests.rs", "fuzzing.rs"];
    if path.iter().any(|part| tests.iter().any(|name| part == *name)) {
        return None;
    }
    let text = read(path);
    Some(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned())
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The module of the crate that a file is in; `None` for `lib.rs` and `main.rs`.
fn module(krate: &str, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root().join(format!("crates/{krate}/src"))).expect("a file of the crate");
    let first = relative.iter().next()?.to_string_lossy().into_owned();
    let name = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
    (!["lib", "main"].contains(&name.as_str())).then_some(name)
}

/// The modules that a line names: `crate::one::…`, `crate::{one, two::…}`.
fn named(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group.split(',')),
            None => names.push(rest),
        }
    }
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    names.into_iter().filter_map(|path| path.trim().split(ends).next()).collect()
}

fn modules_use_only_those_below_them(order: &Order) {
    let Order { krate, modules } = order;
    let rank = |name: &str| modules.iter().position(|module| *module == name);
    let mut used = 0;
    for path in files(&format!("crates/{krate}/src"), ".rs") {
        let Some(here) = module(krate, &path) else { continue };
        let at = rank(&here).unwrap_or_else(|| panic!("{here} is not in the list of modules"));
        let Some(text) = production(&path) else { continue };
        for name in code(&text).flat_map(named) {
            let Some(other) = rank(name).filter(|other| *other != at) else { continue };
            assert!(other < at, "{} uses {name}, which is above {here}", path.display());
            used += 1;
        }
    }
    assert!(used > 100, "only {used} uses were found");
}

fn modules_in_the_list_exist(order: &Order) {
    let Order { krate, modules } = order;
    let there: BTreeSet<String> =
        files(&format!("crates/{krate}/src"), ".rs").iter().filter_map(|path| module(krate, path)).collect();
    assert_eq!(there, modules.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn modules_of_the_supervisor_use_only_those_below_them() {
    modules_use_only_those_below_them(&SUPERVISOR);
}

#[test]
fn modules_of_the_supervisor_in_the_list_exist() {
    modules_in_the_list_exist(&SUPERVISOR);
}

#[test]
fn modules_of_the_engine_use_only_those_below_them() {
    modules_use_only_those_below_them(&ENGINE);
}

#[test]
fn modules_of_the_engine_in_the_list_exist() {
    modules_in_the_list_exist(&ENGINE);
}

/// Those that say so at their beginning, and the folders that are pure as a whole.
fn pure_files() -> Vec<PathBuf> {
    let folders = ["supervisor/src/lifecycle", "supervisor/src/plan", "supervisor/src/spec", "tunnel-engine/src/spec"];
    let folders = folders.map(|folder| format!("crates/{folder}"));
    let whole = |path: &Path| {
        let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        folders.iter().any(|folder| path == format!("{folder}.rs") || path.starts_with(&format!("{folder}/")))
    };
    let says = |path: &Path| {
        let text = read(path);
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let head = head.join(" ");
        ["Pure.", "Pure:", ": pure."].iter().any(|word| head.contains(word))
    };
    for folder in &folders {
        assert!(files("crates", ".rs").iter().any(|path| path.starts_with(root().join(folder))), "no file in {folder}");
    }
    files("crates", ".rs").into_iter().filter(|path| whole(path) || says(path)).collect()
}

#[test]
fn pure_files_know_no_runtime_and_no_clock() {
    let pure = pure_files();
    assert!(pure.len() > 60, "only {} pure files were found", pure.len());
    for path in &pure {
        let Some(text) = production(path) else { continue };
        for line in code(&text) {
            for word in IMPURE {
                assert!(!line.contains(word), "{} is pure and names {word}", path.display());
            }
        }
    }
    let rest: String = files("crates", ".rs").iter().filter_map(|path| production(path)).collect();
    for word in IMPURE {
        assert!(rest.contains(word), "no file of all names {word}: the pattern matches nothing");
    }
}

#[test]
fn every_file_says_what_it_is_for_and_has_one_purpose() {
    for folder in ["crates", "tests"] {
        for path in files(folder, ".rs") {
            let text = read(&path);
            assert!(text.starts_with("//!") || path.ends_with("build.rs"), "{} has no //! line", path.display());
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines: split it by purpose", path.display());
        }
    }
}

#[test]
fn nothing_is_left_undone() {
    for path in files("crates", ".rs") {
        let text = read(&path);
        for word in ["todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn each_state_of_the_machine_is_in_its_picture() {
    let pictures =
        [read(&root().join("crates/supervisor/src/lifecycle/state.rs")), read(&root().join("docs/ARCHITECTURE.md"))];
    for state in ["Stopped", "Connecting", "Up", "Backoff", "Blocked", "Failed", "Stopping"] {
        for picture in &pictures {
            assert!(picture.contains(state), "{state} is not drawn");
        }
    }
}
