//! The process of a proxy command: its last words, its end, and its death with the link.

use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::child::{ChildGroup, how_it_ended};
use crate::failure::{Failure, FailureKind};
use crate::task;
use crate::words;

/// What is kept of a line that the command says.
const MAX_LINE: usize = 400;

/// How long the last words may lag behind the end: helpers may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A running proxy command.
pub(super) struct Process {
    group: ChildGroup,
    name: String,
    last_words: watch::Receiver<String>,
}

impl Process {
    /// Watches over `group`. Gives how it ended, once it has, and the guard that ends it when dropped.
    pub(super) fn start(
        group: ChildGroup,
        stderr: ChildStderr,
        name: String,
    ) -> (watch::Receiver<Option<Failure>>, DropGuard) {
        let (say, last_words) = watch::channel(String::new());
        let (tell, ended) = watch::channel(None);
        let kill = CancellationToken::new();
        let listener = task::owned(listen(stderr, name.clone(), say));
        let mut process = Self { group, name, last_words };
        let killed = kill.clone();
        // Ends with the link, or before it when none of the command's group is left.
        task::detached(async move {
            let failure = process.ended(&killed, listener).await;
            tell.send_replace(Some(failure));
            tokio::select! {
                // What the command left running may carry the link's bytes.
                () = process.group.wait_for_all() => {}
                () = killed.cancelled() => process.group.end().await,
            }
        });
        (ended, kill.drop_guard())
    }

    async fn ended(&mut self, kill: &CancellationToken, listener: tokio_util::task::AbortOnDropHandle<()>) -> Failure {
        let status = tokio::select! {
            status = self.group.wait() => status,
            () = kill.cancelled() => {
                return Failure::new(FailureKind::ProxyCommandFailed, "the link was closed here");
            }
        };
        // Its helpers may live on with the pipe in their hands.
        let _ = tokio::time::timeout(LAST_WORDS, listener).await;
        let how = status.map_or_else(|error| format!("was lost: {error}"), how_it_ended);
        let said = self.last_words.borrow().clone();
        let said = if said.is_empty() { said } else { format!(": `{said}`") };
        let message = format!("the {} for `{}` {how}{said}", words::own("proxy_command"), self.name);
        Failure::new(FailureKind::ProxyCommandFailed, message)
    }
}

/// Logs each line, and keeps the last that is not empty.
async fn listen(stderr: ChildStderr, name: String, last: watch::Sender<String>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        match stderr.read_u8().await {
            Ok(b'\n') => note(&mut line, &name, &last),
            Ok(byte) if line.len() < MAX_LINE => line.push(byte),
            Ok(_) => {}
            Err(_) => return note(&mut line, &name, &last),
        }
    }
}

fn note(line: &mut Vec<u8>, name: &str, last: &watch::Sender<String>) {
    let text = String::from_utf8_lossy(line);
    let text: String = text.trim().chars().map(|c| if words::is_unseen(c) { '?' } else { c }).collect();
    if !text.is_empty() {
        tracing::debug!(server = name, "{}: {text}", words::own("proxy_command"));
        last.send_replace(text);
    }
    line.clear();
}
