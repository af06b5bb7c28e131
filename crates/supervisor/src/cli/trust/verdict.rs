//! What becomes of the keys that a server showed. Pure.

use tunnel_engine::failure::Failure;
use tunnel_engine::hostkey::{HostKey, Standing};

/// How the user can know.
pub(super) const COMPARE: &str = "\
Compare them with what the server's owner says, or with the server itself, there:
  for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done
";

/// A key of the server, and what known_hosts has about it.
pub(super) struct Shown {
    pub(super) key: HostKey,
    pub(super) standing: Standing,
}

/// What to do with the keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: the server is known.
    Known,
    /// The fingerprint is that of none of them.
    Other,
    /// These are written without a question.
    Write(Vec<HostKey>),
    /// These are written if the user agrees.
    Ask(Vec<HostKey>),
}

/// A typed answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Trust(Vec<HostKey>),
    No,
    Unclear,
}

pub(super) fn table(server: &str, shown: &[Shown]) -> String {
    let width = shown.iter().map(|shown| shown.key.kind().len()).max().unwrap_or_default();
    let rows = shown.iter().map(|Shown { key, standing }| {
        let note = match standing {
            Standing::Known(at) => format!("  known: {at}"),
            Standing::New => String::new(),
            Standing::Changed(_) => "  known with another key".to_owned(),
            Standing::Revoked(_) => "  revoked".to_owned(),
        };
        format!("  {:width$}  {}{note}\n", key.kind(), key.fingerprint())
    });
    format!("`{server}` has these host keys:\n{}", rows.collect::<String>())
}

/// What forbids to trust this server at all.
pub(super) fn objection(shown: &[Shown]) -> Option<Failure> {
    shown.iter().find_map(|shown| match &shown.standing {
        Standing::Revoked(failure) | Standing::Changed(failure) => Some(failure.clone()),
        Standing::Known(_) | Standing::New => None,
    })
}

/// Nothing stands against any of the keys.
pub(super) fn judge(shown: &[Shown], fingerprint: Option<&str>) -> Verdict {
    let is_known = |shown: &Shown| matches!(shown.standing, Standing::Known(_));
    if let Some(fingerprint) = fingerprint {
        return match shown.iter().find(|shown| has(&shown.key, fingerprint)) {
            None => Verdict::Other,
            Some(found) if is_known(found) => Verdict::Known,
            Some(found) => Verdict::Write(vec![found.key.clone()]),
        };
    }
    if shown.iter().any(is_known) {
        return Verdict::Known;
    }
    Verdict::Ask(shown.iter().map(|shown| shown.key.clone()).collect())
}

/// ssh's words, and a fingerprint for one of the keys.
pub(super) fn answer(text: &str, new: &[HostKey]) -> Answer {
    if text.eq_ignore_ascii_case("yes") {
        return Answer::Trust(new.to_vec());
    }
    if text.eq_ignore_ascii_case("no") {
        return Answer::No;
    }
    match new.iter().find(|key| has(key, text)) {
        Some(key) => Answer::Trust(vec![key.clone()]),
        None => Answer::Unclear,
    }
}

/// A fingerprint as it is copied: some tools write base64 with its padding.
fn has(key: &HostKey, fingerprint: &str) -> bool {
    key.fingerprint() == fingerprint.trim().trim_end_matches('=')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tunnel_engine::failure::FailureKind;
    use tunnel_engine::hostkey::Place;

    use super::*;

    const A: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh";
    const B: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIMHAzAHg1Zk5Rq1n4AMp5jHyHYtOlhgOqPVDFfVDC3ib";

    fn key(base64: &str) -> HostKey {
        HostKey::parse("ssh-ed25519", base64).unwrap()
    }

    fn shown(base64: &str, standing: Standing) -> Shown {
        Shown { key: key(base64), standing }
    }

    fn known() -> Standing {
        Standing::Known(Place { file: Path::new("/k").into(), line: 3 })
    }

    #[test]
    fn a_known_server_needs_no_answer() {
        let keys = [shown(A, known()), shown(B, Standing::New)];
        assert_eq!(judge(&keys, None), Verdict::Known);
        assert_eq!(judge(&keys, Some(&key(A).fingerprint())), Verdict::Known);
        assert_eq!(judge(&keys, Some(&key(B).fingerprint())), Verdict::Write(vec![key(B)]));
        let table = table("h", &keys);
        assert!(table.contains("known: /k:3") && table.contains(&key(B).fingerprint()), "{table}");
    }

    #[test]
    fn a_fingerprint_stands_for_one_key_or_none() {
        let keys = [shown(A, Standing::New), shown(B, Standing::New)];
        assert_eq!(judge(&keys, None), Verdict::Ask(vec![key(A), key(B)]));
        assert_eq!(judge(&keys, Some(&format!("{}=", key(A).fingerprint()))), Verdict::Write(vec![key(A)]));
        assert_eq!(judge(&keys, Some("SHA256:x")), Verdict::Other);
    }

    #[test]
    fn changed_and_revoked_keys_are_objections() {
        let failure = Failure::new(FailureKind::HostKeyChanged, "changed");
        let keys = [shown(A, known()), shown(B, Standing::Changed(failure.clone()))];
        assert_eq!(objection(&keys), Some(failure));
        assert_eq!(objection(&keys[..1]), None);
    }

    #[test]
    fn answers_are_ssh_words_or_a_fingerprint() {
        let new = [key(A), key(B)];
        assert_eq!(answer("Yes", &new), Answer::Trust(new.to_vec()));
        assert_eq!(answer("no", &new), Answer::No);
        assert_eq!(answer(&key(B).fingerprint(), &new), Answer::Trust(vec![key(B)]));
        assert_eq!(answer("y", &new), Answer::Unclear);
        assert_eq!(answer("", &new), Answer::Unclear);
    }
}
