//! The command line: reads it, does the verb, and ends with the exit code that scripts rely on. One file a verb.

mod account;
mod args;
mod authorize;
mod check;
mod completions;
mod container;
mod daemon;
mod demo;
mod doctor;
mod events;
mod help;
mod import;
mod init;
mod names;
mod plan;
mod problem;
mod render;
mod run;
mod server;
mod status;
#[cfg(test)]
mod tests;
mod trust;
mod version;
mod wait;
mod watch;
mod why;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::os::{runtime, signals};
use crate::protocol::{EventsRequest, Request};
use crate::{autossh, config, exit};
use account::as_the_daemon;
use args::{Args, Verb};
use daemon::DaemonAddress;
use problem::Problem;

/// The name, and the verb, under which tunneld is autossh.
const AUTOSSH: &str = "autossh";

/// Does what the command line says.
pub fn main() -> ExitCode {
    // autossh's options are not ours to read: `-V`, `--` and all.
    if let Some((program, words)) = as_autossh(std::env::args_os()) {
        return ExitCode::from(autossh::main(&program, words));
    }
    let parsed = help::command().try_get_matches().and_then(|matches| Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        // `--help` comes this way too, and is fine. What cannot be printed has no reader.
        Err(error) => {
            let plain = error.render().to_string();
            let short = problem::with_short_lines(&plain);
            let _ = if short == plain { error.print() } else { io::stderr().write_all(short.as_bytes()) };
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    match dispatch(args) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => ExitCode::from(problem.report()),
    }
}

/// Called by that name, or with that word first: what to call it, and its own words.
fn as_autossh(words: impl IntoIterator<Item = OsString>) -> Option<(String, Vec<OsString>)> {
    let mut words = words.into_iter();
    let program = PathBuf::from(words.next()?).file_name()?.to_string_lossy().into_owned();
    let mut words = words.peekable();
    if program != AUTOSSH {
        words.next_if(|word| word == AUTOSSH)?;
    }
    Some((AUTOSSH.to_owned(), words.collect()))
}

/// A wrong `--log-level` is wrong usage; a wrong variable is told with the config, as what is wrong there.
fn check_log_level(level: Option<&str>, by_variable: Option<&str>) -> Result<(), Problem> {
    let flag = level.filter(|level| by_variable != Some(*level));
    let refuse = |error: config::LogFilterError| Problem::Usage(format!("--log-level: {error}; {}", error.hint));
    flag.map_or(Ok(()), |level| config::log_filter(level).map(drop).map_err(refuse))
}

fn dispatch(args: Args) -> Result<u8, Problem> {
    if args.version {
        return version::run(args.verbose);
    }
    let global = args.global;
    let by_variable = std::env::var("TUNNELD_LOG_LEVEL").ok();
    check_log_level(global.log_level.as_deref(), by_variable.as_deref())?;
    let daemon = || {
        signals::leave_to_daemon().map_err(Problem::Start)?;
        DaemonAddress::find(&global)
    };
    match args.verb.unwrap_or(Verb::Run) {
        Verb::Run => run::run(&global),
        Verb::Container { print } => container::run(&global, print),
        Verb::Init(args) => init::run(&global, args),
        // Over the login of the user who installs the line, with that user's keys.
        Verb::Authorize(args) if args.installs() => authorize::run(&global, args),
        Verb::Authorize(args) => authorize::run(&as_the_daemon(global)?, args),
        // A file that is named may be one for root alone to write.
        Verb::Trust(args) if args.names_file() => trust::run(&global, args),
        Verb::Trust(args) => trust::run(&as_the_daemon(global)?, args),
        Verb::Check { json } => check::run(&as_the_daemon(global)?, json),
        Verb::Status { names, json, watch: true } => watch::run(daemon()?, names, json),
        Verb::Status { names, json, watch: false } => status::run(&daemon()?, names, json),
        Verb::Why { name } => why::run(&daemon()?, name),
        Verb::Events { names, json, follow, since } => {
            let asked = EventsRequest { names, follow, within_s: since.map(events::seconds) };
            events::run(&daemon()?, asked, json)
        }
        Verb::Wait { names, timeout } => wait::run(&daemon()?, names, timeout),
        Verb::Start { which } => names::start(&daemon()?, "started", which, |names| Request::Start { names }),
        Verb::Stop { names, no_block } => names::stop(&daemon()?, names, no_block),
        Verb::Restart { which } => names::start(&daemon()?, "restarted", which, |names| Request::Restart { names }),
        Verb::ResetFailed { names } => names::run(&daemon()?, Request::ResetFailed { names }),
        Verb::Reload => plan::reload(&daemon()?, &global),
        Verb::Plan => plan::run(&daemon()?, &global),
        Verb::Doctor { names, json } => doctor::run(&as_the_daemon(global)?, &names, json),
        Verb::Import { from } => import::run(from),
        Verb::Autossh { words } => Ok(autossh::main(AUTOSSH, words)),
        Verb::Completions { shell } => completions::script(shell),
        Verb::Complete { words } => completions::complete(&words),
        Verb::Demo => demo::run(),
    }
}

/// Runs the asynchronous part of a verb.
fn block_on<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    runtime::block_on(work).map_err(Problem::Start)?
}
