//! Keys of a tunnel as TOML writes them.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use tunnel_engine::spec::AlgorithmList;

/// Lines of a table, and what has to be said about it.
#[derive(Debug, Default)]
pub(super) struct Keys {
    lines: Vec<(String, String)>,
    remarks: Vec<String>,
}

impl Keys {
    pub(super) fn text(&mut self, key: &str, value: &str) {
        // A text that could be read as a variable cannot be written down.
        if value.contains("${") {
            self.remark(format!("`{key}` holds `${{`, which would be taken for a variable here: {}", quoted(value)));
        } else {
            self.lines.push((key.to_owned(), quoted(value)));
        }
    }

    pub(super) fn plain(&mut self, key: &str, value: impl Display) {
        self.lines.push((key.to_owned(), value.to_string()));
    }

    pub(super) fn texts(&mut self, key: &str, values: &[String]) {
        let written: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        self.plain(key, format!("[{}]", written.join(", ")));
    }

    /// No path at all is `none`.
    pub(super) fn paths<P: AsRef<Path>>(&mut self, key: &str, paths: &[P]) {
        let texts: Vec<_> = paths.iter().map(|path| path.as_ref().display().to_string()).collect();
        match texts.as_slice() {
            [] => self.text(key, "none"),
            [one] => self.text(key, one),
            several => self.texts(key, several),
        }
    }

    pub(super) fn seconds(&mut self, key: &str, time: Duration) {
        self.plain(key, time.as_secs());
    }

    pub(super) fn algorithms(&mut self, key: &str, list: &AlgorithmList) {
        let (prefix, names) = match list {
            AlgorithmList::Default => return,
            AlgorithmList::Replace(names) => ("", names),
            AlgorithmList::Append(names) => ("+", names),
            AlgorithmList::Remove(names) => ("-", names),
            AlgorithmList::Prepend(names) => ("^", names),
        };
        self.text(key, &format!("{prefix}{}", names.join(",")));
    }

    /// A comment above the table.
    pub(super) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Keys and values.
    pub(super) fn lines(self) -> Vec<(String, String)> {
        self.lines
    }

    /// The whole table.
    pub(super) fn write(&self) -> String {
        let width = self.lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
        // A comment must not become a line of its own.
        let printable = |text: &String| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let remarks = self.remarks.iter().map(|remark| format!("# {}\n", printable(remark)));
        let lines = self.lines.iter().map(|(key, value)| format!("{key:width$} = {value}\n"));
        remarks.chain(["[[tunnel]]\n".to_owned()]).chain(lines).collect()
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
