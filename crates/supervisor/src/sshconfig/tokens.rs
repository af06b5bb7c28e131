//! `%h`, `${NAME}` and `~` in values.

use std::path::PathBuf;

use sha1::{Digest, Sha1};

use super::host_facts::HostFacts;
use crate::spec::{ConfigError, SourceSpan};

/// What the tokens that most keywords take stand for.
pub(super) struct Tokens {
    values: Vec<(char, String)>,
    /// Letters that are expanded later, elsewhere: they stay as they are, and every other percent sign is doubled.
    later: &'static str,
}

/// Of the connection that the tokens are about.
pub(super) struct TokenNames<'a> {
    /// As it was typed.
    pub(super) original: &'a str,
    /// The name that is dialled.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    /// The name that host keys are known by.
    pub(super) key_alias: &'a str,
    /// The last jump host, or nothing.
    pub(super) jump: &'a str,
}

impl Tokens {
    pub(super) fn of(names: &TokenNames<'_>, facts: &dyn HostFacts) -> Self {
        let machine = facts.hostname();
        let port = names.port.to_string();
        let hash = [machine.as_str(), names.host, &port, names.user, names.jump]
            .into_iter()
            .fold(Sha1::new(), |hash, part| hash.chain_update(part))
            .finalize();
        let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let home = facts.home().map(|home| home.display().to_string()).unwrap_or_default();
        let values = vec![
            ('C', hash),
            ('L', machine.split('.').next().unwrap_or_default().to_owned()),
            ('d', home),
            ('h', names.host.to_owned()),
            ('i', facts.uid().to_string()),
            ('j', names.jump.to_owned()),
            ('k', names.key_alias.to_owned()),
            ('l', machine),
            ('n', names.original.to_owned()),
            ('p', port),
            ('r', names.user.to_owned()),
            ('u', facts.user().unwrap_or_default().to_owned()),
        ];
        Self { values, later: "" }
    }

    /// Only these of them.
    pub(super) fn only(self, letters: &str) -> Self {
        let values = self.values.into_iter().filter(|(letter, _)| letters.contains(*letter)).collect();
        Self { values, ..self }
    }

    /// And these, which are left as they are, for a program that expands the result once more.
    pub(super) fn leaving(&self, later: &'static str) -> Self {
        Self { values: self.values.clone(), later }
    }

    /// `Hostname` takes `%h` alone: the name as it was typed.
    pub(super) fn of_hostname(original: &str) -> Self {
        Self { values: vec![('h', original.to_owned())], later: "" }
    }

    fn literal(&self, value: &str) -> String {
        if self.later.is_empty() { value.to_owned() } else { value.replace('%', "%%") }
    }

    fn letters(&self) -> String {
        let letters = self.values.iter().map(|(letter, _)| *letter).chain(self.later.chars());
        letters.map(|letter| format!("%{letter} ")).collect::<String>() + "%%"
    }

    /// Replaces tokens, and `${NAME}` where `environment` is given.
    pub(super) fn expand(
        &self,
        text: &str,
        environment: Option<&dyn HostFacts>,
        span: &SourceSpan,
    ) -> Result<String, ConfigError> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            let (before, after) = rest.split_at(at);
            expanded.push_str(before);
            rest = match (environment, after.strip_prefix("${"), after.strip_prefix('%')) {
                (Some(facts), Some(name), _) => {
                    let (value, rest) = variable(name, facts, span)?;
                    expanded.push_str(&self.literal(&value));
                    rest
                }
                (_, _, Some(token)) => {
                    let letter = token.chars().next();
                    match (letter, self.values.iter().find(|(known, _)| Some(*known) == letter)) {
                        (Some('%'), _) => expanded.push_str(&self.literal("%")),
                        (Some(letter), _) if self.later.contains(letter) => expanded.extend(['%', letter]),
                        (_, Some((_, value))) => expanded.push_str(&self.literal(value)),
                        (letter, None) => {
                            let what =
                                format!("`%{}` stands for nothing here", letter.map(String::from).unwrap_or_default());
                            let hint = format!("the tokens here are {}", self.letters());
                            return Err(ConfigError::new(span.clone(), what, hint));
                        }
                    }
                    token.get(letter.map_or(0, char::len_utf8)..).unwrap_or_default()
                }
                _ => {
                    expanded.push('$');
                    &after[1..]
                }
            };
        }
        Ok(expanded + rest)
    }
}

/// Replaces `${NAME}` alone.
pub(super) fn environment(text: &str, facts: &dyn HostFacts, span: &SourceSpan) -> Result<String, ConfigError> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (value, after) = variable(after, facts, span)?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = after;
    }
    Ok(expanded + rest)
}

/// The value of the variable that `text` begins with, and what is behind its brace.
fn variable<'a>(text: &'a str, facts: &dyn HostFacts, span: &SourceSpan) -> Result<(String, &'a str), ConfigError> {
    let Some((name, rest)) = text.split_once('}') else {
        return Err(ConfigError::new(span.clone(), "`${` is not closed", "write `${NAME}`"));
    };
    match facts.variable(name) {
        Some(value) => Ok((value.to_owned(), rest)),
        None => {
            let what = format!("the environment variable `{name}` is not set");
            let hint = format!("set it where tunneld is started, for example `Environment={name}=…` in the unit");
            Err(ConfigError::new(span.clone(), what, hint))
        }
    }
}

/// `~`, `~/…` and `~name/…`.
pub(super) fn tilde(text: &str, facts: &dyn HostFacts, span: &SourceSpan) -> Result<String, ConfigError> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(text.to_owned()) };
    let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if name.is_empty() { facts.home().map(PathBuf::from) } else { facts.home_of(name) };
    match home {
        Some(home) if rest.contains('/') => Ok(home.join(below.trim_start_matches('/')).display().to_string()),
        Some(home) => Ok(home.display().to_string()),
        None => {
            let whose = if name.is_empty() { "the account that runs tunneld" } else { name };
            Err(ConfigError::new(span.clone(), format!("there is no home of {whose}"), "write the whole path"))
        }
    }
}
