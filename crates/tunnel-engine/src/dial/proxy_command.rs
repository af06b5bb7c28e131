//! ProxyCommand: a command's standard input and output as the link (ssh_config(5)).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use super::proxy_process::Process;
use super::{Link, LinkIo};
use crate::child::ChildGroup;
use crate::failure::{Failure, FailureKind};
use crate::link::error_with;
use crate::spec::Destination;
use crate::words;

/// How long a command that closed its output may take to end, before its failure is told without an exit status.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Runs `command` by the user's shell, as ssh does: `$SHELL -c 'exec …'`. It ends with the link, and with it all
/// that it started and that is still in its process group.
pub(super) async fn dial(command: &str, target: &Destination) -> Result<Link, Failure> {
    let name = target.host_port();
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut process = Command::new(&shell);
    process.arg("-c").arg(format!("exec {command}"));
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = ChildGroup::spawn(&mut process).map_err(|error| {
        let message = format!(
            "the {} for `{name}` could not be run by `{}`: {error}",
            words::own("proxy_command"),
            shell.display()
        );
        Failure::new(FailureKind::ProxyCommandFailed, message).caused_by(error)
    })?;
    let child = group.leader();
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(Failure::new(
            FailureKind::ProxyCommandFailed,
            format!("the {} for `{name}` has no pipes", words::own("proxy_command")),
        ));
    };
    let (ended, kill) = Process::start(group, stderr, name.clone());
    let io = ProxyIo { stdin, stdout, name, ended, ending: None };
    Ok(Link { io: Box::new(io), peer: None, local: None, keep: Some(Box::new(kill)) })
}

/// The command's pipes. The end of its output is an error that carries how the command ended.
struct ProxyIo {
    stdin: ChildStdin,
    stdout: ChildStdout,
    name: String,
    ended: watch::Receiver<Option<Failure>>,
    ending: Option<Pin<Box<dyn Future<Output = Failure> + Send>>>,
}

impl ProxyIo {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let ending = self.ending.get_or_insert_with(|| Box::pin(end(self.ended.clone(), self.name.clone())));
        let failure = ready!(ending.as_mut().poll(cx));
        // For the next call.
        let again = failure.clone();
        self.ending = Some(Box::pin(async move { again }));
        Poll::Ready(error_with(failure))
    }
}

async fn end(mut ended: watch::Receiver<Option<Failure>>, name: String) -> Failure {
    let end = tokio::time::timeout(END_PATIENCE, ended.wait_for(Option::is_some)).await;
    let failure = end.ok().and_then(Result::ok).and_then(|failure| failure.clone());
    failure.unwrap_or_else(|| {
        let message = format!("the {} for `{name}` closed its output", words::own("proxy_command"));
        Failure::new(FailureKind::ProxyCommandFailed, message)
    })
}

impl LinkIo for ProxyIo {}

impl AsyncRead for ProxyIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stdout).poll_read(cx, buf));
        let at_end = read.is_err() || (buf.filled().len() == before && buf.remaining() > 0);
        if at_end { self.poll_end(cx).map(Err) } else { Poll::Ready(Ok(())) }
    }
}

impl AsyncWrite for ProxyIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stdin).poll_write(cx, bytes)) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(_) => self.poll_end(cx).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn run(command: &str) -> Link {
        dial(command, &Destination::parse("me@far", "me").unwrap()).await.unwrap()
    }

    async fn failure(command: &str) -> Failure {
        let mut link = run(command).await;
        let error = timeout(PATIENCE, link.io.read_u8()).await.unwrap().unwrap_err();
        crate::dial::failure_in(&error).unwrap().clone()
    }

    #[tokio::test]
    async fn its_input_and_output_are_the_link() {
        let mut link = run("cat").await;
        link.io.write_all(b"through cat").await.unwrap();
        let mut back = [0; 11];
        timeout(PATIENCE, link.io.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"through cat");
    }

    #[tokio::test]
    async fn its_end_is_told_with_its_status_and_last_words() {
        let failure = failure("sh -c 'echo first >&2; echo no route to far >&2; exit 3'").await;
        assert_eq!(failure.kind(), FailureKind::ProxyCommandFailed);
        assert_eq!(failure.message(), "the proxy_command for `far:22` ended with status 3: `no route to far`");
    }

    #[tokio::test]
    async fn missing_command_fails_in_the_shells_words() {
        let failure = failure("no-such-command-here").await;
        assert!(failure.message().contains("ended with status 127: `"), "{failure}");
    }

    #[tokio::test]
    async fn a_command_that_is_killed_says_by_what() {
        let failure = failure("sh -c 'kill -9 $$'").await;
        assert_eq!(failure.message(), "the proxy_command for `far:22` was ended by signal 9");
    }

    #[tokio::test]
    async fn dropping_the_link_ends_the_command_and_its_helpers() {
        // Both hold the write end of the fifo; its reader sees the end when both are gone.
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("alive");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut alive = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&fifo).unwrap();
        let mut link = run(&format!("sh -c 'sleep 1000 & echo up; exec sleep 1000' 3>{}", fifo.display())).await;
        timeout(PATIENCE, link.io.read_exact(&mut [0; 3])).await.unwrap().unwrap();
        drop(link);
        assert_eq!(timeout(PATIENCE, alive.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    }
}
