//! systemd.service(5), command lines: prefixes, variables, several commands in one line. Pure.

use super::specifiers::Specifiers;
use super::syntax::words;
use crate::import::command_line::Invocation;
use crate::sshconfig::HostFacts;

/// One command of an ExecStart.
#[derive(Debug, Clone)]
pub(super) struct ExecCommand {
    /// As it was written.
    pub(super) text: String,
    words: Vec<String>,
    /// `:`: variables are not filled in.
    literal: bool,
    /// `+` and `!`: User= does not count.
    pub(super) privileged: bool,
}

impl ExecCommand {
    /// A word that is a semicolon ends one command and begins another.
    pub(super) fn of(line: &str, specifiers: &Specifiers) -> Vec<Self> {
        let all = words(line);
        all.split(|word| word == ";")
            .filter(|words| !words.is_empty())
            .map(|words| Self::one(words, specifiers))
            .collect()
    }

    fn one(words: &[String], specifiers: &Specifiers) -> Self {
        let mut words: Vec<String> =
            words.iter().map(|word| if word == r"\;" { ";".to_owned() } else { specifiers.expand(word) }).collect();
        let text = words.join(" ");
        let path = words.first().cloned().unwrap_or_default();
        let plain = path.trim_start_matches(['-', '@', ':', '+', '!', '|']);
        let prefixes = &path[..path.len() - plain.len()];
        // The word behind the path is argv[0].
        if prefixes.contains('@') && words.len() > 1 {
            words.remove(1);
        }
        if let Some(first) = words.first_mut() {
            plain.clone_into(first);
        }
        Self { text, words, literal: prefixes.contains(':'), privileged: prefixes.contains(['+', '!']) }
    }

    /// Somewhere in it, as people hide it in shells and wrappers.
    pub(super) fn runs_ssh(&self) -> bool {
        self.words.iter().flat_map(|word| word.split([' ', '\t', ';', '&', '|', '('])).any(|word| {
            let name = word.rsplit('/').next().unwrap_or_default();
            name == "ssh" || name == "autossh"
        })
    }

    /// With what the environment has for `$NAME`, which as a word of its own becomes as many words as it holds, and
    /// for `${NAME}`. `$$` is a dollar sign. What is not set is told in `unset`.
    pub(super) fn invocation(&self, facts: &dyn HostFacts, unset: &mut Vec<String>) -> Invocation {
        let mut variable = |name: &str| {
            let value = facts.variable(name);
            if value.is_none() {
                unset.push(format!("${name} is not set in the unit"));
            }
            value.unwrap_or_default()
        };
        let mut expanded = Vec::new();
        for (index, word) in self.words.iter().enumerate() {
            match word.strip_prefix('$').filter(|name| !name.starts_with(['{', '$'])) {
                _ if self.literal || index == 0 => expanded.push(word.clone()),
                Some(name) => expanded.extend(words(variable(name))),
                None => expanded.push(expand(word, &mut variable)),
            }
        }
        Invocation::find(&expanded)
    }
}

fn expand<'a>(word: &str, variable: &mut dyn FnMut(&str) -> &'a str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = match (after.strip_prefix('$'), after.strip_prefix('{').and_then(|inner| inner.split_once('}'))) {
            (Some(after), _) => {
                text.push('$');
                after
            }
            (None, Some((name, after))) => {
                text.push_str(variable(name));
                after
            }
            (None, None) => {
                text.push('$');
                after
            }
        };
    }
    text + rest
}
