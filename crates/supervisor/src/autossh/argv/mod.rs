//! The command line of autossh, and of ssh: cut as ssh's own getopt cuts it, with ssh's real letters. Pure.
//!
//! autossh 1.4g imitates ssh's option string and gets it wrong (`-J`, `-P` and `-B`, words of the remote command moved
//! about, `-fL8080:foo:80` mangled); none of that is kept. Options may stand after the host, as ssh allows.

mod letters;
#[cfg(test)]
mod tests;

use tunnel_engine::spec::{Forward, ForwardKind, ForwardParseError};

use super::monitor_port::{MonitorPort, MonitorPortError};
use letters::{Fate, Letter, MASTER};

/// Whose grammar the words follow. They differ in `-M` and in who goes to the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `-M port[:echo_port]`.
    Autossh,
    /// `-M` is a flag.
    Ssh,
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `-V`.
    Version,
    /// A tunnel.
    Tunnel(Box<CommandLine>),
}

/// A command line that means a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandLine {
    /// `-M`; `None`: not said.
    pub monitor: Option<MonitorPort>,
    /// `-f`.
    pub background: bool,
    /// As typed, without the user and the port that stand in it: what `Host` blocks match.
    pub host: String,
    /// ssh_config settings in the order of the command line: the first of a keyword wins, before every file.
    pub settings: Vec<Setting>,
    /// `-L`, `-R` and `-D`.
    pub forwards: Vec<Forward>,
    /// `-F`.
    pub config_file: Option<String>,
    /// `-E`.
    pub log_file: Option<String>,
    /// How many `-v`.
    pub verbose: u8,
    /// `-q`.
    pub quiet: bool,
    /// `-N`.
    pub no_command: bool,
    /// What was accepted and has no effect, each with the reason: told, never silent.
    pub notes: Vec<String>,
}

/// A setting of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// From an option of its own: the value is as typed, and no quotes or blanks in it mean anything.
    Keyword {
        /// ssh_config's keyword.
        keyword: &'static str,
        /// Its one value.
        value: String,
    },
    /// `-o`: a line of ssh_config.
    Line(String),
}

/// Why a command line means no tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgvError {
    /// getopt's words.
    #[error("invalid option -- '{0}'")]
    Unknown(char),
    /// getopt's words.
    #[error("option requires an argument -- '{0}'")]
    NoArgument(char),
    /// Nothing to connect to.
    #[error("no host is named")]
    NoHost,
    /// A destination that ssh would refuse.
    #[error("`{0}` is not a destination: write [user@]host or ssh://[user@]host[:port]")]
    BadHost(String),
    /// `-M`.
    #[error(transparent)]
    Monitor(#[from] MonitorPortError),
    /// `-L`, `-R`, `-D`.
    #[error("bad forward `-{letter} {text}`: {source}; {}", source.hint())]
    Forward {
        /// Its letter.
        letter: char,
        /// As typed.
        text: String,
        /// What is wrong.
        source: ForwardParseError,
    },
    /// A letter that cannot be followed.
    #[error("-{0} cannot be used: {1}")]
    Refused(char, &'static str),
    /// A remote command.
    #[error(
        "the remote command `{0}` is not run: tunneld keeps forwards, and opens no session on the server; leave it out and add -N"
    )]
    Command(String),
    /// `-t` without `-N`.
    #[error("-t cannot be used: no terminal is opened on the server; add -N when only the forwards are wanted")]
    Terminal,
    /// ssh's rule.
    #[error("only one -J can be used: write the jump hosts with commas")]
    SecondJump,
}

impl ArgvError {
    /// About something beside the tunnel: without it, the rest of the line still means one.
    pub const fn is_soft(&self) -> bool {
        matches!(self, Self::Refused(..) | Self::Command(_) | Self::Terminal)
    }

    /// Whether the usage text helps.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NoArgument(_) | Self::NoHost)
    }
}

/// Reads the words after the program's name. `variable` looks up `${NAME}` in forwards.
///
/// # Errors
/// Everything that is wrong with them, in their order; after a word that cannot be cut, no more.
pub fn parse(
    words: &[String],
    dialect: Dialect,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Asked, Vec<ArgvError>> {
    let (asked, errors) = read(words, dialect, variable);
    if errors.is_empty() { Ok(asked) } else { Err(errors) }
}

/// The same, with what could be read beside what is wrong.
pub fn read(words: &[String], dialect: Dialect, variable: &dyn Fn(&str) -> Option<String>) -> (Asked, Vec<ArgvError>) {
    let mut parser = Parser { line: CommandLine::default(), errors: Vec::new(), terminal: false, jumps: 0, variable };
    match parser.walk(words, dialect) {
        Ok(Walked::Version) => return (Asked::Version, Vec::new()),
        Ok(Walked::All) => {}
        Err(error) => parser.errors.push(error),
    }
    if parser.terminal && !parser.line.no_command {
        parser.errors.push(ArgvError::Terminal);
    }
    (Asked::Tunnel(Box::new(parser.line)), parser.errors)
}

struct Parser<'a> {
    line: CommandLine,
    errors: Vec<ArgvError>,
    terminal: bool,
    jumps: usize,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

enum Walked {
    All,
    Version,
}

impl Parser<'_> {
    fn walk(&mut self, words: &[String], mut dialect: Dialect) -> Result<Walked, ArgvError> {
        let mut words = words.iter().map(String::as_str).filter(|word| !word.is_empty());
        // In ssh's own words, `--` ends the options; in autossh's the first one only ends autossh's own.
        let mut options = true;
        let mut named = false;
        while let Some(word) = words.next() {
            if options && word == "--" {
                options = dialect == Dialect::Autossh;
                dialect = Dialect::Ssh;
            } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| options && !rest.is_empty()) {
                if self.cluster(cluster, &mut words, dialect)? {
                    return Ok(Walked::Version);
                }
            } else if named {
                let command: Vec<&str> = std::iter::once(word).chain(words).collect();
                self.errors.push(ArgvError::Command(command.join(" ")));
                return Ok(Walked::All);
            } else {
                named = true;
                self.destination(word);
            }
        }
        if named { Ok(Walked::All) } else { Err(ArgvError::NoHost) }
    }

    /// One word of letters. True: `-V` was among them.
    fn cluster<'w>(
        &mut self,
        cluster: &'w str,
        words: &mut impl Iterator<Item = &'w str>,
        dialect: Dialect,
    ) -> Result<bool, ArgvError> {
        let mut rest = cluster;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            let letter = match (c, dialect) {
                ('M', Dialect::Ssh) => &MASTER,
                _ => letters::find(c).ok_or(ArgvError::Unknown(c))?,
            };
            if !letter.argument {
                if c == 'V' {
                    return Ok(true);
                }
                self.flag(letter);
                continue;
            }
            let value = match std::mem::take(&mut rest) {
                "" => words.next().ok_or(ArgvError::NoArgument(c))?,
                attached => attached,
            };
            self.option(letter, value);
        }
        Ok(false)
    }

    fn flag(&mut self, letter: &Letter) {
        match letter.letter {
            'f' => self.line.background = true,
            'N' => self.line.no_command = true,
            't' => self.terminal = true,
            'v' => self.line.verbose = self.line.verbose.saturating_add(1),
            'q' => self.line.quiet = true,
            _ => self.follow(letter, None),
        }
    }

    fn option(&mut self, letter: &Letter, value: &str) {
        match letter.letter {
            'M' => match MonitorPort::parse(value) {
                Ok(port) => self.line.monitor = Some(port),
                Err(error) => self.errors.push(error.into()),
            },
            'E' => self.line.log_file = Some(value.to_owned()),
            'F' => self.line.config_file = Some(value.to_owned()),
            'o' => self.line.settings.push(Setting::Line(value.to_owned())),
            'S' if value == "none" => {}
            'J' => {
                self.jumps += 1;
                if self.jumps == 2 {
                    self.errors.push(ArgvError::SecondJump);
                }
                self.follow(letter, Some(value));
            }
            _ => self.follow(letter, Some(value)),
        }
    }

    fn follow(&mut self, letter: &Letter, value: Option<&str>) {
        match letter.fate {
            Fate::Own | Fate::Granted => {}
            Fate::Keyword(keyword) => self.set(keyword, value.unwrap_or_default()),
            Fate::Fixed(keyword, value) => self.set(keyword, value),
            Fate::Forward(kind) => self.forward(letter.letter, kind, value.unwrap_or_default()),
            Fate::NoEffect(why) => self.line.notes.push(format!("-{} has no effect: {why}", letter.letter)),
            Fate::Refused(why) => self.errors.push(ArgvError::Refused(letter.letter, why)),
        }
    }

    fn set(&mut self, keyword: &'static str, value: &str) {
        self.line.settings.push(Setting::Keyword { keyword, value: value.to_owned() });
    }

    fn forward(&mut self, letter: char, kind: ForwardKind, text: &str) {
        let expanded = expand(text, self.variable).ok_or(ForwardParseError::BadHost(text.to_owned()));
        match expanded.and_then(|text| Forward::parse(kind, &text)) {
            // ssh merges what is said twice.
            Ok(forward) if self.line.forwards.contains(&forward) => {}
            Ok(forward) => self.line.forwards.push(forward),
            Err(source) => self.errors.push(ArgvError::Forward { letter, text: text.to_owned(), source }),
        }
    }

    /// `[user@]host`, or a URI with a port. A user or port that an option before it has set stays.
    fn destination(&mut self, text: &str) {
        let (user, host, port) = match text.strip_prefix("ssh://") {
            Some(rest) => uri(rest.trim_end_matches('/')),
            None => match text.rsplit_once('@') {
                Some((user, host)) => (Some(user), host, None),
                None => (None, text, None),
            },
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}".contains(c);
        let user_is_odd = user.is_some_and(|user| user.is_empty() || user.starts_with('-'));
        let port_is_odd = port.is_some_and(|port| port.parse::<u16>().unwrap_or_default() == 0);
        if host.is_empty() || host.starts_with('-') || host.contains(odd) || user_is_odd || port_is_odd {
            self.errors.push(ArgvError::BadHost(text.to_owned()));
            return;
        }
        self.line.host = host.to_owned();
        if let Some(user) = user {
            self.set("User", user);
        }
        if let Some(port) = port {
            self.set("Port", port);
        }
    }
}

/// `[user@]host[:port]` of a URI, IPv6 addresses in brackets.
fn uri(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    if let Some((host, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (user, host, after.strip_prefix(':'));
    }
    match rest.split_once(':') {
        Some((host, port)) => (user, host, Some(port)),
        None => (user, rest, None),
    }
}

/// Replaces every `${NAME}`; `None` when one is not set or not closed, where ssh refuses too.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        expanded.push_str(before);
        expanded.push_str(&variable(name)?);
        rest = after;
    }
    Some(expanded + rest)
}
