//! What is left to show to the server. Pure.

use std::collections::VecDeque;

/// Keys in the order in which they are shown.
pub(super) struct Offers<T> {
    waiting: VecDeque<T>,
    /// Turned down since the server last took something.
    refused: Vec<T>,
}

impl<T> Offers<T> {
    pub(super) fn new(keys: Vec<T>) -> Self {
        Self { waiting: keys.into(), refused: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<T> {
        self.waiting.pop_front()
    }

    /// Puts a key before all others: the same one with another signature.
    pub(super) fn show_next(&mut self, key: T) {
        self.waiting.push_front(key);
    }

    pub(super) fn turned_down(&mut self, key: T) {
        self.refused.push(key);
    }

    /// The server took something and wants more (AuthenticationMethods): what was not right for that method may be for
    /// the next, so it is shown again, as by ssh; behind what was not shown yet, for a server counts what it turns down.
    pub(super) fn wants_more(&mut self) {
        self.waiting.extend(self.refused.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_keys_are_shown_again_after_partial_success() {
        let mut offers = Offers::new(vec!["certificate", "key", "other"]);
        let certificate = offers.next().unwrap();
        offers.turned_down(certificate);
        assert_eq!(offers.next(), Some("key"));
        offers.wants_more();
        let other = offers.next().unwrap();
        assert_eq!(other, "other");
        offers.turned_down(other);
        assert_eq!(offers.next(), Some("certificate"));
        assert_eq!(offers.next(), None, "nothing was taken since");
        offers.wants_more();
        assert_eq!(offers.next(), Some("other"));
        assert_eq!(offers.next(), None, "what was taken is not shown again");
    }
}
