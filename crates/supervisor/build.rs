//! Tells the program of which commit and how it is built. Reads the source tree only, so that the same tree gives the same
//! program: no time, no host name, no network. And has functions of the same code linked once, where the linker can.

use std::env;
use std::path::Path;
use std::process::Command;

const UNKNOWN: &str = "unknown";
/// Identical code folding. No code here compares the addresses of functions; it saves some 70 KB.
const FOLD: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let profile = profile();
    // A build for development would be made anew at each commit for the sake of this line.
    let commit = if profile == "debug" { None } else { commit() };
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or(UNKNOWN));
    println!("cargo::rustc-env=BUILD_PROFILE={profile}");
    println!("cargo::rustc-env=BUILD_TARGET={}", env::var("TARGET").unwrap_or(UNKNOWN.to_owned()));
    let rustc = env::var("RUSTC").unwrap_or("rustc".to_owned());
    println!("cargo::rustc-env=BUILD_COMPILER={}", output(&rustc, &["--version"]).unwrap_or(UNKNOWN.to_owned()));
    if profile != "debug" && links(&rustc, FOLD) {
        println!("cargo::rustc-link-arg-bins={FOLD}");
    }
}

/// Whether an empty program can be linked with this option. GNU ld knows none such; lld, which newer compilers bring, does.
fn links(rustc: &str, option: &str) -> bool {
    let (Ok(folder), Ok(target)) = (env::var("OUT_DIR"), env::var("TARGET")) else { return false };
    let (source, program) = (format!("{folder}/empty.rs"), format!("{folder}/empty"));
    if std::fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let linker = env::var("RUSTC_LINKER").map(|linker| format!("-Clinker={linker}"));
    let option = format!("-Clink-arg={option}");
    let words = ["--target", &target, &option, "-o", &program, &source];
    let words: Vec<&str> = words.into_iter().chain(linker.as_deref().ok()).collect();
    output(rustc, &words).is_some()
}

/// cargo tells scripts `release` for all optimised profiles; the folder has the profile's own name:
/// target/PROFILE/build/PACKAGE/out.
fn profile() -> String {
    let folder = env::var("OUT_DIR").unwrap_or_default();
    let name = Path::new(&folder).ancestors().nth(3).and_then(Path::file_name);
    name.map_or(UNKNOWN.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn commit() -> Option<String> {
    // A source tree that was unpacked inside another repository is not of that one's commit.
    if git(&["rev-parse", "--show-prefix"])? != "crates/supervisor/" {
        return None;
    }
    let commit = git(&["rev-parse", "--verify", "HEAD"])?;
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for path in ["src", "../tunnel-engine/src", "../../Cargo.toml", "../../Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let modified = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if modified { format!("{commit}-modified") } else { commit })
}

fn git(words: &[&str]) -> Option<String> {
    output("git", words)
}

fn output(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim_end().to_owned())
}
