//! What becomes of the keys that a server showed. Pure.

use tunnel_engine::failure::Failure;
use tunnel_engine::hostkey::{HostKey, KeyStanding};

use super::fingerprint::Fingerprint;

/// How a user can check a fingerprint.
pub(super) const COMPARE: &str = "\
Compare them with what the server's owner says, or with the server itself, there:
  for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done
";

/// A key of the server, and what known_hosts has about it.
pub(super) struct ShownKey {
    pub(super) key: HostKey,
    pub(super) standing: KeyStanding,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrustVerdict {
    /// Nothing: the server is known.
    Known,
    /// The fingerprint is that of none of them.
    Other,
    /// These are written without a question.
    Write(Vec<HostKey>),
    /// These are written if the user agrees.
    Ask(Vec<HostKey>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    Trust(Vec<HostKey>),
    No,
    Unclear,
}

pub(super) fn table(server: &str, shown: &[ShownKey]) -> String {
    let width = shown.iter().map(|shown| shown.key.kind().len()).max().unwrap_or_default();
    let rows = shown.iter().map(|ShownKey { key, standing }| {
        let note = match standing {
            KeyStanding::Known(at) => format!("  known: {at}"),
            KeyStanding::New => String::new(),
            KeyStanding::Changed(_) => "  known with another key".to_owned(),
            KeyStanding::Revoked(_) => "  revoked".to_owned(),
        };
        format!("  {:width$}  {}{note}\n", key.kind(), key.fingerprint())
    });
    format!("`{server}` has these host keys:\n{}", rows.collect::<String>())
}

/// What forbids to trust this server at all.
pub(super) fn objection(shown: &[ShownKey]) -> Option<Failure> {
    shown.iter().find_map(|shown| match &shown.standing {
        KeyStanding::Revoked(failure) | KeyStanding::Changed(failure) => Some(failure.clone()),
        KeyStanding::Known(_) | KeyStanding::New => None,
    })
}

/// Nothing stands against any of the keys.
pub(super) fn judge(shown: &[ShownKey], fingerprint: Option<&Fingerprint>) -> TrustVerdict {
    let is_known = |shown: &ShownKey| matches!(shown.standing, KeyStanding::Known(_));
    if let Some(fingerprint) = fingerprint {
        return match shown.iter().find(|shown| fingerprint.is_of(&shown.key)) {
            None => TrustVerdict::Other,
            Some(found) if is_known(found) => TrustVerdict::Known,
            Some(found) => TrustVerdict::Write(vec![found.key.clone()]),
        };
    }
    if shown.iter().any(is_known) {
        return TrustVerdict::Known;
    }
    TrustVerdict::Ask(shown.iter().map(|shown| shown.key.clone()).collect())
}

/// ssh's words, and a fingerprint for one of the keys.
pub(super) fn answer(text: &str, new: &[HostKey]) -> Confirmation {
    if text.eq_ignore_ascii_case("yes") {
        return Confirmation::Trust(new.to_vec());
    }
    if text.eq_ignore_ascii_case("no") {
        return Confirmation::No;
    }
    let fingerprint = text.parse::<Fingerprint>().ok();
    match new.iter().find(|key| fingerprint.as_ref().is_some_and(|fingerprint| fingerprint.is_of(key))) {
        Some(key) => Confirmation::Trust(vec![key.clone()]),
        None => Confirmation::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tunnel_engine::failure::FailureKind;
    use tunnel_engine::hostkey::LinePosition;

    use super::*;

    const A: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh";
    const B: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIMHAzAHg1Zk5Rq1n4AMp5jHyHYtOlhgOqPVDFfVDC3ib";

    fn key(base64: &str) -> HostKey {
        HostKey::parse("ssh-ed25519", base64).unwrap()
    }

    fn fingerprint(base64: &str) -> Fingerprint {
        key(base64).fingerprint().parse().unwrap()
    }

    fn shown(base64: &str, standing: KeyStanding) -> ShownKey {
        ShownKey { key: key(base64), standing }
    }

    fn known() -> KeyStanding {
        KeyStanding::Known(LinePosition { file: Path::new("/k").into(), line: 3 })
    }

    #[test]
    fn a_known_server_needs_no_answer() {
        let keys = [shown(A, known()), shown(B, KeyStanding::New)];
        assert_eq!(judge(&keys, None), TrustVerdict::Known);
        assert_eq!(judge(&keys, Some(&fingerprint(A))), TrustVerdict::Known);
        assert_eq!(judge(&keys, Some(&fingerprint(B))), TrustVerdict::Write(vec![key(B)]));
        let table = table("h", &keys);
        assert!(table.contains("known: /k:3") && table.contains(&key(B).fingerprint()), "{table}");
    }

    #[test]
    fn a_fingerprint_stands_for_one_key_or_none() {
        let keys = [shown(A, KeyStanding::New), shown(B, KeyStanding::New)];
        assert_eq!(judge(&keys, None), TrustVerdict::Ask(vec![key(A), key(B)]));
        assert_eq!(judge(&keys, Some(&fingerprint(A))), TrustVerdict::Write(vec![key(A)]));
        assert_eq!(judge(&keys[1..], Some(&fingerprint(A))), TrustVerdict::Other);
    }

    #[test]
    fn changed_and_revoked_keys_are_objections() {
        let failure = Failure::new(FailureKind::HostKeyChanged, "changed");
        let keys = [shown(A, known()), shown(B, KeyStanding::Changed(failure.clone()))];
        assert_eq!(objection(&keys), Some(failure));
        assert_eq!(objection(&keys[..1]), None);
    }

    #[test]
    fn answers_are_ssh_words_or_a_fingerprint() {
        let new = [key(A), key(B)];
        assert_eq!(answer("Yes", &new), Confirmation::Trust(new.to_vec()));
        assert_eq!(answer("no", &new), Confirmation::No);
        assert_eq!(answer(&key(B).fingerprint(), &new), Confirmation::Trust(vec![key(B)]));
        let line = format!("256 {} root@db (ED25519)", key(B).fingerprint());
        assert_eq!(answer(&line, &new), Confirmation::Trust(vec![key(B)]));
        assert_eq!(answer("y", &new), Confirmation::Unclear);
        assert_eq!(answer("", &new), Confirmation::Unclear);
    }
}
