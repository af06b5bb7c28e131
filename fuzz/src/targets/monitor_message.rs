//! The line of `-M` on its way round, and what a peer on the monitor's port sends in its place.

use supervisor::autossh::monitor_talk;

use super::{assert_harmless, text};

/// The first byte is the length of AUTOSSH_MESSAGE, which follows; then come four bytes of the line's number, and what the
/// peer sends. The line is sent as autossh sends it; never more is read than its length, only the line itself passes, and
/// what the log says of another is bounded and can be shown.
pub fn monitor_message(data: &[u8]) {
    /// AUTOSSH_MESSAGE.
    const MAX_MESSAGE: usize = 64;
    let Some((length, rest)) = data.split_first() else { return };
    let (message, rest) = rest.split_at(usize::from(*length).min(rest.len()).min(MAX_MESSAGE));
    let Some((number, back)) = rest.split_first_chunk::<4>() else { return };
    let message = text(message);
    let number = u32::from_be_bytes(*number);
    let Some(talk) = monitor_talk(message, number, back) else { panic!("an exchange with all its bytes there waits") };
    assert_eq!(talk.line, format!("vm autossh 1 {number} {message}\r\n").as_bytes());
    assert_eq!(talk.received, &back[..back.len().min(talk.line.len())]);
    assert_eq!(talk.received == talk.line, back.starts_with(&talk.line));
    assert!(talk.logged.len() < 64 + 16 * talk.line.len(), "{} bytes for the log", talk.logged.len());
    if !message.contains(char::is_control) {
        assert_harmless(&talk.logged);
    }
    // The peer may also send the line itself, and more behind it.
    let more = [&talk.line, back].concat();
    let again = monitor_talk(message, number, &more);
    assert!(again.is_some_and(|again| again.received == talk.line), "the line itself does not pass");
}
