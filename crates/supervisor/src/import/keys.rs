//! Keys and values as TOML writes them: the one place that does.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tunnel_engine::spec::AlgorithmList;

/// Lines of a table, and what has to be said about it.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    lines: Vec<(String, String)>,
    remarks: Vec<String>,
}

/// A jump host.
pub(crate) enum Hop {
    /// `user@host:port`.
    Named(String),
    /// A table, as it is written.
    Own(String),
}

impl Keys {
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
    pub(crate) fn hops(&mut self, key: &str, hops: &[Hop]) {
        let names: Option<Vec<&str>> = hops
            .iter()
            .map(|hop| match hop {
                Hop::Named(name) => Some(name.as_str()),
                Hop::Own(_) => None,
            })
            .collect();
        if let Some(names) = names {
            return self.text(key, &names.join(","));
        }
        let written = hops.iter().map(|hop| match hop {
            Hop::Named(name) => format!("    {},\n", quoted(name)),
            Hop::Own(table) => format!("    {table},\n"),
        });
        let written: String = written.collect();
        self.plain(key, format!("[\n{written}]"));
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

    /// Keys and values.
    pub(crate) fn lines(self) -> Vec<(String, String)> {
        self.lines
    }

    /// The whole table.
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
