//! The command line of autossh, and of ssh: cut as ssh's own getopt cuts it, with ssh's real letters. Pure.
//!
//! autossh 1.4g imitates ssh's option string and gets it wrong (`-J`, `-P` and `-B`, words of the remote command moved
//! about, `-fL8080:foo:80` mangled); none of that is kept. Options may stand after the host, as ssh allows.

mod error;
mod letters;
mod parser;
#[cfg(test)]
mod tests;

use tunnel_engine::spec::Forward;

use super::monitor_port::MonitorPort;
use crate::sshconfig::LogLevel;
pub use error::ArgvError;
use parser::{ParsedLetters, Parser};

/// Whose grammar the words follow. They differ in `-M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `-M port[:echo_port]`.
    Autossh,
    /// `-M` is a flag.
    Ssh,
}

/// The meaning of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedArgv {
    /// `-V`.
    Version,
    /// A tunnel.
    Tunnel(Box<CommandLine>),
}

/// A command line that means a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandLine {
    /// `-M`; `None`: not given.
    pub monitor: Option<MonitorPort>,
    /// `-f`.
    pub background: bool,
    /// As typed, without the user and the port that stand in it: what `Host` blocks match.
    pub host: String,
    /// ssh_config settings in the order of the command line: the first of a keyword wins, before every file.
    pub settings: Vec<ArgvSetting>,
    /// `-L`, `-R` and `-D`.
    pub forwards: Vec<Forward>,
    /// `-F`.
    pub config_file: Option<String>,
    /// `-E`.
    pub log_file: Option<String>,
    /// What `-v` and `-q` come to.
    pub log_level: Option<LogLevel>,
    /// `-N`.
    pub no_command: bool,
    /// What was accepted and has no effect, each with the reason, for the log.
    pub notes: Vec<String>,
}

/// A setting of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgvSetting {
    /// From an option of its own: the value is as typed, and no quotes or blanks in it mean anything.
    Keyword {
        /// ssh_config's keyword.
        keyword: &'static str,
        value: String,
    },
    /// `-o`: a line of ssh_config.
    Line(String),
}

/// Reads the words after the program's name. `variable` looks up `${NAME}` in forwards.
///
/// # Errors
/// Everything that is wrong with them, in their order; after a word that cannot be cut, no more.
pub fn parse(
    words: &[String],
    dialect: Dialect,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<ParsedArgv, Vec<ArgvError>> {
    let (parsed, errors) = read(words, dialect, variable);
    if errors.is_empty() { Ok(parsed) } else { Err(errors) }
}

/// As [`parse`], with what could be read in spite of errors.
pub fn read(
    words: &[String],
    dialect: Dialect,
    variable: &dyn Fn(&str) -> Option<String>,
) -> (ParsedArgv, Vec<ArgvError>) {
    let mut parser = Parser::new(variable);
    match parser.walk(words, dialect) {
        Ok(ParsedLetters::Version) => return (ParsedArgv::Version, Vec::new()),
        Ok(ParsedLetters::All) => {}
        Err(error) => parser.errors.push(error),
    }
    if let Some(command) = parser.command.take() {
        if parser.line.no_command {
            // As ssh -N.
            parser.line.notes.push(format!("the remote command `{command}` is not run: -N is given"));
        } else {
            parser.errors.push(ArgvError::Command(command));
        }
    }
    if parser.terminal && !parser.line.no_command {
        parser.errors.push(ArgvError::Terminal);
    }
    (ParsedArgv::Tunnel(Box::new(parser.line)), parser.errors)
}
