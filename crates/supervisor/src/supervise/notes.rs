//! What is set and has no effect: a line each in the log, however many tunnels it is for.

use std::collections::{HashMap, HashSet};

use crate::config::{Desired, TunnelSpec};

/// Tunnels that a line names; of more, the number.
const MAX_NAMES: usize = 5;

/// Tells the notes of enabled tunnels that did not have them before.
pub(super) fn log_notes(before: Option<&Desired>, now: &Desired) {
    for (note, tunnels) in new(before, now) {
        tracing::info!(tunnels = names(&tunnels), "{note}");
    }
}

/// Each note in the order of the config, and the tunnels that it is new for.
fn new<'a>(before: Option<&Desired>, now: &'a Desired) -> Vec<(String, Vec<&'a str>)> {
    let enabled = |tunnel: &&TunnelSpec| tunnel.enabled;
    let before = before.iter().flat_map(|desired| &desired.tunnels).filter(enabled);
    let old: HashMap<&str, HashSet<String>> =
        before.map(|tunnel| (tunnel.name.as_str(), tunnel.notes().into_iter().collect())).collect();
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for tunnel in now.tunnels.iter().filter(enabled) {
        let before = old.get(tunnel.name.as_str());
        for note in tunnel.notes().into_iter().filter(|note| before.is_none_or(|notes| !notes.contains(note))) {
            let at = *known.entry(note.clone()).or_insert(found.len());
            match found.get_mut(at) {
                Some((_, tunnels)) => tunnels.push(&tunnel.name),
                None => found.push((note, vec![&tunnel.name])),
            }
        }
    }
    found
}

fn names(tunnels: &[&str]) -> String {
    let named = tunnels.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
    match tunnels.len().saturating_sub(MAX_NAMES) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, load_text};

    fn desired(tunnels: &[(&str, &str)]) -> Desired {
        let one = |(name, macs): &(&str, &str)| {
            format!("[[tunnel]]\nname = '{name}'\nhost = '{name}'\nuser = 'u'\nmacs = '{macs}'\n")
        };
        let forward = |(index, tunnel)| format!("{}dynamic_forward = '{}'\n", one(tunnel), 1080 + index);
        let text: String = tunnels.iter().enumerate().map(forward).collect();
        load_text(Path::new("/t.toml"), &text, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn note_is_one_line_and_logged_only_when_new() {
        let old = "hmac-md5,hmac-sha2-256";
        let first = desired(&[("a", old), ("b", old), ("c", "hmac-sha2-256")]);
        let told = new(None, &first);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1, ["a", "b"]);
        assert!(new(Some(&first), &first).is_empty());
        let second = desired(&[("b", old), ("c", old)]);
        assert_eq!(new(Some(&first), &second)[0].1, ["c"]);
    }

    #[test]
    fn many_tunnels_are_counted() {
        assert_eq!(names(&["a", "b"]), "a, b");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
