//! The walk over the words: letters, their arguments, the destination.

use tunnel_engine::spec::{DeviceMode, Forward, ForwardKind, ForwardParseError, port_or_service};

use super::letters::{self, Letter, MASTER, OptionHandling};
use super::{ArgvError, ArgvSetting, CommandLine, Dialect};
use crate::autossh::monitor_port::MonitorPort;
use crate::sshconfig::LogLevel;

pub(super) struct Parser<'a> {
    pub(super) line: CommandLine,
    pub(super) errors: Vec<ArgvError>,
    pub(super) command: Option<String>,
    /// `-t`.
    pub(super) terminal: bool,
    jumps: usize,
    verbose: bool,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

pub(super) enum ParsedLetters {
    All,
    Version,
}

impl<'a> Parser<'a> {
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            line: CommandLine::default(),
            errors: Vec::new(),
            command: None,
            terminal: false,
            jumps: 0,
            verbose: false,
            variable,
        }
    }

    pub(super) fn walk(&mut self, words: &[String], mut dialect: Dialect) -> Result<ParsedLetters, ArgvError> {
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
                    return Ok(ParsedLetters::Version);
                }
            } else if named {
                let command: Vec<&str> = std::iter::once(word).chain(words).collect();
                self.command = Some(command.join(" "));
                return Ok(ParsedLetters::All);
            } else {
                named = true;
                match TypedDestination::parse(word) {
                    Some(destination) => self.destination(&destination),
                    None => self.errors.push(ArgvError::BadHost(word.to_owned())),
                }
            }
        }
        if named { Ok(ParsedLetters::All) } else { Err(ArgvError::NoHost) }
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
            // As ssh: the first one is debug whatever came before, each further one adds to the level of then.
            'v' => {
                let level = self.line.log_level.filter(|_| self.verbose).map_or(LogLevel::Debug1, LogLevel::louder);
                self.line.log_level = Some(level);
                self.verbose = true;
            }
            'q' => self.line.log_level = Some(LogLevel::Quiet),
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
            'o' => self.line.settings.push(ArgvSetting::Line(value.to_owned())),
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
        match letter.handling {
            OptionHandling::Own | OptionHandling::Granted => {}
            OptionHandling::Keyword(keyword) => self.set(keyword, value.unwrap_or_default()),
            OptionHandling::Fixed(keyword, value) => self.set(keyword, value),
            OptionHandling::Forward(kind) => self.forward(letter.letter, kind, value.unwrap_or_default()),
            OptionHandling::Device => self.device(letter.letter, value.unwrap_or_default()),
            OptionHandling::NoEffect(why) => self.line.notes.push(format!("-{} has no effect: {why}", letter.letter)),
            OptionHandling::Refused(why) => self.errors.push(ArgvError::Refused(letter.letter, why)),
        }
    }

    fn set(&mut self, keyword: &'static str, value: &str) {
        self.line.settings.push(ArgvSetting::Keyword { keyword, value: value.to_owned() });
    }

    fn forward(&mut self, letter: char, kind: ForwardKind, text: &str) {
        let expanded = expand(text, self.variable).ok_or(ForwardParseError::BadHost(text.to_owned()));
        match expanded.and_then(|text| Forward::parse_argument(kind, &text)) {
            // ssh merges what is given twice.
            Ok(forward) if self.line.forwards.contains(&forward) => {}
            Ok(forward) => self.line.forwards.push(forward),
            Err(source) => self.errors.push(ArgvError::Forward { letter, text: text.to_owned(), source }),
        }
    }

    /// As ssh: point-to-point, unless an option before it says `Tunnel=ethernet`.
    fn device(&mut self, letter: char, units: &str) {
        match Forward::parse_device(units) {
            Ok(_) => {
                self.set("Tunnel", DeviceMode::PointToPoint.as_str());
                self.set("TunnelDevice", units);
            }
            Err(source) => self.errors.push(ArgvError::Forward { letter, text: units.to_owned(), source }),
        }
    }

    /// A user or port that an option before it has set stays.
    fn destination(&mut self, destination: &TypedDestination<'_>) {
        self.line.host = destination.host.to_owned();
        if let Some(user) = destination.user {
            self.set("User", user);
        }
        if let Some(port) = destination.port {
            self.set("Port", port);
        }
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

/// The destination's parts, as typed: `[user@]host`, or a URI with a port.
#[derive(Debug, PartialEq, Eq)]
struct TypedDestination<'a> {
    user: Option<&'a str>,
    host: &'a str,
    port: Option<&'a str>,
}

impl<'a> TypedDestination<'a> {
    /// `None` where ssh would refuse it.
    fn parse(text: &'a str) -> Option<Self> {
        let (user, host, port) = match text.strip_prefix("ssh://") {
            Some(rest) => uri(rest.trim_end_matches('/')),
            None => match text.rsplit_once('@') {
                Some((user, host)) => (Some(user), host, None),
                None => (None, text, None),
            },
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}".contains(c);
        let user_is_odd = user.is_some_and(|user| user.is_empty() || user.starts_with('-'));
        let port_is_odd = port.is_some_and(|port| port_or_service(port).unwrap_or_default() == 0);
        let is_odd = host.is_empty() || host.starts_with('-') || host.contains(odd) || user_is_odd || port_is_odd;
        (!is_odd).then_some(Self { user, host, port })
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
