//! From names that people type to tunnels: pure.

use std::collections::HashSet;

use crate::config::TunnelSpec;
use crate::spec::shortened;

/// Names this close are suggested: one slip of the finger, or two in a long name.
const SIMILAR: f64 = 0.8;

/// Each suggestion costs a look at every name there is.
const MAX_SUGGESTIONS: usize = 8;

/// Longer than a name that is written by hand.
const MAX_COMPARED: usize = 200;

/// The names there are, each with its place.
pub(super) trait TunnelNames {
    fn place(&self, name: &str) -> Option<usize>;
    fn names(&self) -> impl ExactSizeIterator<Item = &str>;
}

/// The places of the named tunnels in `known`; all of them when no name is given. Every unknown name is in the error,
/// the first of them with a suggestion where there is one.
pub(super) fn resolve(names: &[String], known: &impl TunnelNames) -> Result<Vec<usize>, String> {
    if names.is_empty() {
        return Ok((0..known.names().len()).collect());
    }
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut errors = Vec::new();
    for name in names {
        match known.place(name) {
            Some(at) if seen.insert(at) => found.push(at),
            Some(_) => {}
            None => {
                let suggest = errors.len() < MAX_SUGGESTIONS && name.len() <= MAX_COMPARED;
                errors.push(unknown(name, suggest.then_some(known)));
            }
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors.join("; ")) }
}

/// The tunnels of a config, where no daemon is asked.
struct InConfig<'a>(&'a [TunnelSpec]);

impl TunnelNames for InConfig<'_> {
    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|tunnel| tunnel.name == name)
    }

    fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|tunnel| tunnel.name.as_str())
    }
}

/// The named tunnels of a config; all of them when no name is given.
///
/// # Errors
/// Every unknown name, with a suggestion where there is one.
pub fn named<'a>(tunnels: &'a [TunnelSpec], names: &[String]) -> Result<Vec<&'a TunnelSpec>, String> {
    let places = resolve(names, &InConfig(tunnels))?;
    Ok(places.into_iter().filter_map(|at| tunnels.get(at)).collect())
}

fn unknown(name: &str, known: Option<&impl TunnelNames>) -> String {
    let nearest = known.and_then(|known| {
        let alike = known.names().map(|known| (strsim::jaro_winkler(name, known), known));
        alike.filter(|(similarity, _)| *similarity >= SIMILAR).max_by(|(a, _), (b, _)| a.total_cmp(b))
    });
    let name = shortened(name, MAX_COMPARED);
    let name = name.escape_debug();
    match nearest {
        Some((_, nearest)) => format!("no tunnel is named `{name}`; did you mean `{nearest}`?"),
        None => format!("no tunnel is named `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slice<'a>(&'a [&'a str]);

    impl TunnelNames for Slice<'_> {
        fn place(&self, name: &str) -> Option<usize> {
            self.0.iter().position(|known| *known == name)
        }

        fn names(&self) -> impl ExactSizeIterator<Item = &str> {
            self.0.iter().copied()
        }
    }

    fn resolve(names: &[String], known: &[&str]) -> Result<Vec<usize>, String> {
        super::resolve(names, &Slice(known))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn no_name_means_all_and_a_name_twice_means_once() {
        assert_eq!(resolve(&[], &["a", "b"]), Ok(vec![0, 1]));
        assert_eq!(resolve(&names(&["b", "b"]), &["a", "b"]), Ok(vec![1]));
    }

    #[test]
    fn every_unknown_name_is_told_with_what_was_probably_meant() {
        let known = ["web-db", "mail"];
        assert_eq!(
            resolve(&names(&["wev-db", "mail", "zzz"]), &known),
            Err("no tunnel is named `wev-db`; did you mean `web-db`?; no tunnel is named `zzz`".to_owned())
        );
    }

    #[test]
    fn control_characters_of_a_name_are_escaped() {
        assert_eq!(resolve(&names(&["\u{1b}[2J"]), &["a"]), Err("no tunnel is named `\\u{1b}[2J`".to_owned()));
    }

    #[test]
    fn long_name_is_not_repeated_whole() {
        let error = resolve(&names(&["x".repeat(1 << 20).as_str()]), &["a"]).unwrap_err();
        assert!(error.len() < 300 && error.starts_with("no tunnel is named `xxx"), "{error}");
    }

    #[test]
    fn only_the_first_unknown_names_are_compared_with_all() {
        let asked = names(&["wev-db"; 2 * MAX_SUGGESTIONS]);
        let error = resolve(&asked, &["web-db"]).unwrap_err();
        assert_eq!(error.matches("no tunnel is named").count(), 2 * MAX_SUGGESTIONS);
        assert_eq!(error.matches("did you mean").count(), MAX_SUGGESTIONS);
    }
}
