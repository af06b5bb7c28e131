//! Who may name what, how long a file may be, and what each begins with.

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

#[test]
fn the_machine_and_the_plan_know_no_runtime_and_no_clock() {
    let mut pure = files("crates/supervisor/src/lifecycle", ".rs");
    pure.extend(files("crates/supervisor/src/supervise", "plan.rs"));
    pure.extend(files("crates/tunnel-engine/src/spec", ".rs"));
    // Their tests may: a test's clock has to begin somewhere.
    pure.retain(|path| !path.iter().any(|part| part == "tests" || part == "tests.rs"));
    for path in pure {
        let text = read(&path);
        for word in ["tokio", "clock::", "std::fs", "std::net::Tcp", "fastrand::Rng::new()"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

/// The files of a tunnel that do things: those beside them decide.
const DOING: [&str; 13] = [
    "driver",
    "driver.rs",
    "handle.rs",
    "identity.rs",
    "inspect.rs",
    "jobs.rs",
    "on_change",
    "on_change.rs",
    "orders.rs",
    "release.rs",
    "remote_shell.rs",
    "stamp_batch.rs",
    "start.rs",
];

#[test]
fn the_core_of_a_tunnel_knows_no_runtime_and_no_clock() {
    let doing = |path: &std::path::Path| path.iter().any(|part| DOING.iter().any(|doing| *part == **doing));
    let test = |path: &std::path::Path| {
        path.iter().any(|part| part.to_str().is_some_and(|part| part.contains("test") || part == "fault_soak.rs"))
    };
    let mut core = files("crates/supervisor/src/tunnel", ".rs");
    core.retain(|path| {
        let within = path.strip_prefix(root()).expect("below the root");
        !doing(within) && !test(within)
    });
    assert!(core.len() > 30, "{core:?}");
    for path in core {
        let text = read(&path);
        // Its tests may: a test's clock has to begin somewhere.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for word in ["tokio", "clock::", "async ", "task::", "AbortHandle", "Moment::now"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
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
