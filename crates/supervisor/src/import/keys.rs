//! Keys and values as TOML writes them: the one place that does.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tunnel_engine::spec::{AgentSpec, AlgorithmList};

use crate::config::{SettingKey, TunnelSpec};
use crate::spec::settings::{ADDRESS_FAMILY, Field, MAX_NAME, STRICT_HOST_KEY_CHECKING, TomlField};

/// Lines of a table, and what has to be said about it.
#[derive(Debug, Default)]
pub(crate) struct KeyLines {
    lines: Vec<(String, String)>,
    remarks: Vec<String>,
}

pub(crate) enum JumpHostValue {
    /// `user@host:port`.
    Named(String),
    /// A table, as it is written.
    Own(String),
}

impl KeyLines {
    /// The value of a key as these settings have it.
    pub(crate) fn setting(&mut self, key: &SettingKey, values: &TunnelSpec) {
        let (name, mut values) = (key.name, values.clone());
        let values = &mut values;
        match key.field {
            Field::Flag(at) => self.plain(name, *at(values)),
            Field::Count(.., at) | Field::TomlOnly(TomlField::Size(.., at)) => self.plain(name, *at(values)),
            Field::Time(_, at) => self.time(name, *at(values)),
            Field::Word(at) | Field::HostName(at) => at(values).iter().for_each(|word| self.text(name, word)),
            Field::Paths(at) | Field::Certificates(at) => self.paths(name, at(values)),
            Field::Identities(at) => {
                self.paths(name, &at(values).iter().map(|identity| &identity.path).collect::<Vec<_>>());
            }
            Field::Agent(at) => match at(values) {
                AgentSpec::None => self.text(name, "none"),
                AgentSpec::Socket(path) => self.paths(name, &[path]),
            },
            Field::Algorithms(_, at) => self.algorithms(name, at(values)),
            Field::Strict(at) => self.word_of(name, STRICT_HOST_KEY_CHECKING, *at(values)),
            Field::Family(at) => self.word_of(name, ADDRESS_FAMILY, *at(values)),
            Field::HostsCommand(at) => at(values).iter().for_each(|command| self.texts(name, &command.words())),
            Field::IpQos(at) => self.text(name, &at(values).to_string()),
            Field::RekeyLimit(at) => self.text(name, &at(values).to_string()),
            Field::Mask(at) => self.text(name, &format!("{:04o}", at(values))),
            Field::PermitRemoteOpen(at) => match at(values).words().as_slice() {
                [one] => self.text(name, one),
                several => self.texts(name, several),
            },
            // Written by the table of the tunnel, or without a source that could be imported.
            Field::Apart | Field::UpdateHostKeys(_) | Field::TomlOnly(_) => {}
        }
    }

    fn word_of<T: PartialEq>(&mut self, key: &str, words: &[(&str, T)], value: T) {
        words.iter().filter(|(_, known)| *known == value).for_each(|(word, _)| self.text(key, word));
    }

    /// A text that the config takes as it is.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        if let Some(value) = self.writable(key, value) {
            self.lines.push((key.to_owned(), value));
        }
    }

    pub(crate) fn plain(&mut self, key: &str, value: impl Display) {
        self.lines.push((key.to_owned(), value.to_string()));
    }

    /// Texts in which the config replaces `${NAME}`.
    pub(crate) fn texts(&mut self, key: &str, values: &[String]) {
        let written: Vec<_> = values.iter().filter_map(|value| self.writable(key, &literal(value))).collect();
        if !written.is_empty() {
            self.plain(key, format!("[{}]", written.join(", ")));
        }
    }

    /// No path at all is `none`.
    pub(crate) fn paths<P: AsRef<Path>>(&mut self, key: &str, paths: &[P]) {
        let texts: Vec<_> = paths.iter().map(|path| text_of(path.as_ref())).collect();
        match texts.as_slice() {
            [] => self.text(key, "none"),
            [one] => self.text(key, &literal(one)),
            several => self.texts(key, several),
        }
    }

    pub(crate) fn time(&mut self, key: &str, time: Duration) {
        match time.subsec_nanos() {
            0 => self.plain(key, time.as_secs()),
            _ => self.plain(key, quoted(&humantime::format_duration(time).to_string())),
        }
    }

    pub(crate) fn algorithms(&mut self, key: &str, list: &AlgorithmList) {
        let (prefix, names) = match list {
            AlgorithmList::Default => return,
            AlgorithmList::Replace(names) => ("", names),
            AlgorithmList::Append(names) => ("+", names),
            AlgorithmList::Remove(names) => ("-", names),
            AlgorithmList::Prepend(names) => ("^", names),
        };
        self.text(key, &format!("{prefix}{}", names.join(",")));
    }

    /// Names with commas, or a list where one has a table.
    pub(crate) fn hops(&mut self, key: &str, hops: &[JumpHostValue]) {
        let name = |hop: &JumpHostValue| match hop {
            JumpHostValue::Named(name) => Some(name.clone()),
            JumpHostValue::Own(_) => None,
        };
        if let Some(names) = hops.iter().map(name).collect::<Option<Vec<_>>>() {
            return self.text(key, &names.join(","));
        }
        let line = |hop: &JumpHostValue| match hop {
            JumpHostValue::Named(name) => format!("    {},\n", quoted(name)),
            JumpHostValue::Own(table) => format!("    {table},\n"),
        };
        self.plain(key, format!("[\n{}]", hops.iter().map(line).collect::<String>()));
    }

    /// The keys of another table within braces. What is said about it is said here.
    pub(crate) fn inline(&mut self, table: Self) -> String {
        self.remarks.extend(table.remarks);
        let pairs: Vec<_> = table.lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", pairs.join(", "))
    }

    /// A comment above the table.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    pub(crate) fn write(&self) -> String {
        let width = self.lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
        let remarks = self.remarks.iter().map(|remark| comment(remark));
        let lines = self.lines.iter().map(|(key, value)| format!("{key:width$} = {value}\n"));
        remarks.chain(["[[tunnel]]\n".to_owned()]).chain(lines).collect()
    }

    /// In quotes. The config takes no control characters, but for the tabs of a command.
    fn writable(&mut self, key: &str, value: &str) -> Option<String> {
        let tabs = key == "proxy_command";
        if value.chars().any(|c| c.is_control() && !(tabs && c == '\t')) {
            self.remark(format!("not carried: `{key}` with control characters: {}", value.escape_debug()));
            return None;
        }
        Some(quoted(value))
    }
}

/// A comment is one line, whatever it tells.
pub(crate) fn comment(text: &str) -> String {
    format!("# {}\n", text.replace(char::is_control, " "))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A text in which the config finds no variable.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// Whole: where a config begins is not where it was written. `none` and `~` mean something else there.
fn text_of(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}

/// Hands out each name once.
#[derive(Debug, Default)]
pub(crate) struct UniqueNames {
    taken: Vec<String>,
    unit: Option<String>,
}

impl UniqueNames {
    /// Names after a unit instead of hosts: of several units that lead to one host, each is imported by itself, into one
    /// config.
    pub(super) fn of_unit(unit: &str) -> Self {
        let unit = unit.strip_suffix(".service").unwrap_or(unit).to_owned();
        Self { taken: Vec::new(), unit: Some(unit).filter(|unit| !unit.is_empty()) }
    }

    /// The alias or host with the letters that a name may have, as long as one may be, and a number where it is taken.
    pub(crate) fn of(&mut self, host: &str) -> String {
        let fine = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let plain: String = self.unit.as_deref().unwrap_or(host).chars().map(fine).collect();
        let with = |ending: &str| plain.chars().take(MAX_NAME - ending.len()).collect::<String>() + ending;
        let mut name = with("");
        let mut number = 1;
        while self.taken.contains(&name) {
            number += 1;
            name = with(&format!("-{number}"));
        }
        self.taken.push(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_unique() {
        let mut names = UniqueNames::default();
        assert_eq!(names.of("db1.example_x-y"), "db1.example_x-y");
        assert_eq!(names.of("::1"), "--1");
        assert_eq!(["a", "a-2", "a", "a"].map(|host| names.of(host)), ["a", "a-2", "a-3", "a-4"]);
        let mut names = UniqueNames::of_unit("autossh@db.service");
        assert_eq!(["relay", "other"].map(|host| names.of(host)), ["autossh-db", "autossh-db-2"]);
        let mut names = UniqueNames::default();
        let long = "x".repeat(MAX_NAME + 1);
        assert_eq!(
            [names.of(&long), names.of(&long)],
            ["x".repeat(MAX_NAME), format!("{}-2", "x".repeat(MAX_NAME - 2))]
        );
    }
}
