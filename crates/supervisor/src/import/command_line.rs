//! Finds the autossh or ssh in a line as people have it: in a shell, a crontab, behind sudo, docker or env. Pure.

use super::wrappers::CommandWrappers;
use crate::autossh::argv::Dialect;
use crate::sshconfig::HostFacts;

/// What a shell cuts words at. Other blanks are part of a word.
const BLANKS: [char; 3] = [' ', '\t', '\n'];

/// A command with its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) dialect: Dialect,
    /// `NAME=value` before the program, in order.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) words: Vec<String>,
    /// What else is in the line, and is no part of the command.
    pub(super) around: Vec<String>,
    /// The account that sudo, su or the like run it as.
    pub(super) user: Option<String>,
    /// Cut here, not by a shell: `$NAME` is still in the words.
    pub(super) uncut: bool,
}

impl Invocation {
    /// Reads words that a shell, or a person, has cut. One word that holds blanks is a line of its own. Without a
    /// program among them, all of them are autossh's options.
    pub(crate) fn find(words: &[String]) -> Self {
        if let [line] = words
            && line.contains(BLANKS)
            && let Some(words) = shlex::split(line)
        {
            let words: Vec<String> = words.iter().flat_map(|word| without_semicolon(word)).map(str::to_owned).collect();
            return Self { uncut: true, ..Self::find(&words) };
        }
        let commands: Vec<&[String]> = words.split(|word| joins(word)).collect();
        let named = |command: &&[String]| command.iter().position(|word| dialect(word).is_some());
        // `pgrep autossh || autossh …`: the one that has options.
        let starts = |command: &&[String]| named(command).is_some_and(|at| at + 1 < command.len());
        let at = commands.iter().rposition(starts).unwrap_or_default();
        let (earlier, rest) = commands.split_at(at);
        let Some((command, later)) = rest.split_first() else { return Self::plain(Dialect::Autossh) };
        let mut found = Self::of_one(command);
        let join = |commands: &[&[String]]| {
            commands.iter().filter(|one| !one.is_empty()).copied().collect::<Vec<_>>().concat()
        };
        found.around = [join(earlier), found.around, join(later)].concat();
        found
    }

    /// Words of a program that are cut already, and hold nothing else.
    pub(crate) fn of_words(dialect: Dialect, words: Vec<String>) -> Self {
        Self { words, ..Self::plain(dialect) }
    }

    fn plain(dialect: Dialect) -> Self {
        Self { dialect, environment: Vec::new(), words: Vec::new(), around: Vec::new(), user: None, uncut: false }
    }

    fn of_one(command: &[String]) -> Self {
        if let Some((at, inner)) = shell_command(command) {
            let before = CommandWrappers::read(&command[..at]);
            let mut found = Self { uncut: true, ..Self::find(&[format!("{inner} ")]) };
            found.environment.splice(0..0, before.environment);
            found.around.splice(0..0, before.around);
            found.user = found.user.or(before.user);
            return found;
        }
        let Some(at) = command.iter().position(|word| dialect(word).is_some()) else {
            let assignments = command.iter().take_while(|word| assignment(word).is_some()).count();
            let (before, words) = command.split_at(assignments);
            let environment = before.iter().filter_map(|word| assignment(word)).collect();
            return Self { environment, words: words.to_vec(), ..Self::plain(Dialect::Autossh) };
        };
        let before = CommandWrappers::read(&command[..at]);
        let own = command[at + 1..].iter().skip_while(|word| before.ends_with_dashes && *word == "--");
        Self {
            environment: before.environment,
            words: own.take_while(|word| !redirects(word)).cloned().collect(),
            around: before.around,
            user: before.user,
            ..Self::plain(dialect(&command[at]).unwrap_or(Dialect::Autossh))
        }
    }

    /// The account that the line runs as, where it says so. A line of /etc/crontab has it before the command.
    pub(super) fn account(&self, facts: &dyn HostFacts) -> Option<String> {
        let fields = match self.around.first().map(String::as_str) {
            Some(when) if when.starts_with('@') => 1,
            Some(minute) if minute.starts_with(|c: char| c == '*' || c.is_ascii_digit()) => 5,
            _ => return self.user.clone(),
        };
        let sixth = self.around.get(fields).filter(|word| facts.home_of(word).is_some());
        self.user.clone().or_else(|| sixth.cloned())
    }

    /// The words as the shell would have handed them on, and what of them only a shell can fill in.
    pub(super) fn filled_in(&self, facts: &dyn HostFacts) -> (Vec<String>, Vec<String>) {
        if !self.uncut {
            return (self.words.clone(), Vec::new());
        }
        let mut unknown = Vec::new();
        let words = self.words.iter().map(|word| fill_in(word, facts, &mut unknown)).collect();
        (words, unknown)
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

/// `sh -c 'autossh …'`, and `su tunnel -c 'autossh …'`: where it begins, and the inner line.
fn shell_command(words: &[String]) -> Option<(usize, &str)> {
    let shells = ["sh", "bash", "dash", "ash", "su", "runuser"];
    let is_shell = |word: &String| word.rsplit('/').next().is_some_and(|name| shells.contains(&name));
    let at = words.iter().position(is_shell)?;
    let rest = &words[at + 1..];
    let option = rest.iter().position(|word| word.starts_with('-') && word.ends_with('c'))?;
    let inner = rest.get(option + 1).map(String::as_str).filter(|command| command.contains("ssh"))?;
    // What stands between su and its -c is whom it runs as.
    let end = if words[at].ends_with("su") || words[at].ends_with("runuser") { at + 1 + option } else { at };
    Some((end, inner))
}

/// `~/`, `$NAME` and `${NAME}`.
fn fill_in(word: &str, facts: &dyn HostFacts, unknown: &mut Vec<String>) -> String {
    let home = facts.home().map(|home| home.display().to_string());
    let (mut filled, mut rest) = match (word.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => (format!("{home}/"), below),
        _ => (String::new(), word),
    };
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let (name, after) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => {
                let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !fine(c)).unwrap_or(after.len()))
            }
        };
        match facts.variable(name) {
            Some(value) => filled.push_str(value),
            None => {
                unknown.push(format!("${name}"));
                filled.push_str(&format!("${name}"));
            }
        }
        rest = after;
    }
    if rest.contains('`') {
        unknown.push(rest.to_owned());
    }
    filled + rest
}

pub(super) fn assignment(word: &str) -> Option<(String, String)> {
    // `docker run -eNAME=value` and `--env=NAME=value` too.
    let word = word.strip_prefix("--env=").or_else(|| word.strip_prefix("-e")).unwrap_or(word);
    let (name, value) = word.split_once('=')?;
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = !name.is_empty() && name.chars().all(fine) && !name.starts_with(|c: char| c.is_ascii_digit());
    named.then(|| (name.to_owned(), value.to_owned()))
}

/// `host;` are two words to a shell.
fn without_semicolon(word: &str) -> impl Iterator<Item = &str> {
    let (word, end) = match word.strip_suffix(';') {
        Some(before) => (before, Some(";")),
        None => (word, None),
    };
    [Some(word).filter(|word| !word.is_empty() || end.is_none()), end].into_iter().flatten()
}

/// What joins commands in a shell.
fn joins(word: &str) -> bool {
    matches!(word, "&" | "&&" | "|" | "||" | ";")
}

/// A redirection: it and what follows are the shell's.
fn redirects(word: &str) -> bool {
    word.starts_with(['>', '<']) || word.starts_with("2>") || word.starts_with("1>") || word.starts_with("&>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(line: &str) -> [String; 5] {
        let found = Invocation::find(&shlex::split(line).unwrap());
        let environment: Vec<String> = found.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let program = if found.dialect == Dialect::Ssh { "ssh" } else { "autossh" };
        let user = found.user.unwrap_or_default();
        [program.to_owned(), environment.join(" "), found.words.join(" "), user, found.around.join(" ")]
    }

    #[test]
    fn the_program_is_found_wherever_people_put_it() {
        for (line, environment, words, user, around) in [
            ("-M 0 -N h", "", "-M 0 -N h", "", ""),
            ("AUTOSSH_GATETIME=0 -N h", "AUTOSSH_GATETIME=0", "-N h", "", ""),
            ("autossh -M 0 h &", "", "-M 0 h", "", ""),
            ("A=1 B='x y' /usr/bin/autossh -N h", "A=1 B=x y", "-N h", "", ""),
            ("sudo -u tunnel A=1 autossh -N h > /dev/null 2>&1", "A=1", "-N h", "tunnel", ""),
            ("sudo -E -H --user=tunnel -- nohup setsid autossh -N h", "", "-N h", "tunnel", ""),
            ("env -i A=1 autossh -N h", "A=1", "-N h", "", ""),
            ("@reboot sleep 30 && A=1 nohup autossh -f -N h &", "A=1", "-f -N h", "", "@reboot sleep 30"),
            ("*/5 * * * * /usr/bin/autossh -N h", "", "-N h", "", "*/5 * * * *"),
            (
                "docker run -d -e A=1 --env=B=2 -eC=3 image autossh -N h",
                "A=1 B=2 C=3",
                "-N h",
                "",
                "docker run -d -e image",
            ),
            ("pgrep -x autossh || /usr/bin/autossh -f -N h &", "", "-f -N h", "", "pgrep -x autossh"),
            ("timeout 60 autossh -N h && echo over", "", "-N h", "", "timeout 60 echo over"),
            ("/bin/sh -c 'apk add autossh && exec autossh -N h'", "", "-N h", "", "apk add autossh"),
            ("/bin/sh -c 'A=1 exec autossh -N -L 1:h:2 h'", "A=1", "-N -L 1:h:2 h", "", ""),
            ("B=2 sh -c 'autossh -N h'", "B=2", "-N h", "", ""),
            ("su - tunnel -c 'autossh -f -N h'", "", "-f -N h", "tunnel", ""),
            ("su -s /bin/sh tunnel -c 'exec autossh -N h'", "", "-N h", "tunnel", ""),
            ("runuser -u tunnel -- autossh -N h", "", "-N h", "tunnel", ""),
            (
                "start-stop-daemon --start -c tunnel --exec /usr/bin/autossh -- -M 0 h",
                "",
                "-M 0 h",
                "tunnel",
                "start-stop-daemon --start --exec",
            ),
            ("'autossh -M 0 -N h'", "", "-M 0 -N h", "", ""),
            ("bash -c 'while true; do autossh -N h; sleep 5; done'", "", "-N h", "", "while true do sleep 5 done"),
        ] {
            let want = ["autossh", environment, words, user, around].map(str::to_owned);
            assert_eq!(find(line), want, "{line}");
        }
        assert_eq!(find("ssh -fnNT -R 1:h:2 h")[..3], ["ssh", "", "-fnNT -R 1:h:2 h"]);
    }

    #[test]
    fn other_blanks_are_part_of_a_word() {
        for word in ["\u{a0}", "\u{b}h", "x\u{2003}y"] {
            assert_eq!(Invocation::find(&[word.to_owned()]).words, [word]);
        }
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let found = Invocation::find(&["A=1".into(), "A=2".into(), "autossh".into()]);
        assert_eq!(found.variable("A").as_deref(), Some("2"));
        assert_eq!(found.variable("B"), None);
    }
}
