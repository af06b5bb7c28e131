//! From names that people type to tunnels: pure.

/// Names this close are suggested: one slip of the finger, or two in a long name.
const SIMILAR: f64 = 0.8;

/// The places of the named tunnels in `known`; all of them when no name is given. Every unknown name is in the error,
/// with a suggestion where there is one.
pub(super) fn resolve(names: &[String], known: &[&str]) -> Result<Vec<usize>, String> {
    if names.is_empty() {
        return Ok((0..known.len()).collect());
    }
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match known.iter().position(|known| known == name) {
            Some(at) if found.contains(&at) => {}
            Some(at) => found.push(at),
            None => errors.push(unknown(name, known)),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors.join("; ")) }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((_, nearest)) => format!("no tunnel is named `{name}`; did you mean `{nearest}`?"),
        None => format!("no tunnel is named `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
