//! What `--help` of a verb shows: the options that are for every verb are taken before and after each of them, and shown
//! only where they have an effect.

use clap::{Arg, Command, CommandFactory};

use super::args::Args;

/// The options that stand before or after any verb, by clap's names.
const GLOBAL: [&str; 4] = ["config", "control_socket", "log_level", "pid_file"];

/// They come after the verb's own.
const LAST: usize = 100;

/// The command line, as it is parsed and as help shows it.
pub(super) fn command() -> Command {
    let whole = GLOBAL.iter().fold(Args::command(), |whole, name| {
        whole.mut_arg(name, |option| without_empty_variable(option).display_order(LAST))
    });
    let verbs: Vec<String> = whole.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.iter().fold(whole, |whole, verb| {
        // A verb that has an option of that name itself does not inherit it.
        let hidden: Vec<_> = whole
            .get_arguments()
            .filter(|option| GLOBAL.contains(&option.get_id().as_str()))
            .filter(|option| !shown(verb).contains(&option.get_id().as_str()))
            .map(|option| option.clone().hide(true))
            .collect();
        whole.mut_subcommand(verb, |verb| verb.args(hidden))
    })
}

/// A variable that is empty is as one that is not set: compose files and unit files write one so.
fn without_empty_variable(option: Arg) -> Arg {
    let is_empty = option.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
    if is_empty { option.env(None::<&str>) } else { option }
}

/// Which of them have an effect on a verb.
fn shown(verb: &str) -> &'static [&'static str] {
    match verb {
        "run" | "container" => &GLOBAL,
        "check" | "trust" | "authorize" => &["config"],
        "init" | "import" | "autossh" | "demo" | "completions" | "complete" => &[],
        // The clients of a running daemon: its socket, or the config that names it.
        _ => &["config", "control_socket"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(verb: &str) -> String {
        let mut command = command();
        command.build();
        command.find_subcommand_mut(verb).map(|verb| verb.render_long_help().to_string()).unwrap_or_default()
    }

    #[test]
    fn verbs_show_only_options_with_an_effect() {
        for (verb, wanted, unwanted) in [
            ("run", &["--config", "--control-socket", "--log-level", "--pid-file"][..], &[][..]),
            ("status", &["--config", "--control-socket", "--watch"], &["--log-level", "--pid-file"]),
            ("check", &["--config", "--json"], &["--control-socket", "--log-level", "--pid-file"]),
            ("demo", &["--help"], &["--config", "--control-socket", "--log-level", "--pid-file"]),
        ] {
            let help = help(verb);
            assert!(wanted.iter().all(|option| help.contains(option)), "{help}");
            assert!(!unwanted.iter().any(|option| help.contains(option)), "{help}");
        }
    }

    #[test]
    fn every_verb_takes_every_global_option_on_both_sides() {
        for verb in ["status", "check", "demo", "run"] {
            for line in [format!("tunneld --pid-file /p {verb}"), format!("tunneld {verb} --pid-file /p")] {
                let matches = command().try_get_matches_from(line.split(' ')).unwrap();
                let pid_file = matches.get_one::<std::path::PathBuf>("pid_file");
                assert_eq!(pid_file, Some(&"/p".into()), "{line}");
            }
        }
    }
}
