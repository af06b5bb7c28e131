//! Why a command line means no tunnel.

use tunnel_engine::spec::ForwardParseError;

use crate::autossh::monitor_port::MonitorPortError;

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
        /// The option letter.
        letter: char,
        /// As typed.
        text: String,
        /// The reason, from the forward parser.
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
    /// About something besides the tunnel: without it, the rest of the line still means one. But `-W` is all that its
    /// line does: with it, ssh makes none of the other forwards.
    pub const fn is_soft(&self) -> bool {
        matches!(self, Self::Refused(..) | Self::Command(_) | Self::Terminal) && !matches!(self, Self::Refused('W', _))
    }

    /// Whether the usage text helps.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NoArgument(_) | Self::NoHost)
    }
}
