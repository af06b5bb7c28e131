//! The command line: reads it, does the verb, and ends with the exit code that scripts rely on. One file a verb.

mod args;
mod check;
mod demo;
mod import;
mod names;
mod plan;
mod problem;
mod render;
mod run;
mod status;
mod talk;
mod wait;
mod watch;
mod why;

use std::process::ExitCode;

use clap::Parser;

use crate::control::Request;
use crate::exit;
use args::{Args, ImportFrom, Verb};
use problem::Problem;
use talk::Daemon;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        // `--help` and `--version` come this way too, and are fine. Nobody reads what cannot be printed.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    match dispatch(args) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => ExitCode::from(problem.report()),
    }
}

fn dispatch(args: Args) -> Result<u8, Problem> {
    let global = args.global;
    let daemon = || Daemon::find(&global);
    match args.verb.unwrap_or(Verb::Run) {
        Verb::Run => run::run(&global),
        Verb::Check { json } => check::run(&global, json),
        Verb::Status { names, json, watch: true } => watch::run(&daemon()?, &names, json),
        Verb::Status { names, json, watch: false } => status::run(&daemon()?, names, json),
        Verb::Why { name } => why::run(&daemon()?, name),
        Verb::Wait { names, timeout } => wait::run(&daemon()?, names, timeout),
        Verb::Start { names } => names::run(&daemon()?, Request::Start { names }),
        Verb::Stop { names } => names::run(&daemon()?, Request::Stop { names }),
        Verb::Restart { names } => names::run(&daemon()?, Request::Restart { names }),
        Verb::ResetFailed { names } => names::run(&daemon()?, Request::ResetFailed { names }),
        Verb::Reload => plan::reload(&daemon()?),
        Verb::Plan => plan::run(&daemon()?, &global),
        Verb::Import { from: ImportFrom::SshConfig { hosts, file } } => import::ssh_config(&hosts, file),
        Verb::Demo => demo::run(),
    }
}
