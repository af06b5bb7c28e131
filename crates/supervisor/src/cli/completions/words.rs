//! What a command line that is being typed could go on with, from clap's own definitions. Pure, but for the names.

use clap::{Arg, Command};

use super::names;
use crate::cli::args::GlobalArgs;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidates {
    /// A path: the shell's own completion.
    Paths,
    /// These words, each with what it means.
    Words(Vec<(String, String)>),
}

/// `words`: after the program's name, the last one being typed. `names` gives the tunnels of the daemon or the config
/// that the words name.
pub(super) fn candidates(
    command: &Command,
    words: &[String],
    names: impl Fn(&GlobalArgs) -> Vec<String>,
) -> Candidates {
    let none = || Candidates::Words(Vec::new());
    let (typed, before) = match words.split_last() {
        Some((typed, before)) => (typed.as_str(), before),
        None => ("", &[][..]),
    };
    let mut line =
        TypedLine { root: command, verb: command, positionals: Vec::new(), waits: None, named: GlobalArgs::default() };
    for word in before {
        if !line.read(word) {
            return none();
        }
    }
    if let Some(option) = line.waits {
        return line.value(option, typed, &names);
    }
    if typed.starts_with('-') {
        let flags = line.options().filter(|arg| !arg.is_hide_set()).filter_map(|arg| Some((arg.get_long()?, arg)));
        let words = flags.map(|(long, arg)| (format!("--{long}"), meaning(arg.get_help())));
        return starting_with(typed, words.chain([("--help".to_owned(), String::new())]).collect());
    }
    if line.positionals.is_empty() && line.verb.has_subcommands() {
        let verbs = line.verb.get_subcommands().filter(|verb| !verb.is_hide_set());
        let words = verbs.map(|verb| (verb.get_name().to_owned(), meaning(verb.get_about())));
        return starting_with(typed, words.collect());
    }
    let positionals: Vec<&Arg> = line.verb.get_positionals().collect();
    let many = |arg: &&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let next = positionals.get(line.positionals.len()).or_else(|| positionals.iter().find(|arg| many(arg)));
    match next {
        Some(arg) => line.value(arg, typed, &names),
        None => none(),
    }
}

/// The words before the one that is typed.
struct TypedLine<'a> {
    root: &'a Command,
    verb: &'a Command,
    positionals: Vec<String>,
    /// The option whose value is next.
    waits: Option<&'a Arg>,
    named: GlobalArgs,
}

impl<'a> TypedLine<'a> {
    /// False: what follows is not ours to complete.
    fn read(&mut self, word: &str) -> bool {
        if let Some(option) = self.waits.take() {
            names::take(&mut self.named, option.get_id().as_str(), word);
            return true;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let option = self.options().find(|arg| arg.get_long() == Some(name));
            self.option(option, value);
        } else if let Some(short) = word.strip_prefix('-').and_then(|rest| rest.chars().last()) {
            let option = self.options().find(|arg| arg.get_short() == Some(short));
            self.option(option, None);
        } else if let Some(verb) = self.verb.find_subcommand(word).filter(|_| self.positionals.is_empty()) {
            self.verb = verb;
        } else {
            self.positionals.push(word.to_owned());
        }
        // Its options are autossh's, and those of the command that is imported.
        !self.verb.is_disable_help_flag_set() && !self.verb.get_positionals().any(Arg::is_trailing_var_arg_set)
    }

    fn option(&mut self, option: Option<&'a Arg>, value: Option<&str>) {
        let Some(option) = option.filter(|arg| arg.get_action().takes_values()) else { return };
        match value {
            Some(value) => names::take(&mut self.named, option.get_id().as_str(), value),
            None => self.waits = Some(option),
        }
    }

    /// The verb's own, and those that stand anywhere.
    fn options(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        let (root, verb) = (self.root, self.verb);
        let own = |name| verb.get_arguments().any(|arg: &Arg| arg.get_id() == name);
        let global = root.get_arguments().filter(move |arg| arg.is_global_set() && !own(arg.get_id()));
        verb.get_arguments().filter(|arg| !arg.is_positional()).chain(global)
    }

    fn value(&self, arg: &Arg, typed: &str, names: &impl Fn(&GlobalArgs) -> Vec<String>) -> Candidates {
        let possible = arg.get_possible_values();
        if !possible.is_empty() {
            let words = possible.iter().map(|value| (value.get_name().to_owned(), String::new()));
            return starting_with(typed, words.collect());
        }
        let value_name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        match value_name {
            "FILE" | "PATH" => Candidates::Paths,
            // A tunnel's name stands for its server, too.
            "NAME" | "HOST[:PORT]" if arg.is_positional() => {
                let names = names(&self.named).into_iter().filter(|name| !self.positionals.contains(name));
                starting_with(typed, names.map(|name| (name, String::new())).collect())
            }
            _ => Candidates::Words(Vec::new()),
        }
    }
}

fn starting_with(typed: &str, words: Vec<(String, String)>) -> Candidates {
    Candidates::Words(words.into_iter().filter(|(word, _)| word.starts_with(typed)).collect())
}

/// The first sentence of a help text, on one line.
fn meaning(help: Option<&clap::builder::StyledStr>) -> String {
    let text = help.map(ToString::to_string).unwrap_or_default();
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    let end = line.find(';').into_iter().chain(line.find(". ")).min();
    let sentence = end.and_then(|end| line.get(..end)).unwrap_or(&line);
    sentence.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help;

    fn complete(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let names = |named: &GlobalArgs| {
            let more = named.config.as_ref().map(|config| config.display().to_string());
            ["web-db", "web", "mail"].map(str::to_owned).into_iter().chain(more).collect()
        };
        match candidates(&help::command(), &words, names) {
            Candidates::Paths => vec!["PATHS".to_owned()],
            Candidates::Words(words) => words.into_iter().map(|(word, _)| word).collect(),
        }
    }

    #[test]
    fn verbs_names_options_and_paths_are_completed() {
        assert_eq!(complete("stat"), ["status"]);
        assert_eq!(complete("status we"), ["web-db", "web"]);
        assert_eq!(complete("status web-db w"), ["web"], "a name is given once");
        assert_eq!(complete("--config /c status /"), ["/c"], "the names are those of the config that is named");
        assert_eq!(complete("status --js"), ["--json"]);
        assert_eq!(complete("why mail "), [""; 0], "one name is all that it takes");
        assert_eq!(complete("status --config /e"), ["PATHS"]);
        assert_eq!(complete("import un"), ["unit"]);
        assert_eq!(complete("import unit "), ["PATHS"]);
        assert_eq!(complete("completions "), ["bash", "zsh", "fish"]);
        assert_eq!(complete("trust we"), ["web-db", "web"]);
        assert!(complete("run --").contains(&"--pid-file".to_owned()));
        assert!(!complete("status --").contains(&"--pid-file".to_owned()));
        assert!(!complete("").contains(&"complete".to_owned()), "the scripts' own verb is not shown");
    }

    #[test]
    fn description_ends_with_the_sentence_and_not_within_a_word() {
        for (help, told) in [
            ("Config file [default: /etc/tunneld.toml]", "Config file [default: /etc/tunneld.toml]"),
            ("As ssh -L,\nas 3307:127.0.0.1:3306. Again for more", "As ssh -L, as 3307:127.0.0.1:3306"),
            ("Stop tunnels; connections may finish", "Stop tunnels"),
            ("Only these.", "Only these"),
        ] {
            assert_eq!(meaning(Some(&help.into())), told);
        }
        assert_eq!(meaning(None), "");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for line in ["autossh -M ", "import autossh -- ssh -", "nonsense ", "init u@h"] {
            assert_eq!(complete(line), [""; 0], "{line}");
        }
    }
}
