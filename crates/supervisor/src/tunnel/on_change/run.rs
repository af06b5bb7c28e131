//! Runs the command once: its environment, its output, its end.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;
use tunnel_engine::child::ChildGroup;
use tunnel_engine::words::is_unseen;

use super::ReadinessChange;
use crate::config::ShellCommand;
use crate::history::rfc3339;
use crate::word::Word;

/// A command that takes longer is killed, with every process of its group.
const MAX_RUN_TIME: Duration = Duration::from_secs(30);

/// Of the output, as much is logged; the rest is read and forgotten, so that the command does not block.
const MAX_OUTPUT: usize = 4096;

/// After the command has ended, as long is waited for the end of its output, which processes that it left may hold.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

/// Names a folder of secrets that are tunneld's.
const NOT_FOR_COMMANDS: &str = "CREDENTIALS_DIRECTORY";

#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("the command cannot be run: {0}")]
    Start(io::Error),
    #[error("the command ended with {0}")]
    Failed(ExitStatus),
    #[error("the command did not end within {} s and was killed", MAX_RUN_TIME.as_secs())]
    Late,
}

pub(super) async fn command(command: &ShellCommand, change: &ReadinessChange) -> Result<(), CommandError> {
    let tunnel = change.tunnel.as_str();
    tracing::debug!(tunnel, ready = change.ready, "{tunnel}: on_change runs");
    let mut group = ChildGroup::spawn(&mut prepared(command, change)).map_err(CommandError::Start)?;
    let (stdout, stderr) = (group.leader().stdout.take(), group.leader().stderr.take());
    let mut output = Vec::new();
    let ended = {
        let reading = async { tokio::join!(read(stdout), read(stderr)) };
        tokio::pin!(reading);
        let both = async {
            tokio::select! {
                said = &mut reading => (group.wait().await, Some(said)),
                status = group.wait() => (status, timeout(OUTPUT_PATIENCE, &mut reading).await.ok()),
            }
        };
        timeout(MAX_RUN_TIME, both).await
    };
    let (status, said) = ended.map_err(|_| CommandError::Late)?;
    if let Some((stdout, stderr)) = said {
        output.extend([stdout, stderr].concat());
    }
    if !output.is_empty() {
        let output = String::from_utf8_lossy(&output);
        tracing::debug!(tunnel, output = output.trim_end(), "{tunnel}: on_change said something");
    }
    let status = status.map_err(CommandError::Start)?;
    if status.success() { Ok(()) } else { Err(CommandError::Failed(status)) }
}

fn prepared(command: &ShellCommand, change: &ReadinessChange) -> Command {
    let (program, arguments) = command.argv();
    let mut prepared = Command::new(program);
    prepared.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    prepared.env_remove(NOT_FOR_COMMANDS);
    let ready = if change.ready { "1" } else { "0" };
    for (name, value) in [
        ("TUNNEL", change.tunnel.as_str()),
        ("READY", ready),
        ("WANT", change.want.as_str()),
        ("PHASE", change.phase.as_str()),
        ("KIND", change.kind.as_ref().map(Word::as_str).unwrap_or_default()),
        ("MESSAGE", &change.message),
        ("HINT", &change.hint),
        ("SERVER", &change.server),
        ("SINCE", &rfc3339(change.at)),
    ] {
        // A server's words may hold any character; a line of a log or a mail should be one.
        let value: String = value.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect();
        prepared.env(format!("TUNNELD_{name}"), value);
    }
    prepared
}

/// All of it; what is kept is bounded.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_OUTPUT.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(length.min(room)));
    }
    kept
}
