//! The server's first words, read before the transport begins: its identification (RFC 4253 section 4.2), or the text
//! with which it refuses us.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fault::sanitised;
use crate::failure::{Failure, FailureKind};
use crate::link::{LinkIo, failure_in};

/// How we introduce ourselves, without the line end.
pub(super) const IDENTIFICATION: &str = concat!("SSH-2.0-tunneld_", env!("CARGO_PKG_VERSION"));

/// Text before the identification is for people; a server that has more than this to say is none of SSH.
const MAX_BYTES: usize = 16 * 1024;
/// The longest identification. RFC 4253 section 4.2 allows 255 bytes; ssh takes this much (SSH_MAX_BANNER_LEN), and sshd
/// sends more than 255 with a long VersionAddendum.
const MAX_LINE: usize = 8192;
/// What is kept of it for status.
const MAX_SOFTWARE: usize = 255;
/// We listen first: a server that refuses us says why and closes, and if it has unread bytes of ours by then, its
/// kernel resets the connection and its words are lost. Servers that wait for the client's words first are rare.
const LISTEN_FIRST: Duration = Duration::from_secs(2);
/// What a failure quotes of an answer that is not SSH.
const QUOTED: usize = 80;

/// A server that speaks SSH 2.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Banner {
    /// `OpenSSH_9.2p1`: the software version and, if any, the comment after it.
    pub software: String,
    /// The identification and whatever came after it.
    pub bytes: Vec<u8>,
    /// Whether our own identification went out while we waited.
    pub ident_sent: bool,
}

/// Reads the server's identification, and sends ours. `who` names the server in failures.
pub(super) async fn exchange(io: &mut dyn LinkIo, who: &str, received: &mut Vec<u8>) -> Result<Banner, Failure> {
    let ours = format!("{IDENTIFICATION}\r\n");
    let banner = receive(io, who, &ours, received).await?;
    if !banner.ident_sent {
        // A failure to write is not the news: what the server said, or how it closed, is.
        let _ = io.write_all(ours.as_bytes()).await;
    }
    Ok(banner)
}

/// Reads up to and including the server's identification. `ours` is our own identification with its line end.
async fn receive(io: &mut dyn LinkIo, who: &str, ours: &str, received: &mut Vec<u8>) -> Result<Banner, Failure> {
    let mut ident_sent = false;
    loop {
        match parse(received) {
            BannerRead::Identification { start, software } => {
                let bytes = received.split_off(start);
                return Ok(Banner { software, bytes, ident_sent });
            }
            BannerRead::More if received.len() < MAX_BYTES => {}
            BannerRead::More | BannerRead::NotSsh => return Err(not_ssh(who, received)),
            BannerRead::OldSsh => return Err(old_ssh(who, received)),
            BannerRead::Refused(kind) => return Err(refused(who, kind, received)),
        }
        let read = if ident_sent {
            io.read_buf(received).await
        } else {
            match tokio::time::timeout(LISTEN_FIRST, io.read_buf(received)).await {
                Ok(read) => read,
                Err(_) => {
                    ident_sent = true;
                    // A failure to write is not the news: what the server said, or how it closed, is.
                    let _ = io.write_all(ours.as_bytes()).await;
                    let _ = io.flush().await;
                    continue;
                }
            }
        };
        match read {
            Ok(0) => return Err(ended(who, received, None)),
            Ok(_) => {}
            Err(error) => return Err(ended(who, received, Some(error))),
        }
    }
}

/// What a timeout in this phase says: a server that talks, but not SSH, is another trouble than a silent one.
pub(super) fn unfinished(who: &str, received: &[u8]) -> Option<Failure> {
    (!received.is_empty() && !is_cut_identification(received)).then(|| not_ssh(who, received))
}

/// The last line is the beginning of an identification, whose rest did not come.
fn is_cut_identification(received: &[u8]) -> bool {
    let last = received.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    !last.is_empty() && (last.starts_with(b"SSH-") || b"SSH-".starts_with(last)) && last.len() <= MAX_LINE
}

impl Banner {
    /// The identification without its line end, and what came after it.
    pub(super) fn split(&self) -> (&[u8], &[u8]) {
        let end = self.bytes.iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |end| end + 1);
        let (identification, after) = self.bytes.split_at(end);
        (identification.trim_ascii_end(), after)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum BannerRead {
    /// An identification that we can use begins at `start`.
    Identification { start: usize, software: String },
    /// Nothing decisive yet.
    More,
    /// Version 1 only.
    OldSsh,
    /// Certainly something else.
    NotSsh,
    /// sshd's words for "not now".
    Refused(FailureKind),
}

/// Reads the lines received so far.
pub(super) fn parse(received: &[u8]) -> BannerRead {
    let mut start = 0;
    for line in received.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if let Some(kind) = refusal(text) {
            return BannerRead::Refused(kind);
        }
        // Binary answers (TLS alerts, databases) have no lines to wait for.
        if line.contains(&0) {
            return BannerRead::NotSsh;
        }
        if line.ends_with(b"\n") && text.starts_with(b"SSH-") {
            return identification(start, text);
        }
        if text.starts_with(b"SSH-") && line.len() > MAX_LINE {
            return BannerRead::NotSsh;
        }
        start += line.len();
    }
    BannerRead::More
}

fn identification(start: usize, line: &[u8]) -> BannerRead {
    match line.strip_prefix(b"SSH-2.0-").or_else(|| line.strip_prefix(b"SSH-1.99-")) {
        Some(software) if line.len() <= MAX_LINE => {
            BannerRead::Identification { start, software: sanitised(software, MAX_SOFTWARE) }
        }
        Some(_) => BannerRead::NotSsh,
        None => BannerRead::OldSsh,
    }
}

/// The phrases of OpenSSH's sshd: MaxStartups (8.2 to 9.7), and PerSourcePenalties or MaxStartups (9.8 and later).
fn refusal(line: &[u8]) -> Option<FailureKind> {
    let says = |words: &[u8]| line.windows(words.len()).any(|window| window == words);
    if says(b"Exceeded MaxStartups") {
        Some(FailureKind::ServerBusy)
    } else if says(b"Not allowed at this time") {
        Some(FailureKind::Penalized)
    } else {
        None
    }
}

fn refused(who: &str, kind: FailureKind, received: &[u8]) -> Failure {
    Failure::new(kind, format!("`{who}` refused the connection before its banner: `{}`", sanitised(received, QUOTED)))
}

fn not_ssh(who: &str, received: &[u8]) -> Failure {
    let said = sanitised(received, QUOTED);
    Failure::new(FailureKind::Protocol, format!("`{who}` does not speak ssh: it answered `{said}`"))
}

fn old_ssh(who: &str, received: &[u8]) -> Failure {
    let said = sanitised(received, QUOTED);
    Failure::new(FailureKind::Protocol, format!("`{who}` speaks only version 1 of ssh: `{said}`"))
        .with_hint("version 1 is broken and not supported; update the server")
}

fn ended(who: &str, received: &[u8], error: Option<io::Error>) -> Failure {
    if let Some(told) = error.as_ref().and_then(failure_in) {
        return told.clone();
    }
    let cut = is_cut_identification(received);
    if !received.is_empty() && !cut {
        return not_ssh(who, received);
    }
    let how = match &error {
        None => "closed".to_owned(),
        Some(error) if error.kind() == io::ErrorKind::ConnectionReset => "reset".to_owned(),
        Some(error) => format!("lost ({error})"),
    };
    let when = if cut { "in the middle of" } else { "before" };
    let failure = Failure::new(FailureKind::ClosedByServer, format!("`{who}` {how} the connection {when} its banner"))
        .with_hint(
            "sshd is starting or stopping, or refuses this address without a word: too many logins at once \
             (MaxStartups), a penalty for failed logins, or a firewall; its log knows which",
        );
    match error {
        Some(error) => failure.with_source(error),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "SSH-2.0-test\r\n";

    async fn answer(words: &'static [u8]) -> Result<Banner, Failure> {
        let (mut near, mut far) = tokio::io::duplex(1024);
        far.write_all(words).await.expect("room");
        drop(far);
        receive(&mut near, "h:22", OURS, &mut Vec::new()).await
    }

    #[tokio::test]
    async fn an_identification_is_kept_with_what_follows_it() {
        let banner = answer(b"Welcome\r\nSSH-2.0-OpenSSH_9.2p1 Debian\r\nmore").await.expect("ssh");
        assert_eq!(banner.software, "OpenSSH_9.2p1 Debian");
        assert_eq!(banner.bytes, b"SSH-2.0-OpenSSH_9.2p1 Debian\r\nmore");
        assert!(!banner.ident_sent);
        assert!(answer(b"SSH-1.99-x\n").await.is_ok());
    }

    #[tokio::test]
    async fn sshds_refusals_are_understood() {
        let busy = answer(b"Exceeded MaxStartups\r\n").await.expect_err("refused");
        assert_eq!(busy.kind(), FailureKind::ServerBusy);
        let penalty = answer(b"Not allowed at this time\r\n").await.expect_err("refused");
        assert_eq!(penalty.kind(), FailureKind::Penalized);
        assert_eq!(penalty.message(), "`h:22` refused the connection before its banner: `Not allowed at this time`");
    }

    #[tokio::test]
    async fn other_protocols_are_quoted_without_control_characters() {
        let failure = answer(b"HTTP/1.1 400 Bad\x1b[31m Request\r\nServer: x\r\n\r\n").await.expect_err("http");
        assert_eq!(failure.kind(), FailureKind::Protocol);
        assert_eq!(
            failure.message(),
            "`h:22` does not speak ssh: it answered `HTTP/1.1 400 Bad?[31m Request Server: x`"
        );
        assert_eq!(answer(b"\x15\x03\x00\x00\x02\x02\x46").await.expect_err("tls").kind(), FailureKind::Protocol);
        assert_eq!(answer(b"SSH-1.5-old\r\n").await.expect_err("v1").kind(), FailureKind::Protocol);
    }

    #[tokio::test]
    async fn a_close_without_a_word_is_the_servers_doing() {
        let failure = answer(b"").await.expect_err("closed");
        assert_eq!(failure.kind(), FailureKind::ClosedByServer);
        assert_eq!(failure.message(), "`h:22` closed the connection before its banner");
    }

    #[tokio::test]
    async fn banner_cut_short_is_the_servers_doing() {
        for cut in [&b"S"[..], b"SSH-", b"SSH-2.0-OpenSSH_9.", b"Welcome\r\nSSH-2.0-Open"] {
            let failure = answer(cut).await.expect_err("closed");
            assert_eq!(failure.kind(), FailureKind::ClosedByServer, "{failure}");
            assert_eq!(failure.message(), "`h:22` closed the connection in the middle of its banner");
            assert_eq!(unfinished("h:22", cut), None, "a timeout says that nothing came in time");
        }
        assert_eq!(answer(b"Welcome\r\n").await.expect_err("closed").kind(), FailureKind::Protocol);
    }

    #[tokio::test]
    async fn text_before_the_banner_need_not_be_utf8() {
        let banner = answer(b"Acc\xe8s r\xe9serv\xe9\r\nSSH-2.0-x\r\n").await.expect("ssh");
        assert_eq!(banner.software, "x");
        assert_eq!(answer(b"SSH-2.0-x caf\xe9\r\n").await.expect("ssh takes it").software, "x caf\u{fffd}");
    }

    #[tokio::test]
    async fn long_identification_is_taken_as_by_ssh() {
        let line = |length: usize| format!("SSH-2.0-{}", "y".repeat(length - 8));
        for (length, taken) in [(256, true), (MAX_LINE, true), (MAX_LINE + 1, false)] {
            let (mut near, mut far) = tokio::io::duplex(2 * MAX_LINE);
            far.write_all(format!("{}\r\n", line(length)).as_bytes()).await.expect("room");
            drop(far);
            let banner = receive(&mut near, "h:22", OURS, &mut Vec::new()).await;
            assert_eq!(banner.is_ok(), taken, "{length}");
            if let Ok(banner) = banner {
                assert_eq!(banner.split().0, line(length).as_bytes());
                assert_eq!(banner.software.len(), MAX_SOFTWARE.min(length - 8));
            }
        }
    }

    #[tokio::test]
    async fn endless_text_is_not_waited_through() {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let sender = crate::task::owned(async move { while far.write_all(b"220 hello\r\n").await.is_ok() {} });
        let failure = receive(&mut near, "h:22", OURS, &mut Vec::new()).await.expect_err("chatter");
        assert_eq!(failure.kind(), FailureKind::Protocol);
        drop((near, sender));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_waits_for_our_words_gets_them() {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let server = crate::task::owned(async move {
            let mut words = vec![0; OURS.len()];
            far.read_exact(&mut words).await.expect("our words");
            far.write_all(b"SSH-2.0-shy\r\n").await.expect("room");
            (words, far)
        });
        let banner = receive(&mut near, "h:22", OURS, &mut Vec::new()).await.expect("ssh");
        assert!(banner.ident_sent);
        assert_eq!(server.await.expect("server").0, OURS.as_bytes());
    }
}
