//! Finds the autossh or ssh in a line as people have it: in a shell, a crontab, behind sudo, docker or env. Pure.

use crate::autossh::argv::Dialect;

/// A command with its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Whose options follow.
    pub dialect: Dialect,
    /// `NAME=value` before the program, in order.
    pub environment: Vec<(String, String)>,
    /// What follows the program.
    pub words: Vec<String>,
}

impl Invocation {
    /// Reads words that a shell, or a person, has cut. One word that holds blanks is a line of its own. Without a
    /// program among them, all of them are autossh's options.
    pub fn find(words: &[String]) -> Self {
        if let [line] = words
            && line.contains(char::is_whitespace)
            && let Some(words) = shlex::split(line)
        {
            return Self::find(&words);
        }
        let commands: Vec<&[String]> = words.split(|word| joins(word)).collect();
        let named = |command: &&[String]| command.iter().position(|word| dialect(word).is_some());
        // `pgrep autossh || autossh …`: the one that has options.
        let starts = |command: &&[String]| named(command).is_some_and(|at| at + 1 < command.len());
        let command = commands.iter().copied().rev().find(starts).or(commands.first().copied()).unwrap_or_default();
        if let Some(inner) = shell_command(command) {
            return Self::find(&[inner.to_owned()]);
        }
        let program = named(&command);
        let (before, after) = match program {
            Some(at) => (&command[..at], &command[at + 1..]),
            None => {
                let assignments = command.iter().take_while(|word| assignment(word).is_some()).count();
                command.split_at(assignments)
            }
        };
        Self {
            dialect: program.and_then(|at| dialect(&command[at])).unwrap_or(Dialect::Autossh),
            environment: before.iter().filter_map(|word| assignment(word)).collect(),
            words: after.iter().take_while(|word| !redirects(word)).cloned().collect(),
        }
    }

    /// The value of a variable: the last one counts, as in a shell.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

/// `/usr/bin/autossh` is autossh.
fn dialect(word: &str) -> Option<Dialect> {
    match word.rsplit('/').next() {
        Some("autossh") => Some(Dialect::Autossh),
        Some("ssh") => Some(Dialect::Ssh),
        _ => None,
    }
}

/// `sh -c 'autossh …'`.
fn shell_command(words: &[String]) -> Option<&str> {
    let shells = ["sh", "bash", "dash", "ash"];
    let at = words.iter().position(|word| word.rsplit('/').next().is_some_and(|name| shells.contains(&name)))?;
    let rest = &words[at + 1..];
    let option = rest.iter().position(|word| word.starts_with('-') && word.ends_with('c'))?;
    rest.get(option + 1).map(String::as_str).filter(|command| command.contains("ssh"))
}

fn assignment(word: &str) -> Option<(String, String)> {
    // `docker run -eNAME=value` and `--env=NAME=value` too.
    let word = word.strip_prefix("--env=").or_else(|| word.strip_prefix("-e")).unwrap_or(word);
    let (name, value) = word.split_once('=')?;
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = !name.is_empty() && name.chars().all(fine) && !name.starts_with(|c: char| c.is_ascii_digit());
    named.then(|| (name.to_owned(), value.to_owned()))
}

/// What joins commands in a shell.
fn joins(word: &str) -> bool {
    matches!(word, "&" | "&&" | "|" | "||" | ";")
}

/// A redirection: it and what follows are the shell's.
fn redirects(word: &str) -> bool {
    word.starts_with(['>', '<']) || word.starts_with("2>") || word.starts_with("&>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(line: &str) -> (Dialect, String, String) {
        let found = Invocation::find(&shlex::split(line).unwrap());
        let environment: Vec<String> = found.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        (found.dialect, environment.join(" "), found.words.join(" "))
    }

    #[test]
    fn the_program_is_found_wherever_people_put_it() {
        for (line, dialect, environment, words) in [
            ("-M 0 -N h", Dialect::Autossh, "", "-M 0 -N h"),
            ("AUTOSSH_GATETIME=0 -N h", Dialect::Autossh, "AUTOSSH_GATETIME=0", "-N h"),
            ("autossh -M 0 h &", Dialect::Autossh, "", "-M 0 h"),
            ("A=1 B='x y' /usr/bin/autossh -N h", Dialect::Autossh, "A=1 B=x y", "-N h"),
            ("ssh -fnNT -R 1:h:2 h", Dialect::Ssh, "", "-fnNT -R 1:h:2 h"),
            ("sudo -u tunnel A=1 autossh -N h > /dev/null 2>&1", Dialect::Autossh, "A=1", "-N h"),
            ("@reboot sleep 30 && A=1 nohup autossh -f -N h &", Dialect::Autossh, "A=1", "-f -N h"),
            ("*/5 * * * * /usr/bin/autossh -N h", Dialect::Autossh, "", "-N h"),
            ("docker run -d -e A=1 --env=B=2 -eC=3 image autossh -N h", Dialect::Autossh, "A=1 B=2 C=3", "-N h"),
            ("pgrep -x autossh || /usr/bin/autossh -f -N h &", Dialect::Autossh, "", "-f -N h"),
            ("/bin/sh -c 'apk add autossh && exec autossh -N h'", Dialect::Autossh, "", "-N h"),
            ("/bin/sh -c 'A=1 exec autossh -N -L 1:h:2 h'", Dialect::Autossh, "A=1", "-N -L 1:h:2 h"),
            ("'autossh -M 0 -N h'", Dialect::Autossh, "", "-M 0 -N h"),
        ] {
            assert_eq!(find(line), (dialect, environment.to_owned(), words.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let found = Invocation::find(&["A=1".into(), "A=2".into(), "autossh".into()]);
        assert_eq!(found.variable("A").as_deref(), Some("2"));
        assert_eq!(found.variable("B"), None);
    }
}
