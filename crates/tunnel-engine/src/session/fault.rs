//! From the errors of a link and of russh's login, and from what the server says on leaving, to exactly one [`Failure`].

mod transport;

use std::io;

use russh::Error;
use russh::client::RemoteDisconnectInfo;

use super::algorithms::{check_algorithms, supported_algorithms};
use crate::failure::{Failure, FailureKind};
use crate::link::failure_in;
use crate::spec::{AlgorithmKind, AlgorithmList, missing_algorithm};
use crate::transport::{ListKind, MessageReader};
use crate::words;
pub(super) use transport::from_transport;

/// What is kept of a text that the server chose.
const MAX_TEXT: usize = 400;

/// The login at `who` broke with `error`.
pub(super) fn from_russh(who: &str, error: Error) -> Failure {
    if let Error::IO(error) = error {
        return from_io(who, error);
    }
    let (kind, message) = describe(who, &error);
    Failure::new(kind, message).with_source(error)
}

/// The link to `who` broke with `error`.
pub(super) fn from_io(who: &str, error: io::Error) -> Failure {
    // A jump host's session or a proxy command knows better why it ended.
    if let Some(below) = failure_in(&error) {
        return below.clone();
    }
    let (kind, message) = io_fault(who, &error);
    Failure::new(kind, message).with_source(error)
}

/// `who` closed the connection without a word.
pub(super) fn closed(who: &str) -> Failure {
    Failure::new(FailureKind::ClosedByServer, format!("`{who}` closed the connection"))
}

/// The session of `who` ended without a reason that is known.
pub(super) fn broken_off(who: &str) -> Failure {
    Failure::new(FailureKind::ConnectionLost, format!("the session with `{who}` broke off"))
}

/// The same failure of a session that was logged in: what it reached is an SSH server.
pub(super) fn after_login(failure: Failure) -> Failure {
    if failure.kind() != FailureKind::Protocol || failure.hint() != FailureKind::Protocol.hint() {
        return failure;
    }
    failure.with_hint(
        "the server, or something between, sent what SSH does not allow, and the session is made anew; if it happens again, \
         look into the server's log and update its software",
    )
}

/// The same failure of a session that carried no connection when it ended. sshd closes one without a word when its
/// UnusedConnectionTimeout is over, for which a listener is no use of it.
pub(super) fn unused(failure: Failure) -> Failure {
    if failure.kind() != FailureKind::ClosedByServer || failure.hint() != FailureKind::ClosedByServer.hint() {
        return failure;
    }
    failure.with_hint(
        "look into the server's log for the reason; if it closes each session that carries no connection after the same \
         time, raise UnusedConnectionTimeout in its sshd_config or set it to none",
    )
}

/// The server said goodbye (SSH_MSG_DISCONNECT, RFC 4253 section 11.1).
pub(super) fn from_disconnect(who: &str, info: &RemoteDisconnectInfo) -> Failure {
    let said = sanitised(info.message.as_bytes(), MAX_TEXT);
    let message = format!("`{who}` ended the session: `{said}` ({:?})", info.reason_code);
    // sshd's words when MaxAuthTries is used up; the code says only "protocol error".
    if said.contains("Too many authentication failures") {
        return Failure::new(FailureKind::AuthRejected, message)
            .with_hint(
            "more keys were offered than the server listens to: name the right one first in identity_file and leave out the \
             others, with identities_only = true for those of an agent, or raise MaxAuthTries there",
        );
    }
    let kind = match info.reason_code {
        russh::Disconnect::TooManyConnections => FailureKind::ServerBusy,
        russh::Disconnect::NoMoreAuthMethodsAvailable | russh::Disconnect::IllegalUserName => FailureKind::AuthRejected,
        russh::Disconnect::ProtocolVersionNotSupported => FailureKind::Protocol,
        russh::Disconnect::HostNotAllowedToConnect
        | russh::Disconnect::ProtocolError
        | russh::Disconnect::KeyExchangeFailed
        | russh::Disconnect::Reserved
        | russh::Disconnect::MACError
        | russh::Disconnect::CompressionError
        | russh::Disconnect::ServiceNotAvailable
        | russh::Disconnect::HostKeyNotVerifiable
        | russh::Disconnect::ConnectionLost
        | russh::Disconnect::ByApplication
        | russh::Disconnect::AuthCancelledByUser => FailureKind::ClosedByServer,
    };
    Failure::new(kind, message)
}

/// As [`from_disconnect`], from the message itself.
pub(super) fn from_goodbye(who: &str, payload: &[u8]) -> Failure {
    let mut reader = MessageReader::new("DISCONNECT", payload);
    let read = reader.u8().and_then(|_| Ok((reader.u32()?, reader.string()?)));
    let Ok((code, text)) = read else { return closed(who) };
    let reason_code = russh::Disconnect::try_from(code).unwrap_or(russh::Disconnect::ProtocolError);
    let message = String::from_utf8_lossy(text).into_owned();
    from_disconnect(who, &RemoteDisconnectInfo { reason_code, message, lang_tag: String::new() })
}

/// Text from outside, fit for a log line: line ends and what is not seen gone, at most `max` characters.
pub(super) fn sanitised(bytes: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut clean = String::new();
    for word in text.split_ascii_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.extend(word.chars().map(|c| if words::is_unseen(c) { '?' } else { c }));
        // Everything after this is cut anyway.
        if clean.len() > max * 4 {
            break;
        }
    }
    clean.chars().take(max).collect()
}

/// The server's own words, fit for a log line and a terminal: what is not seen escaped, space around them cut, at
/// most `max` characters of the original.
pub(super) fn escaped(text: &str, max: usize) -> String {
    let mut safe = String::new();
    for c in text.trim().chars().take(max) {
        if words::is_unseen(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

fn describe(who: &str, error: &Error) -> (FailureKind, String) {
    match error {
        Error::IO(error) => io_fault(who, error),
        Error::Disconnect | Error::HUP => (FailureKind::ClosedByServer, format!("`{who}` closed the connection")),
        Error::NoAuthMethod | Error::UnsupportedAuthMethod => {
            (FailureKind::AuthRejected, format!("`{who}` offers no way to authenticate that we know"))
        }
        Error::ConnectionTimeout | Error::KeepaliveTimeout | Error::InactivityTimeout | Error::Elapsed(_) => {
            (FailureKind::KeepaliveTimeout, format!("`{who}` stopped answering"))
        }
        Error::SendError | Error::RecvError | Error::Join(_) => {
            (FailureKind::ConnectionLost, format!("the session with `{who}` broke off"))
        }
        Error::NoCommonAlgo { .. }
        | Error::CouldNotReadKey
        | Error::KexInit
        | Error::UnknownAlgo
        | Error::Version
        | Error::Kex
        | Error::PacketAuth
        | Error::Inconsistent
        | Error::NotAuthenticated
        | Error::IndexOutOfBounds
        | Error::UnknownKey
        | Error::WrongServerSig
        | Error::PacketSize(_)
        | Error::WrongChannel
        | Error::ChannelOpenFailure(_)
        | Error::NoHomeDir
        | Error::KeyChanged { .. }
        | Error::Pending
        | Error::DecryptionError
        | Error::RequestDenied
        | Error::Keys(_)
        | Error::Utf8(_)
        | Error::StrictKeyExchangeViolation { .. }
        | Error::Signature(_)
        | Error::SshKey(_)
        | Error::SshEncoding(_)
        | Error::InvalidConfig(_) => (
            FailureKind::Protocol,
            format!("the ssh protocol with `{who}` went wrong: {}", sanitised(error.to_string().as_bytes(), MAX_TEXT)),
        ),
    }
}

/// The two sides have no algorithm of this kind in common.
fn no_common_algorithm(who: &str, kind: ListKind, ours: &[String], theirs: &[String]) -> Failure {
    let offered = sanitised(theirs.join(",").as_bytes(), MAX_TEXT);
    let (kind_name, ours) = (kind.name(), ours.join(","));
    let message = format!("no common {kind_name} with `{who}`: we offer `{ours}`, it offers `{offered}`");
    let failure = Failure::new(FailureKind::NoCommonAlgorithm, message);
    match in_common(kind, theirs) {
        Some(hint) => failure.with_told_hint(hint),
        None => failure,
    }
}

/// The line that makes the server's first usable algorithm ours too, or why there is none.
fn in_common(kind: ListKind, theirs: &[String]) -> Option<String> {
    let kind = match kind {
        ListKind::KeyExchange => AlgorithmKind::Kex,
        ListKind::HostKey => AlgorithmKind::HostKey,
        ListKind::Cipher => AlgorithmKind::Cipher,
        ListKind::Mac => AlgorithmKind::Mac,
        ListKind::Compression => return None,
    };
    // A name of the server's must not be taken for a pattern.
    let theirs = || theirs.iter().filter(|name| !name.contains(['*', '?']));
    let usable = |name: &&String| check_algorithms(kind, &AlgorithmList::Replace(vec![(*name).clone()])).is_ok();
    if let Some(name) = theirs().find(usable) {
        if supported_algorithms(kind).offered.contains(&name.as_str()) {
            return Some(format!(
                "`{}` leaves out what the server has: write `+` before its names, and the usual ones stay",
                words::own(kind.key())
            ));
        }
        let text = "if the server cannot be updated, set `{} = \"+{}\"` for this tunnel";
        return Some(words::about(text, [&words::own(kind.key()), name]));
    }
    theirs().find_map(|name| {
        let why = missing_algorithm(kind, name)?;
        Some(format!("tunneld does not have the server's `{name}` ({why}): have the server offer another"))
    })
}

fn io_fault(who: &str, error: &io::Error) -> (FailureKind, String) {
    let kind = error.kind();
    let unreachable = [io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable, io::ErrorKind::NetworkDown];
    if kind == io::ErrorKind::UnexpectedEof {
        (FailureKind::ClosedByServer, format!("`{who}` closed the connection"))
    } else if kind == io::ErrorKind::TimedOut {
        // TCP_USER_TIMEOUT, or the kernel's own: the peer acknowledged nothing.
        (FailureKind::KeepaliveTimeout, format!("`{who}` stopped answering: {error}"))
    } else if unreachable.contains(&kind) {
        (FailureKind::Unreachable, format!("`{who}` cannot be reached any more: {error}"))
    } else {
        (FailureKind::ConnectionLost, format!("the connection to `{who}` broke: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disconnect(reason_code: russh::Disconnect, message: &str) -> Failure {
        let info = RemoteDisconnectInfo { reason_code, message: message.to_owned(), lang_tag: String::new() };
        from_disconnect("h:22", &info)
    }

    #[test]
    fn the_servers_goodbye_is_quoted() {
        let failure = disconnect(russh::Disconnect::ByApplication, "bye\x07\nnow");
        assert_eq!(failure.kind(), FailureKind::ClosedByServer);
        assert_eq!(failure.message(), "`h:22` ended the session: `bye? now` (ByApplication)");
    }

    #[test]
    fn session_that_carried_nothing_is_told_of_the_servers_timer() {
        let hint = |failure| unused(failure).hint().to_owned();
        assert!(hint(closed("h:22")).contains("UnusedConnectionTimeout"));
        let busy = Failure::new(FailureKind::ClosedByServer, "closed").with_hint("a better one");
        assert_eq!(hint(busy), "a better one");
        let lost = from_io("h:22", io::ErrorKind::ConnectionReset.into());
        assert_eq!(hint(lost), FailureKind::ConnectionLost.hint());
    }

    #[test]
    fn too_many_keys_is_a_matter_of_authentication() {
        let failure = disconnect(russh::Disconnect::ProtocolError, "Too many authentication failures");
        assert_eq!(failure.kind(), FailureKind::AuthRejected);
        assert!(failure.hint().contains("identities_only"));
    }

    #[test]
    fn a_missing_algorithm_names_both_lists() {
        let failure = no_common_algorithm("h:22", ListKind::Cipher, &["a".into(), "b".into()], &["c".into()]);
        assert_eq!(failure.kind(), FailureKind::NoCommonAlgorithm);
        assert_eq!(failure.message(), "no common cipher with `h:22`: we offer `a,b`, it offers `c`");
        assert_eq!(failure.hint(), FailureKind::NoCommonAlgorithm.hint());
    }

    #[test]
    fn missing_algorithm_is_told_with_the_line_that_helps() {
        let hint = |kind, theirs: &[&str]| {
            let theirs: Vec<String> = theirs.iter().map(|name| (*name).to_owned()).collect();
            no_common_algorithm("h:22", kind, &["a".into()], &theirs).hint().to_owned()
        };
        let old = hint(ListKind::HostKey, &["ssh-dss", "ssh-rsa"]);
        assert!(old.contains("set `host_key_algorithms = \"+ssh-rsa\"`"), "{old}");
        let narrow = hint(ListKind::Cipher, &["3des-cbc", "aes256-ctr"]);
        assert!(narrow.starts_with("`ciphers` leaves out what the server has: write `+`"), "{narrow}");
        let cipher = hint(ListKind::Cipher, &["3des-cbc"]);
        assert!(cipher.contains("does not have the server's `3des-cbc`") && cipher.contains("Sweet32"), "{cipher}");
    }

    #[test]
    fn what_went_wrong_after_a_login_is_told_as_that() {
        let hint = |failure| after_login(failure).hint().to_owned();
        assert!(hint(from_russh("h:22", Error::Inconsistent)).starts_with("the server, or something between"));
        let known = Failure::new(FailureKind::Protocol, "x").with_hint("a better one");
        assert_eq!(
            (hint(known), hint(closed("h:22"))),
            ("a better one".to_owned(), FailureKind::ClosedByServer.hint().to_owned())
        );
    }

    #[test]
    fn how_the_connection_went_decides_the_kind() {
        let kind = |kind: io::ErrorKind| from_io("h", kind.into()).kind();
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), FailureKind::ClosedByServer);
        assert_eq!(kind(io::ErrorKind::ConnectionReset), FailureKind::ConnectionLost);
        assert_eq!(kind(io::ErrorKind::TimedOut), FailureKind::KeepaliveTimeout);
        assert_eq!(kind(io::ErrorKind::NetworkUnreachable), FailureKind::Unreachable);
    }

    #[test]
    fn failure_of_the_link_below_passes_unchanged() {
        let below = Failure::new(FailureKind::JumpFailed, "jump host `j`: gone");
        let error = io::Error::new(io::ErrorKind::ConnectionAborted, below.clone());
        assert_eq!(from_io("h", error), below);
    }

    #[test]
    fn a_text_from_outside_is_one_short_line() {
        assert_eq!(sanitised(b" a\r\n\tb\x00c ", 80), "a b?c");
        assert_eq!(sanitised("é".repeat(100).as_bytes(), 3), "ééé");
        assert_eq!(sanitised(b"\xff", 3), "\u{fffd}");
        assert_eq!(sanitised("a\u{202e}b\u{200b}c".as_bytes(), 80), "a?b?c");
        assert_eq!(escaped("a\u{202e}b\u{7}", 80), "a\\u{202e}b\\u{7}");
    }
}
