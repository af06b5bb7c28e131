//! tunneld(8) has the commands, options, variables and exit codes that there are.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command};

use crate::cli::help;
use crate::manual::{TUNNELD, items, section};

/// How a command or an option is written after `.It`.
type Head = &'static str;

/// A command of the manual.
struct Described {
    head: Head,
    options: Vec<Head>,
}

/// The commands by their names; `import unit` is one.
fn described() -> BTreeMap<String, Described> {
    let mut commands = BTreeMap::new();
    let mut name = String::new();
    for line in section(TUNNELD, "COMMANDS") {
        if let Some(head) = line.strip_prefix(".It Cm ") {
            let words = head.split(' ').take_while(|word| !["Ar", "Oo", "Cm"].contains(word));
            name = words.collect::<Vec<_>>().join(" ");
            let first = commands.insert(name.clone(), Described { head, options: Vec::new() });
            assert!(first.is_none(), "{name} is described twice");
        } else if let Some(head) = line.strip_prefix(".It ") {
            commands.get_mut(&name).unwrap().options.push(head);
        }
    }
    commands
}

/// The same of the program: commands that do something, without those that are not for people.
fn there_are() -> BTreeMap<String, Command> {
    let mut whole = help::command();
    whole.build();
    let mut commands = BTreeMap::new();
    for verb in whole.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name().to_owned();
        if verb.has_subcommands() {
            for inner in verb.get_subcommands().filter(|inner| inner.get_name() != "help") {
                commands.insert(format!("{name} {}", inner.get_name()), inner.clone());
            }
        } else {
            commands.insert(name, verb.clone());
        }
    }
    commands
}

/// `-f` and `--follow` of `Fl f , Fl -follow Ar X`.
fn flags(head: &str) -> BTreeSet<String> {
    let words: Vec<&str> = head.split(' ').collect();
    words.windows(2).filter(|pair| pair[0] == "Fl").map(|pair| format!("-{}", pair[1])).collect()
}

fn flags_of(arg: &Arg) -> BTreeSet<String> {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short).collect()
}

/// Whether a head says what a value is, as `--help` does.
fn assert_value(head: &str, arg: &Arg) {
    if arg.get_action().takes_values() {
        for name in arg.get_value_names().unwrap_or_default() {
            let value = name.replace('…', "...").to_uppercase();
            assert!(head.to_uppercase().contains(&format!("AR {value}")), "`{head}` does not name `{value}`");
        }
    }
}

fn assert_options(what: &str, heads: &[Head], args: &[&Arg]) {
    let written: BTreeSet<_> = heads.iter().flat_map(|head| flags(head)).collect();
    let real: BTreeSet<_> = args.iter().flat_map(|arg| flags_of(arg)).collect();
    assert_eq!(written, real, "options of {what}");
    for arg in args {
        let head = heads.iter().find(|head| flags(head) == flags_of(arg));
        assert_value(head.unwrap_or_else(|| panic!("{what}: {arg:?} is written in two places")), arg);
    }
}

#[test]
fn the_manual_describes_every_command_with_its_options() {
    let (written, real) = (described(), there_are());
    assert_eq!(written.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>());
    let whole = help::command();
    for (name, command) in &real {
        let Described { head, options } = &written[name];
        let is_own = |arg: &&Arg| {
            !arg.is_positional()
                && arg.get_id() != "help"
                && !whole.get_arguments().any(|global| global.get_id() == arg.get_id())
        };
        let own: Vec<&Arg> = command.get_arguments().filter(is_own).collect();
        assert_options(name, options, &own);
        command.get_positionals().for_each(|arg| assert_value(head, arg));
    }
}

#[test]
fn the_manual_describes_the_options_of_every_command() {
    let mut whole = help::command();
    whole.build();
    let heads: Vec<Head> =
        section(TUNNELD, "OPTIONS").into_iter().filter_map(|line| line.strip_prefix(".It ")).collect();
    assert_options("every command", &heads, &whole.get_arguments().collect::<Vec<_>>());
}

#[test]
fn the_manual_has_every_variable_of_an_option() {
    let written = items(&section(TUNNELD, "ENVIRONMENT"), "Ev");
    let written: BTreeSet<&str> = written.into_iter().filter(|name| name.starts_with("TUNNELD_")).collect();
    let whole = help::command();
    let real: BTreeSet<&str> = whole.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    assert_eq!(written, real);
}

#[test]
fn the_manual_has_every_exit_code() {
    let heads = section(TUNNELD, "EXIT STATUS").into_iter().filter_map(|line| line.strip_prefix(".It "));
    let written: BTreeSet<&str> = heads.collect();
    let constants = include_str!("../../exit.rs").lines().filter_map(|line| line.split_once(": u8 = "));
    let real: BTreeSet<&str> = constants.map(|(_, code)| code.trim_end_matches(';')).collect();
    assert!(real.len() >= 7, "{real:?}");
    assert_eq!(written, real);
}
