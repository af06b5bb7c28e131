//! systemd.unit(5), specifiers: `%i`, `%h` and the others. Pure but for the names of this machine.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::find::UnitFile;
use crate::sshconfig::{HostFacts, System};

/// What the letters stand for in one unit.
pub(super) struct Specifiers {
    values: Vec<(char, String)>,
    /// Letters that were met, and stand for something that is not known here.
    unknown: RefCell<BTreeSet<char>>,
    asked_instance: RefCell<bool>,
}

impl Specifiers {
    pub(super) fn of(file: &UnitFile, facts: &System) -> Self {
        let whole = file.name.as_str();
        let stem = whole.rsplit_once('.').map_or(whole, |(stem, _)| stem);
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let machine = facts.hostname();
        // Of the manager, not of User=.
        let (user, uid, home) = match file.of_user {
            true => (
                facts.user().unwrap_or_default().to_owned(),
                facts.uid(),
                facts.home().map(|home| home.display().to_string()).unwrap_or_default(),
            ),
            false => ("root".to_owned(), 0, "/root".to_owned()),
        };
        let folder = |system: &str, below_home: &str| match file.of_user {
            true => format!("{home}/{below_home}"),
            false => system.to_owned(),
        };
        let runtime = if file.of_user { format!("/run/user/{uid}") } else { "/run".to_owned() };
        let values = vec![
            ('%', "%".to_owned()),
            ('n', whole.to_owned()),
            ('N', stem.to_owned()),
            ('p', prefix.to_owned()),
            ('P', unescape(prefix)),
            ('j', prefix.rsplit('-').next().unwrap_or_default().to_owned()),
            ('J', unescape(prefix.rsplit('-').next().unwrap_or_default())),
            ('i', instance.to_owned()),
            ('I', unescape(instance)),
            ('f', format!("/{}", unescape(if instance.is_empty() { prefix } else { instance }))),
            ('H', machine.clone()),
            ('q', machine.clone()),
            ('l', machine.split('.').next().unwrap_or_default().to_owned()),
            ('u', user.clone()),
            ('g', user),
            ('U', uid.to_string()),
            ('G', uid.to_string()),
            ('S', folder("/var/lib", ".local/state")),
            ('C', folder("/var/cache", ".cache")),
            ('L', folder("/var/log", ".local/state/log")),
            ('E', folder("/etc", ".config")),
            ('h', home),
            ('t', runtime),
            ('T', "/tmp".to_owned()),
            ('V', "/var/tmp".to_owned()),
            ('s', "/bin/sh".to_owned()),
            ('y', file.path.display().to_string()),
            ('Y', file.path.parent().map(|folder| folder.display().to_string()).unwrap_or_default()),
        ];
        Self { values, unknown: RefCell::default(), asked_instance: RefCell::new(false) }
    }

    pub(super) fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            let letter = chars.next();
            if matches!(letter, Some('i' | 'I')) {
                self.asked_instance.replace(true);
            }
            match letter.and_then(|letter| self.values.iter().find(|(known, _)| *known == letter)) {
                Some((_, value)) => expanded.push_str(value),
                None => {
                    self.unknown.borrow_mut().extend(letter);
                    expanded.push('%');
                    expanded.extend(letter);
                }
            }
        }
        expanded
    }

    /// Was `%i` or `%I` met?
    pub(super) fn instance_was_asked_for(&self) -> bool {
        *self.asked_instance.borrow()
    }

    /// What was met and left as it is, as in `%m %b`.
    pub(super) fn unknown(&self) -> String {
        self.unknown.borrow().iter().map(|letter| format!("%{letter}")).collect::<Vec<_>>().join(" ")
    }
}

/// As `systemd-escape --unescape`: a dash is a slash, `\xNN` a byte.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let byte = rest.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        let taken = match byte {
            Some(byte) => {
                bytes.push(byte);
                "\\xNN".len()
            }
            None => {
                let c = if c == '-' { '/' } else { c };
                bytes.extend(c.to_string().bytes());
                c.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_unescaped_as_systemd_does() {
        for (text, want) in [("db", "db"), ("a-b", "a/b"), ("u\\x40h\\x2dx", "u@h-x"), ("\\xzz", "\\xzz")] {
            assert_eq!(unescape(text), want, "{text}");
        }
    }
}
