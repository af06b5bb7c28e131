//! The session that appends the lines, by a script for the login's shell.

use std::time::Duration;

use tunnel_engine::clock;
use tunnel_engine::dial::NetDialer;
use tunnel_engine::session::{ChannelRead as _, ChannelWrite as _, Inbound, Session};
use tunnel_engine::spec::SessionSpec;

use crate::cli::problem::Problem;

/// Reads `KEY LINE` on each line of its input, and says how many it appended, had already, and how many keys have
/// another line. It is sent as one line in single quotes, which every login shell hands on.
const SCRIPT: &str = include_str!("append.sh");

/// Begins the line that is meant for us; login shells say this and that before.
const OURS: &str = "tunneld: ";

/// For the login's shell to start and the file to be written.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// What is read of a shell that talks of other things.
const MAX_OUTPUT: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AppendResult {
    added: u32,
    had: u32,
    /// Keys with another line, which comes first and counts.
    other: u32,
}

impl AppendResult {
    pub(super) fn text(self, place: &str, tunnel: &str) -> String {
        let mut text = match self.added {
            0 => format!("{place} has this already\n"),
            _ => format!("appended to {place}\n"),
        };
        if self.other > 0 {
            text.push_str(
                "an earlier line there has the same key, and sshd goes by the first: remove it, or its options count\n",
            );
        }
        text + &format!("`tunneld doctor {tunnel}` tries the login and each forward\n")
    }

    /// The first whole line of ours among what the shell said.
    fn read(said: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(said);
        let whole = text.rfind('\n').map(|end| &text[..end])?;
        let ours = whole.lines().find_map(|line| line.trim_end().strip_prefix(OURS))?;
        let mut numbers = ours.split(' ').map(|word| word.parse().ok());
        Some(Self { added: numbers.next()??, had: numbers.next()??, other: numbers.next()?? })
    }
}

/// Logs in and appends the lines, each with its key in base64.
///
/// # Errors
/// The login's own failure; a shell that does not do it.
pub(super) async fn append(spec: &SessionSpec, lines: &[(String, String)]) -> Result<AppendResult, Problem> {
    let (session, _incoming) = Session::open(spec, &NetDialer::new()).await?;
    let talk = clock::timeout(ANSWER_TIMEOUT, talk(&session, lines)).await;
    session.close().await;
    talk.unwrap_or_else(|_| Err("its shell did not answer".to_owned())).map_err(|why| {
        Problem::No(format!("`{}` did not take the line: {why}; append it there by hand", spec.destination))
    })
}

async fn talk(session: &Session, lines: &[(String, String)]) -> Result<AppendResult, String> {
    let script = SCRIPT.replace('\n', " ");
    let mut shell = session.exec(&format!("exec /bin/sh -c '{script}'")).await.map_err(|error| error.to_string())?;
    let input: String = lines.iter().map(|(key, line)| format!("{key} {line}\n")).collect();
    shell.writer.write(input.into()).await.map_err(|_| "its shell ended at once".to_owned())?;
    shell.writer.eof().await.map_err(|_| "its shell ended at once".to_owned())?;
    let mut said = Vec::new();
    while said.len() <= MAX_OUTPUT {
        let Inbound::Data(bytes) = shell.reader.read().await else { break };
        said.extend_from_slice(&bytes);
        if let Some(done) = AppendResult::read(&said) {
            return Ok(done);
        }
    }
    Err(match String::from_utf8_lossy(&said).lines().next() {
        Some(first) => format!("its shell said `{}`", first.chars().take(80).collect::<String>().escape_debug()),
        None => "it has no shell, or its home folder cannot be written".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_found_among_what_login_shells_say() {
        assert_eq!(AppendResult::read(b"Welcome!\ntunneld: 1 0"), None);
        assert_eq!(
            AppendResult::read(b"Welcome!\ntunneld: 1 0 2\r\n"),
            Some(AppendResult { added: 1, had: 0, other: 2 })
        );
    }

    #[test]
    fn script_is_safe_inside_single_quotes() {
        assert!(!SCRIPT.contains(['\'', '#', '!']));
    }
}
