//! A machine that is made up: two files of ssh_config, no commands, one account.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use supervisor::sshconfig::{HostFacts, System, Text};

/// An account whose home is nowhere, with a few variables.
pub(super) fn account() -> System {
    let variables = [("PORT", "3307"), ("KEYS", "/keys"), ("A", ""), ("CREDENTIALS_DIRECTORY", "/run/cred")];
    let variables: HashMap<_, _> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    System::new(Some("me".to_owned()), Some("/nowhere/me".into()), variables).in_folder("/nowhere".into())
}

/// The same with a `~/.ssh/config`, and one file that it may include.
pub(super) struct Machine<'a> {
    pub(super) config: &'a str,
    pub(super) included: &'a str,
}

impl Machine<'_> {
    /// The name that includes the second file.
    pub(super) const INCLUDED: &'static str = "/i";
}

impl HostFacts for Machine<'_> {
    fn user(&self) -> Option<&str> {
        Some("me")
    }
    fn home(&self) -> Option<&Path> {
        Some(Path::new("/home/me"))
    }
    fn uid(&self) -> u32 {
        1000
    }
    fn home_of(&self, user: &str) -> Option<PathBuf> {
        (user == "you").then(|| "/home/you".into())
    }
    fn variable(&self, name: &str) -> Option<&str> {
        (name == "HOME").then_some("/home/me")
    }
    fn folder(&self) -> PathBuf {
        "/work".into()
    }
    fn hostname(&self) -> String {
        "box.example.com".to_owned()
    }
    fn addresses(&self) -> Vec<IpAddr> {
        vec![IpAddr::from([192, 168, 7, 9])]
    }
    fn read(&self, path: &Path) -> io::Result<Text> {
        let text = match path.to_str() {
            Some("/home/me/.ssh/config") => self.config,
            Some(Self::INCLUDED) => self.included,
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Text { text: text.to_owned(), trusted: true })
    }
    fn files(&self, pattern: &str) -> Vec<PathBuf> {
        let matches = tunnel_engine::spec::wildcard(pattern, Self::INCLUDED);
        if matches { vec![Self::INCLUDED.into()] } else { Vec::new() }
    }
    fn run(&self, command: &str) -> io::Result<bool> {
        Ok(command.len().is_multiple_of(2))
    }
}
