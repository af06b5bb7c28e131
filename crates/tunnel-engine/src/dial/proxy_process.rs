//! The process of a proxy command: its last words, its end, and its death with the link.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::failure::{Failure, FailureKind};
use crate::task;

/// What is kept of a line that the command says.
const MAX_LINE: usize = 400;

/// How long a command that is asked to end may take before it is killed.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// How long the last words may lag behind the end: helpers may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A running proxy command.
pub(super) struct Process {
    child: Child,
    name: String,
    last_words: watch::Receiver<String>,
}

impl Process {
    /// Watches over `child`. Gives how it ended, once it has, and the guard that ends it when dropped.
    pub(super) fn start(
        child: Child,
        stderr: ChildStderr,
        name: String,
    ) -> (watch::Receiver<Option<Failure>>, DropGuard) {
        let (say, last_words) = watch::channel(String::new());
        let (tell, ended) = watch::channel(None);
        let kill = CancellationToken::new();
        let listener = task::owned(listen(stderr, name.clone(), say));
        let process = Self { child, name, last_words };
        let killed = kill.clone();
        // Ends with the command, which ends with the link.
        task::detached(async move {
            let failure = process.run(killed, listener).await;
            tell.send_replace(Some(failure));
        });
        (ended, kill.drop_guard())
    }

    async fn run(mut self, kill: CancellationToken, listener: tokio_util::task::AbortOnDropHandle<()>) -> Failure {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let status = tokio::select! {
            status = self.child.wait() => status,
            () = kill.cancelled() => {
                self.end(group).await;
                return Failure::new(FailureKind::ProxyCommandFailed, "the link was closed here");
            }
        };
        // Its helpers may live on with the pipe in their hands.
        let _ = tokio::time::timeout(LAST_WORDS, listener).await;
        let how = status.map_or_else(|error| format!("was lost: {error}"), describe);
        let said = self.last_words.borrow().clone();
        let said = if said.is_empty() { said } else { format!(": `{said}`") };
        let message = format!("the proxy_command for `{}` {how}{said}", self.name);
        Failure::new(FailureKind::ProxyCommandFailed, message)
    }

    /// Asks the whole group to end, then makes it.
    async fn end(&mut self, group: Option<Pid>) {
        let signal = |signal| {
            if let Some(group) = group {
                // A group without members is what we want.
                let _ = killpg(group, signal);
            }
        };
        signal(Signal::SIGTERM);
        let _ = tokio::time::timeout(TERM_PATIENCE, self.child.wait()).await;
        signal(Signal::SIGKILL);
        let _ = self.child.wait().await;
    }
}

/// `ended with status 1`, `was ended by signal 9`.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
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
    let text: String = text.trim().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if !text.is_empty() {
        tracing::debug!(server = name, "proxy_command: {text}");
        last.send_replace(text);
    }
    line.clear();
}
