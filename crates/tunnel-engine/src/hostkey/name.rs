//! Under which names a server is looked up, and which patterns of known_hosts are for it (sshd(8), SSH_KNOWN_HOSTS).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::spec::{Destination, wildcard};

/// The names of one server, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerName {
    /// `[host]:port`, `host` on port 22, or HostKeyAlias. New lines are written under it.
    pub(super) lookup: String,
    /// The host without its port, asked when nothing is known for `lookup`.
    pub(super) fallback: Option<String>,
    /// What a host certificate must name.
    pub(super) principal: String,
}

impl ServerName {
    /// The rules of ssh: an alias stands for itself, without a port; an address has one spelling.
    pub(super) fn new(destination: &Destination, alias: Option<&str>) -> Self {
        if let Some(alias) = alias {
            let alias = alias.to_lowercase();
            return Self { lookup: alias.clone(), fallback: None, principal: alias };
        }
        let host = destination.canonical_host().to_lowercase();
        if destination.port == Destination::DEFAULT_PORT {
            return Self { lookup: host.clone(), fallback: None, principal: host };
        }
        Self { lookup: format!("[{host}]:{}", destination.port), fallback: Some(host.clone()), principal: host }
    }

    /// Every name that lines may be for.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.lookup).chain(&self.fallback).map(String::as_str)
    }
}

/// The first field of a known_hosts line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostNames {
    /// `|1|salt|hash`: one name, HMAC-SHA1 under the salt.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    /// A comma list of patterns, in lower case.
    Patterns(Vec<String>),
}

impl HostNames {
    /// `None` for a hash that is none.
    pub(super) fn parse(field: &str) -> Option<Self> {
        let Some(hashed) = field.strip_prefix('|') else {
            return Some(Self::Patterns(field.split(',').map(str::to_lowercase).collect()));
        };
        let (salt, hash) = hashed.strip_prefix("1|")?.split_once('|')?;
        Some(Self::Hashed { salt: STANDARD.decode(salt).ok()?, hash: STANDARD.decode(hash).ok()? })
    }

    /// One name, or a name and an address, as ssh writes them: no patterns, no lists by hand.
    pub(super) fn is_simple(&self) -> bool {
        match self {
            Self::Hashed { .. } => true,
            Self::Patterns(patterns) => {
                patterns.len() <= 2 && !patterns.iter().any(|pattern| pattern.contains(['*', '?', '!']))
            }
        }
    }

    /// The field of a new line for `name`: `|1|salt|hash`.
    pub(super) fn hashed(name: &str) -> Option<String> {
        /// As long as the hash, as ssh has it.
        const SALT: usize = 20;
        let mut salt = [0; SALT];
        aws_lc_rs::rand::fill(&mut salt).ok()?;
        let hash = Hmac::<Sha1>::new_from_slice(&salt).ok()?.chain_update(name.as_bytes()).finalize().into_bytes();
        Some(format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash)))
    }

    /// True when the line is for `name` (lower case). A negated pattern that matches rules the line out, whatever
    /// else it holds.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|hmac| hmac.chain_update(name.as_bytes()).verify_slice(hash).is_ok()),
            Self::Patterns(patterns) => {
                let (negated, plain): (Vec<&str>, Vec<&str>) =
                    patterns.iter().map(String::as_str).partition(|pattern| pattern.starts_with('!'));
                !negated.iter().any(|pattern| wildcard(&pattern[1..], name))
                    && plain.iter().any(|pattern| wildcard(pattern, name))
            }
        }
    }
}
