//! A script for the server's shell, and the one line that it answers.

use std::time::Duration;

use tunnel_engine::clock;
use tunnel_engine::session::{Channel, ChannelRead as _, ChannelWrite as _, Inbound, OpenError, Session};

pub(super) const MARK: &str = include_str!("mark.sh");
pub(super) const RELEASE: &str = concat!(include_str!("listeners.sh"), include_str!("release.sh"));
pub(super) const LOOK: &str = concat!(include_str!("listeners.sh"), include_str!("look.sh"));

/// Begins the line that is meant for us; login shells say this and that before.
const OURS: &str = "tunneld: ";

/// For login, shell, and the few seconds that a session may take to end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a shell gave no line of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::tunnel) enum ShellError {
    /// It is slow, its server is short of resources, or the session ended: it may answer another time.
    #[error("{0}")]
    Passing(String),
    /// There is none, or it said something else.
    #[error("{0}")]
    Unusable(String),
}

const SILENT: &str = "the login's shell did not answer within 20 s; perhaps its rc files (~/.bashrc, /etc/profile) wait for something: \
                      let them end at once where there is no terminal";

impl From<OpenError> for ShellError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Timeout => Self::Passing(SILENT.to_owned()),
            OpenError::ResourceShortage(_) | OpenError::SessionEnded => Self::Passing(error.to_string()),
            OpenError::Prohibited(_)
            | OpenError::ConnectFailed(_)
            | OpenError::UnknownType(_)
            | OpenError::Other { .. } => Self::Unusable(error.to_string()),
        }
    }
}

/// What is read of a shell that talks of other things.
const MAX_OUTPUT: usize = 16 * 1024;

/// Runs `script` with `arguments`, which show in the server's process list. Gives our line, and the shell, which lives
/// until it is dropped or its script ends.
pub(super) async fn tell(
    session: &Session,
    arguments: &str,
    script: &'static str,
) -> Result<(String, Channel), ShellError> {
    let command = format!("exec /bin/sh -s -- {arguments}");
    let talk = async {
        let mut shell = session.exec(&command).await?;
        let at_once = |_| ShellError::Unusable("the shell ended at once".to_owned());
        shell.writer.write(script.into()).await.map_err(at_once)?;
        let mut said = Vec::new();
        while said.len() <= MAX_OUTPUT {
            let Inbound::Data(bytes) = shell.reader.read().await else { break };
            said.extend_from_slice(&bytes);
            if let Some(line) = our_line(&said) {
                return Ok((line, shell));
            }
        }
        Err(ShellError::Unusable(match String::from_utf8_lossy(&said).lines().next() {
            Some(first) => {
                format!("the login's shell said `{}`", first.chars().take(80).collect::<String>().escape_debug())
            }
            None => "the login has no shell".to_owned(),
        }))
    };
    let told = clock::timeout(ANSWER_TIMEOUT, talk).await.unwrap_or_else(|_| Err(OpenError::Timeout.into()));
    match told {
        // Its last words are no shell's.
        Err(ShellError::Unusable(_)) if session.ended().borrow().is_some() => Err(OpenError::SessionEnded.into()),
        told => told,
    }
}

/// The first whole line of ours.
fn our_line(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let whole = text.rfind('\n').map(|end| &text[..end])?;
    whole.lines().find_map(|line| line.trim_end().strip_prefix(OURS)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_that_may_pass_is_told_from_a_policy() {
        for passing in [OpenError::ResourceShortage(String::new()), OpenError::Timeout, OpenError::SessionEnded] {
            assert!(matches!(passing.into(), ShellError::Passing(_)));
        }
        for policy in [OpenError::Prohibited(String::new()), OpenError::ConnectFailed("open failed".to_owned())] {
            assert!(matches!(policy.into(), ShellError::Unusable(_)));
        }
    }

    #[test]
    fn our_line_is_found_among_others_once_it_is_whole() {
        assert_eq!(our_line(b"Welcome!\ntunneld: fre"), None);
        assert_eq!(our_line(b"Welcome!\ntunneld: free\r\nbye"), Some("free".to_owned()));
    }
}
