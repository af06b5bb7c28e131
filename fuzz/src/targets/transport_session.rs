//! Whole connections with a server that has keys and faults: exchanges of each kind, messages both ways, renewed keys.

use tunnel_engine::fuzzing::play;

/// What one end takes is what the other has sealed, in its order and without a gap, whatever happens on the way; and nothing
/// goes wrong that was not made to.
pub fn transport_session(data: &[u8]) {
    let played = play(data);
    // Compression begins with the login's success: where this message was changed or lost, a server that goes on as if it had
    // been read expects what the client does not send.
    let is_touched = played.lied || played.tampered || played.tampered_in_clear;
    let is_client_understood = !(is_touched && played.is_client_compressed);
    if is_client_understood {
        assert!(!played.unreadable && played.sent.starts_with(&played.read), "the client's messages: {played:?}");
    }
    // Without strict exchange, a packet that goes in before the keys hides one that goes out behind them (CVE-2023-48795).
    let is_understood = !(played.lied && played.is_compressed);
    if is_understood && (played.strict || !played.tampered_in_clear) {
        let upper = |message: &&Vec<u8>| matches!(message.first(), Some(6 | 7 | 50..));
        let sealed: Vec<_> = played.sealed.iter().filter(upper).collect();
        let taken: Vec<_> = played.taken.iter().filter(upper).collect();
        assert!(sealed.starts_with(&taken), "the server's messages: {played:?}");
        if !is_touched && !played.unfinished {
            assert!(played.error.is_none() && played.is_keyed, "{played:?}");
            assert!(sealed.len() == taken.len() && played.sent == played.read, "{played:?}");
        }
    }
}
