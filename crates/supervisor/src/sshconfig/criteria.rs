//! `Match`: which of its criteria hold?

use super::line::{ConfigLine, ConfigWord};
use super::pattern;
use super::tokens::{TokenNames, Tokens};
use super::walk::ReadPass;
use crate::spec::ConfigError;

impl ReadPass<'_> {
    /// Does the block that the line opens apply? Where `never`, because the file itself does not apply, the line is
    /// only read.
    pub(super) fn match_line(&mut self, line: &ConfigLine, never: bool) -> Result<bool, ConfigError> {
        let mut holds = true;
        let mut count = 0;
        let mut words = line.words.iter();
        while let Some(word) = words.next() {
            let (negated, text) = match word.text.strip_prefix('!') {
                Some(text) => (true, text),
                None => (false, word.text.as_str()),
            };
            let (name, inline) = match text.split_once('=') {
                Some((name, value)) => (name.to_ascii_lowercase(), Some(value)),
                None => (text.to_ascii_lowercase(), None),
            };
            count += 1;
            let met = match name.as_str() {
                "all" if inline.is_none() => {
                    if count > 2 || words.next().is_some() {
                        let hint = "leave out `all`, or the others";
                        return Err(line.error_at(word, "`all` stands beside other criteria", hint));
                    }
                    !negated
                }
                "canonical" if inline.is_none() => self.last_pass != negated,
                "final" if inline.is_none() => {
                    self.wants_last_pass |= !negated;
                    self.last_pass != negated
                }
                _ => {
                    let value = value_of(line, word, &name, inline, &mut words)?;
                    let met = self.criterion(line, &name, &value, holds && !never)?;
                    met != negated
                }
            };
            holds &= met;
        }
        if count == 0 {
            let hint = "write `Match all`, or criteria such as `host *.example.com`";
            return Err(line.error("`Match` has no criteria", hint));
        }
        Ok(holds && !never)
    }

    fn criterion(
        &mut self,
        line: &ConfigLine,
        name: &str,
        value: &ConfigWord,
        asked: bool,
    ) -> Result<bool, ConfigError> {
        let text = value.text.as_str();
        Ok(match name {
            "host" => pattern::caseless(text, &self.current_host()?),
            "originalhost" => pattern::caseless(text, &self.query.host),
            "user" => pattern::list(text, self.current_user()),
            "localuser" => pattern::list(text, self.facts.user().unwrap_or_default()),
            "tagged" => match self.options.word("Tag") {
                None | Some("") => text.is_empty(),
                Some(tag) => pattern::list(text, tag),
            },
            // As `ssh -N`: no command, and no session to run one in.
            "command" => text.is_empty(),
            "sessiontype" => pattern::list(text, "none"),
            "localnetwork" => match pattern::networks(text, &self.facts.addresses()) {
                Some(inside) => inside,
                None => {
                    let hint = "write networks such as 192.168.1.0/24, several with commas";
                    return Err(line.error_at(value, format!("`{text}` is not a list of networks"), hint));
                }
            },
            "exec" => {
                let command = self.tokens()?.expand(text, None, &line.span(value))?;
                asked && self.run(line, value, &command)?
            }
            "version" => {
                let hint = "remove the criterion: tunneld is no version of OpenSSH";
                return Err(line.error_at(value, "`version` cannot be answered", hint));
            }
            _ => {
                let hint = "the criteria are all, canonical, final, exec, host, originalhost, user, localuser, \
                            localnetwork, tagged, command and sessiontype";
                return Err(line.error_at(value, format!("`{name}` is not a criterion of Match"), hint));
            }
        })
    }

    fn run(&self, line: &ConfigLine, value: &ConfigWord, command: &str) -> Result<bool, ConfigError> {
        self.library.note_command(command);
        self.facts.run(command).map_err(|error| {
            let hint = "name a command that this account can run, and that ends soon";
            line.error_at(value, format!("`{command}` cannot be run: {error}"), hint)
        })
    }

    /// What `%h` and its like stand for while the values are not all known yet.
    pub(super) fn tokens(&self) -> Result<Tokens, ConfigError> {
        let host = self.current_host()?;
        let names = TokenNames {
            original: &self.query.host,
            host: &host,
            port: self.current_port(),
            user: self.current_user(),
            key_alias: self.options.word("HostKeyAlias").unwrap_or(&host),
            jump: &self.current_jump(),
        };
        Ok(Tokens::of(&names, self.facts))
    }
}

/// The value of a criterion: behind `=`, or the next word.
fn value_of<'l>(
    line: &ConfigLine,
    word: &ConfigWord,
    name: &str,
    inline: Option<&str>,
    words: &mut impl Iterator<Item = &'l ConfigWord>,
) -> Result<ConfigWord, ConfigError> {
    let value = match inline {
        Some(value) => Some(ConfigWord { text: value.to_owned(), span: word.span.clone() }),
        // ssh before 9.9 takes blanks around the `=` too.
        None => words.find(|word| word.text != "=").cloned(),
    };
    let may_be_empty = matches!(name, "tagged" | "command");
    value
        .filter(|value| may_be_empty || !value.text.is_empty())
        .ok_or_else(|| line.error_at(word, format!("`{name}` has no value"), "write what it is compared with"))
}
