//! The unit file of somebody's autossh or ssh: ExecStart with its environment, and what else it says. Pure but for the
//! files that EnvironmentFile names.

use std::path::Path;

use super::words::Invocation;
use super::{ImportError, line};

/// Reads a unit file's text. `read` gives the text of an EnvironmentFile, or `None`.
///
/// # Errors
/// No command in it is autossh's or ssh's, or none means a tunnel.
pub fn import(text: &str, read: &dyn Fn(&Path) -> Option<String>) -> Result<String, ImportError> {
    let unit = Unit::parse(text, read);
    let mut printed = Vec::new();
    for start in &unit.starts {
        let invocation = unit.invocation(start);
        let mut comments = unit.comments.clone();
        if start.contains('%') {
            comments.push("what begins with % in ExecStart is systemd's, and is not filled in here".to_owned());
        }
        printed.push(line::text(&invocation, comments)?);
    }
    if printed.is_empty() {
        return Err(ImportError::one("no ExecStart of this unit runs autossh or ssh"));
    }
    Ok(printed.join("\n"))
}

/// The commands of a unit, with their environments.
pub fn invocations(text: &str, read: &dyn Fn(&Path) -> Option<String>) -> Vec<Invocation> {
    let unit = Unit::parse(text, read);
    unit.starts.iter().map(|start| unit.invocation(start)).collect()
}

#[derive(Default)]
struct Unit {
    starts: Vec<String>,
    environment: Vec<(String, String)>,
    comments: Vec<String>,
}

impl Unit {
    fn parse(text: &str, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut unit = Self::default();
        let mut section = String::new();
        for line in logical_lines(text) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = name.to_owned();
            } else if let Some((key, value)) = line.split_once('=').filter(|_| section == "Service") {
                unit.set(key.trim(), value.trim(), read);
            }
        }
        unit
    }

    fn set(&mut self, key: &str, value: &str, read: &dyn Fn(&Path) -> Option<String>) {
        match key {
            // An empty one forgets those before it.
            "ExecStart" if value.is_empty() => self.starts.clear(),
            "ExecStart" if value.contains("ssh") => self.starts.push(value.trim_start_matches(['-', '@', ':', '+', '!']).to_owned()),
            "Environment" if value.is_empty() => self.environment.clear(),
            "Environment" => self.environment.extend(words(value).iter().filter_map(|word| pair(word))),
            "EnvironmentFile" => self.environment_file(value, read),
            "User" => self.comments.push(format!(
                "User={value}: tunneld logs in with the keys of the account that runs it; ~ below is that account's home"
            )),
            "WorkingDirectory" => self.comments.push(format!("WorkingDirectory={value}: relative paths below started from there")),
            "ExecStartPre" | "ExecStartPost" | "ExecStop" | "ExecStopPost" => {
                self.comments.push(format!("{key}={value}: has no equivalent"));
            }
            _ => {}
        }
    }

    fn environment_file(&mut self, value: &str, read: &dyn Fn(&Path) -> Option<String>) {
        let path = value.trim_start_matches('-');
        match read(Path::new(path)) {
            Some(text) => {
                let lines = logical_lines(&text);
                let unquoted = lines
                    .iter()
                    .filter_map(|line| line.split_once('='))
                    .map(|(name, value)| (name.trim().to_owned(), words(value.trim()).join(" ")));
                self.environment.extend(unquoted);
            }
            None => self
                .comments
                .push(format!("EnvironmentFile={value}: cannot be read here, so its variables are missing")),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The words of a command line, with `$NAME` and `${NAME}` as systemd.service(5) has them: a word that is only
    /// `$NAME` becomes as many words as it holds.
    fn invocation(&self, start: &str) -> Invocation {
        let mut expanded = Vec::new();
        for word in words(start) {
            match word.strip_prefix('$').filter(|name| !name.starts_with(['{', '$']) && is_name(name)) {
                Some(name) => expanded.extend(words(self.variable(name).unwrap_or_default())),
                None => expanded.push(self.expand(&word)),
            }
        }
        let mut invocation = Invocation::find(&expanded);
        invocation.environment.splice(0..0, self.environment.iter().cloned());
        invocation
    }

    fn expand(&self, word: &str) -> String {
        let mut text = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            text.push_str(before);
            text.push_str(self.variable(name).unwrap_or_default());
            rest = after;
        }
        (text + rest).replace("$$", "$")
    }
}

/// Lines without comments, a backslash at the end joined with the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut begun = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) || (line.is_empty() && begun.is_empty()) {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => {
                begun.push_str(part);
                begun.push(' ');
            }
            None => lines.push(std::mem::take(&mut begun) + line),
        }
    }
    lines
}

/// systemd's quotes are a shell's, for what stands in such units; what cannot be cut by them is cut at blanks.
fn words(text: &str) -> Vec<String> {
    shlex::split(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect())
}

fn pair(word: &str) -> Option<(String, String)> {
    word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
