//! The example config that is installed: it is read by people and copied from, so each of its lines must be true.

use super::*;

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/tunneld.toml"));

/// A line `#key = value`.
fn commented_key(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '))?.split_once(" = ")?;
    Some(key)
}

#[test]
fn the_example_config_is_right_and_starts_nothing() {
    let desired = good(EXAMPLE);
    assert!(!desired.tunnels.is_empty());
    assert!(desired.tunnels.iter().all(|tunnel| !tunnel.enabled));
}

#[test]
fn every_commented_key_of_the_example_is_known_and_works() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let mut tried = 0;
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| commented_key(line).is_some()) {
        tried += 1;
        let mut changed = lines.clone();
        changed[index] = &line[1..];
        let Err(errors) = read(&changed.join("\n")) else { continue };
        let expected = |what: &str| what == "both `host` and `hosts` are set";
        assert!(errors.iter().all(|error| expected(error.what())), "{line}\n{errors}");
    }
    assert!(tried > 40, "only {tried} keys");
}

#[test]
fn the_example_mentions_every_key() {
    let tables = [keys::FILE, keys::LOG, keys::METRICS, keys::TUNNEL, keys::BACKOFF, keys::FORWARD];
    let written = |key: &&str| {
        EXAMPLE.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = ")))
            || EXAMPLE.contains(&format!("[{key}]"))
            || EXAMPLE.contains(&format!(" {key} = "))
    };
    let missing: Vec<&str> = tables.concat().into_iter().filter(|key| !written(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
