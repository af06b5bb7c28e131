//! `-L`, `-R` and `-D`, in one word and in two.

use tunnel_engine::spec::{Connect, Forward, ForwardKind, Listen};

use super::{assert_harmless, text};

/// What is read prints as a text that is read as the same, and so do its two ends.
pub fn forward_spec(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let kind = [ForwardKind::Local, ForwardKind::Remote, ForwardKind::Dynamic][usize::from(kind % 3)];
    let text = text(rest);
    match Forward::parse(kind, text) {
        Ok(forward) => {
            let printed = forward.to_string();
            assert_harmless(&printed);
            assert_eq!(Forward::parse(kind, &printed), Ok(forward), "{printed:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
    if let Ok(listen) = Listen::parse(kind, text) {
        assert_eq!(Listen::parse(kind, &listen.to_string()), Ok(listen));
    }
    if let Ok(connect) = Connect::parse(kind, text) {
        assert_eq!(Connect::parse(kind, &connect.to_string()), Ok(connect));
    }
}
