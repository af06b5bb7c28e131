//! Whom to believe: which files and which command know host keys, what becomes of an unknown one, which are revoked.

use std::path::{Path, PathBuf};

use super::{AlgorithmList, PrompterHandle};

/// Whom to believe (ssh_config StrictHostKeyChecking and the known_hosts files).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostKeySpec {
    /// What to do with a key that no file knows.
    pub strict: StrictHostKeyChecking,
    /// UserKnownHostsFile; `accept-new` writes to the first.
    pub user_known_hosts: Vec<PathBuf>,
    /// GlobalKnownHostsFile.
    pub global_known_hosts: Vec<PathBuf>,
    /// KnownHostsCommand: what it prints counts beside the files.
    pub command: Option<KnownHostsCommand>,
    /// RevokedHostKeys: lists of keys that are never believed. One that cannot be read refuses every key.
    pub revoked: Vec<PathBuf>,
    /// UpdateHostKeys: known_hosts follows the keys that a believed server announces.
    pub update: UpdateHostKeys,
    /// CASignatureAlgorithms: what an authority may have signed a host certificate with.
    pub ca_signatures: AlgorithmList,
    /// NoHostAuthenticationForLocalhost: a server on a loopback address is believed, whatever its key, unless it has
    /// an alias.
    pub trust_loopback: bool,
    /// HostKeyAlias: the name to look up instead of the host, without a port.
    pub alias: Option<String>,
    /// HashKnownHosts: a new line of known_hosts has the server's name as a hash. Lines that are there stay as they
    /// are.
    pub hash_names: bool,
    /// Who says about an unknown key under `Yes`, as ssh's `ask`; `None`: it is refused.
    pub ask: Option<PrompterHandle>,
}

/// ssh_config StrictHostKeyChecking. `ask` has no meaning for a daemon and reads as `Yes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrictHostKeyChecking {
    /// Unknown and changed keys end the session.
    #[default]
    Yes,
    /// An unknown key is written down and believed; a changed one ends the session.
    AcceptNew,
    /// Anything is believed. Logged as a warning at every start.
    No,
}

/// ssh_config UpdateHostKeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateHostKeys {
    /// Announced keys are passed over.
    #[default]
    No,
    /// Proven keys are written down, and those that the server no longer has are removed.
    Yes,
    /// As `Yes`, once the person of [`HostKeySpec::ask`] agrees; as `No` where there is none.
    Ask,
}

/// ssh_config KnownHostsCommand: a program and its arguments, run without a shell. In the arguments stand for each
/// run: `%H` the name that is looked up, `%I` why (`ORDER`, `HOSTNAME`), `%t` `%f` `%K` the presented key's type,
/// fingerprint and base64 (`NONE` while there is no key), `%h` the host, `%k` its alias or else the host, `%p` the
/// port, `%r` the user, `%%` a percent sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHostsCommand {
    program: PathBuf,
    arguments: Vec<String>,
}

impl KnownHostsCommand {
    /// The letters of the tokens above.
    pub const TOKENS: &'static str = "HIKfhkprt%";

    /// The first word is the program.
    ///
    /// # Errors
    /// There is no word, the program has no absolute path, or a token stands for nothing.
    pub fn new(words: Vec<String>) -> Result<Self, KnownHostsCommandError> {
        let mut words = words.into_iter();
        let program = words.next().filter(|word| !word.is_empty()).ok_or(KnownHostsCommandError::Empty)?;
        if !program.starts_with('/') {
            return Err(KnownHostsCommandError::Relative(program));
        }
        let arguments: Vec<String> = words.collect();
        for argument in &arguments {
            Self::check(argument)?;
        }
        Ok(Self { program: program.into(), arguments })
    }

    fn check(argument: &str) -> Result<(), KnownHostsCommandError> {
        let mut chars = argument.chars();
        while let Some(c) = chars.next() {
            if c == '%' {
                let token = chars.next();
                if !token.is_some_and(|token| Self::TOKENS.contains(token)) {
                    let token = token.map(String::from).unwrap_or_default();
                    return Err(KnownHostsCommandError::Token(format!("%{token}")));
                }
            }
        }
        Ok(())
    }

    /// Path of the program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// With their tokens.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The program and the arguments, as [`KnownHostsCommand::new`] takes them.
    pub fn words(&self) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        std::iter::once(program).chain(self.arguments.iter().cloned()).collect()
    }

    /// The arguments with every token replaced by what `value` says of its letter.
    pub fn expand(&self, value: impl Fn(char) -> String) -> Vec<String> {
        let one = |argument: &String| {
            let mut expanded = String::new();
            let mut chars = argument.chars();
            while let Some(c) = chars.next() {
                match (c, if c == '%' { chars.next() } else { None }) {
                    (_, Some('%')) => expanded.push('%'),
                    (_, Some(token)) => expanded.push_str(&value(token)),
                    (c, None) => expanded.push(c),
                }
            }
            expanded
        };
        self.arguments.iter().map(one).collect()
    }
}

/// Why words are no KnownHostsCommand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnownHostsCommandError {
    /// Nothing to run.
    #[error("there is no program to run")]
    Empty,
    /// As ssh has it: what is asked whom to believe is not looked for in `$PATH`.
    #[error("`{0}` is not an absolute path")]
    Relative(String),
    /// Not one of the tokens.
    #[error("`{0}` stands for nothing here")]
    Token(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn tokens_are_replaced_in_the_arguments_and_only_there() {
        let command = KnownHostsCommand::new(words(&["/bin/%H", "%H=%I", "100%%", "plain"])).unwrap();
        assert_eq!(command.program(), Path::new("/bin/%H"));
        assert_eq!(command.expand(|letter| format!("<{letter}>")), ["<H>=<I>", "100%", "plain"]);
        assert_eq!(KnownHostsCommand::new(command.words()), Ok(command));
    }

    #[test]
    fn command_that_cannot_run_is_refused_early() {
        for (given, want) in [
            (&[][..], KnownHostsCommandError::Empty),
            (&[""], KnownHostsCommandError::Empty),
            (&["keys"], KnownHostsCommandError::Relative("keys".to_owned())),
            (&["/keys", "%x"], KnownHostsCommandError::Token("%x".to_owned())),
            (&["/keys", "a%"], KnownHostsCommandError::Token("%".to_owned())),
        ] {
            assert_eq!(KnownHostsCommand::new(words(given)), Err(want), "{given:?}");
        }
    }
}
