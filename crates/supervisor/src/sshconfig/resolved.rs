//! What ssh_config says about a host.

use std::path::PathBuf;

use tunnel_engine::spec::Forward;

use super::interactive::InteractiveOptions;
use super::notes::{Note, SshLine};
use crate::spec::{Settings, SourceSpan};

/// The answer to a [`super::Query`].
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The host as it was typed.
    pub alias: String,
    /// The name or address to dial.
    pub host: String,
    /// Whom to log in as: `User`, else the account. Empty where the account has no name.
    pub user: String,
    /// `Port`, else 22.
    pub port: u16,
    /// How the first byte gets there.
    pub way: ProxyRoute,
    /// What is set of the keys that a keyword sets.
    pub settings: Settings,
    /// Local, then remote, then dynamic, each in the order of the lines. Empty after `ClearAllForwardings`.
    pub forwards: Vec<(Forward, SourceSpan)>,
    /// Whom to ask, and how much to say.
    pub interactive: InteractiveOptions,
    /// Keywords that are set and concern no tunnel.
    pub passed_over: Vec<&'static str>,
    /// The same of those that stand beside the question, and not in a file.
    pub options_passed_over: Vec<&'static str>,
    /// What is set for this host or its jump hosts and has no effect, in the order of reading.
    pub notes: Vec<Note>,
    /// What ssh itself says about dropped words in the files, those of jump hosts after it.
    pub said_by_ssh: Vec<SshLine>,
    /// Every file that was read or looked for, those of jump hosts included.
    pub files: Vec<PathBuf>,
}

impl Resolved {
    /// Whether it is known whom to log in as: on the server, and on each jump host.
    pub fn has_users(&self) -> bool {
        let before = match &self.way {
            ProxyRoute::Jump(jump) => jump.has_users(),
            ProxyRoute::Direct | ProxyRoute::Command(_) => true,
        };
        !self.user.is_empty() && before
    }
}

/// `ProxyJump` or `ProxyCommand`, whichever came first.
#[derive(Debug, Clone, Default)]
pub enum ProxyRoute {
    /// Neither, or `none`.
    #[default]
    Direct,
    /// Through this server, which has Host blocks and perhaps jump hosts of its own.
    Jump(Box<Resolved>),
    /// For `sh -c`, tokens expanded.
    Command(String),
}
