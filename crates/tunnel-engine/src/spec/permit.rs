//! Where the server's users may connect through a reverse SOCKS forward: ssh_config's PermitRemoteOpen.

use std::fmt;
use std::str::FromStr;

use crate::services;

/// The permitted targets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PermitRemoteOpen {
    /// `any`.
    #[default]
    Any,
    /// These and nothing else; `none` when empty.
    Only(Vec<PermittedTarget>),
}

/// One `host:port`. As in ssh, names are compared letter by letter and not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermittedTarget {
    /// `None` for `*`.
    host: Option<String>,
    /// `None` for `*`.
    port: Option<u16>,
}

impl PermitRemoteOpen {
    /// Reads the words of one line: `any`, `none`, or targets.
    ///
    /// # Errors
    /// The word that is none of these, or that must stand alone.
    pub fn parse<T: AsRef<str>>(words: &[T]) -> Result<Self, PermitError> {
        let alone = |word: &str| word.eq_ignore_ascii_case("any") || word.eq_ignore_ascii_case("none");
        match words {
            [] => Err(PermitError::NotATarget(String::new())),
            [word] if word.as_ref().eq_ignore_ascii_case("any") => Ok(Self::Any),
            [word] if word.as_ref().eq_ignore_ascii_case("none") => Ok(Self::Only(Vec::new())),
            words => match words.iter().find(|word| alone(word.as_ref())) {
                Some(word) => Err(PermitError::NotAlone(word.as_ref().to_owned())),
                None => words.iter().map(|word| word.as_ref().parse()).collect::<Result<_, _>>().map(Self::Only),
            },
        }
    }

    /// Whether a connection there is permitted.
    pub fn permits(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Only(targets) => targets.iter().any(|target| {
                target.host.as_ref().is_none_or(|known| known == host) && target.port.is_none_or(|known| known == port)
            }),
        }
    }

    /// The words that [`PermitRemoteOpen::parse`] reads as this.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Any => vec!["any".to_owned()],
            Self::Only(targets) if targets.is_empty() => vec!["none".to_owned()],
            Self::Only(targets) => targets.iter().map(ToString::to_string).collect(),
        }
    }
}

impl FromStr for PermittedTarget {
    type Err = PermitError;

    /// `host:port`, `[address]:port`, with `*` for either; the port may be the name of a service.
    fn from_str(text: &str) -> Result<Self, PermitError> {
        let wrong = || PermitError::NotATarget(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:"),
            None => text.split_once(':'),
        }
        .ok_or_else(wrong)?;
        let port = match port {
            "*" => None,
            text => Some(services::port(text).filter(|port| *port != 0).ok_or_else(wrong)?),
        };
        match host {
            "" => Err(wrong()),
            "*" => Ok(Self { host: None, port }),
            name => Ok(Self { host: Some(name.to_owned()), port }),
        }
    }
}

impl fmt::Display for PermittedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => f.write_str("*")?,
            Some(host) if host.contains(':') => write!(f, "[{host}]")?,
            Some(host) => f.write_str(host)?,
        }
        match self.port {
            None => f.write_str(":*"),
            Some(port) => write!(f, ":{port}"),
        }
    }
}

/// Why a word cannot be one of PermitRemoteOpen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermitError {
    /// Not `host:port`.
    #[error("`{0}` is not a target")]
    NotATarget(String),
    /// `any` or `none` beside other words.
    #[error("`{0}` stands beside other values")]
    NotAlone(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(words: &[&str], host: &str, port: u16) -> bool {
        let permit = PermitRemoteOpen::parse(words).unwrap();
        assert_eq!(PermitRemoteOpen::parse(&permit.words()), Ok(permit.clone()), "what is written can be read");
        permit.permits(host, port)
    }

    #[test]
    fn targets_are_permitted_as_ssh_permits_them() {
        for (words, host, port, want) in [
            (&["any"][..], "anywhere", 1, true),
            (&["None"], "anywhere", 1, false),
            (&["db:5432"], "db", 5432, true),
            (&["db:5432"], "db", 5433, false),
            (&["db:5432"], "DB", 5432, false),
            (&["db:*"], "db", 1, true),
            (&["*:443"], "anywhere", 443, true),
            (&["*:443"], "anywhere", 80, false),
            (&["*.example.com:443"], "a.example.com", 443, false),
            (&["[::1]:22", "10.0.0.1:22"], "::1", 22, true),
            (&["[::1]:22", "10.0.0.1:22"], "10.0.0.1", 22, true),
            (&["[::1]:22", "10.0.0.1:22"], "10.0.0.2", 22, false),
        ] {
            assert_eq!(permits(words, host, port), want, "{words:?} {host}:{port}");
        }
    }

    #[test]
    fn words_that_mean_nothing_are_refused() {
        for bad in ["db", "db:", ":80", "db:0", "db:no-such", "[::1]", "::1:22", "db:70000", ""] {
            assert_eq!(PermitRemoteOpen::parse(&[bad]), Err(PermitError::NotATarget(bad.to_owned())));
        }
        assert_eq!(PermitRemoteOpen::parse(&["db:1", "any"]), Err(PermitError::NotAlone("any".to_owned())));
        assert!(PermitRemoteOpen::parse::<&str>(&[]).is_err());
    }
}
