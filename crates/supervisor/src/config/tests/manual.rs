//! tunneld.toml(5) has the keys that there are, and its examples are configs.

use std::collections::BTreeSet;

use super::*;
use crate::manual::{CONFIG, displays, items, section};

fn set<'a>(keys: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    keys.into_iter().collect()
}

fn described(title: &str) -> BTreeSet<&'static str> {
    set(items(&section(CONFIG, title), "Cm"))
}

#[test]
fn the_manual_describes_every_key_and_no_other() {
    for (title, keys) in [
        ("KEYS OF THE FILE", set(keys::FILE.iter().copied())),
        ("KEYS OF LOG", set(keys::LOG.iter().copied())),
        ("KEYS OF METRICS", set(keys::METRICS.iter().copied())),
        ("KEYS OF A TUNNEL", set(keys::TUNNEL.iter().copied())),
        ("KEYS OF BACKOFF", set(keys::BACKOFF.iter().copied())),
        ("FORWARDS", set([keys::FORWARD, keys::PROBE].concat())),
    ] {
        assert_eq!(described(title), keys, "{title}");
    }
}

#[test]
fn the_manual_says_which_keys_a_jump_host_has() {
    let section = section(CONFIG, "KEYS OF A JUMP HOST");
    let named: Vec<BTreeSet<&str>> = section
        .iter()
        .filter_map(|line| line.strip_prefix(".Cm "))
        .map(|line| set(line.split([' ', ',']).filter(|word| !word.is_empty() && *word != ".")))
        .collect();
    // proxy_jump; what it has; what it has not of the three sections.
    let [_, own, last, but, but_last, more @ ..] = named.as_slice() else { panic!("{named:?}") };
    let sections = ["Who we are", "Who the server is", "When it is dead"].map(described);
    let mut keys: BTreeSet<&str> = sections.into_iter().flatten().chain(own.union(last).copied()).collect();
    keys.retain(|key| !but.contains(key) && !but_last.contains(key));
    keys.extend(more.iter().flatten());
    assert_eq!(keys, set(keys::JUMP.iter().copied()));
}

#[test]
fn the_examples_of_the_manual_are_configs() {
    let examples = displays(&section(CONFIG, "EXAMPLES"));
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        assert!(!good(&example).tunnels.is_empty());
    }
}
