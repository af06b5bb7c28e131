//! How many logins may run at once at one server: pure. A server that drops one has room for fewer than were under way,
//! however it is configured, and may have more later.

/// Logins under way at one server, at most. sshd begins to refuse at ten (MaxStartups), which others need too.
pub(super) const MAX_HANDSHAKES: usize = 4;

/// After so many logins without a drop, one more is tried. A try too many costs the wait that the server asks for.
const GROW_AFTER: u32 = 10;

/// Halved by a drop, and one more after a while without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoginLimit {
    logins: usize,
    /// Logins that succeeded since it changed.
    succeeded: u32,
}

impl Default for LoginLimit {
    fn default() -> Self {
        Self { logins: MAX_HANDSHAKES, succeeded: 0 }
    }
}

impl LoginLimit {
    /// At least one.
    pub(super) const fn logins(self) -> usize {
        self.logins
    }

    /// Nothing is known that a new server would not have.
    pub(super) const fn is_highest(self) -> bool {
        self.logins == MAX_HANDSHAKES
    }

    /// The server dropped a login for want of room. Those that were under way together and are dropped together count
    /// once.
    pub(super) const fn after_drop(self) -> Self {
        let halved = self.logins / 2;
        Self { logins: if halved == 0 { 1 } else { halved }, succeeded: 0 }
    }

    /// The server let one in.
    pub(super) const fn after_login(self) -> Self {
        match self.succeeded + 1 {
            _ if self.is_highest() => self,
            GROW_AFTER => Self { logins: self.logins + 1, succeeded: 0 },
            succeeded => Self { succeeded, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_halve_it_down_to_one_and_logins_bring_it_back() {
        let mut limit = LoginLimit::default();
        let mut dropped = || {
            limit = limit.after_drop();
            limit.logins()
        };
        assert_eq!([dropped(), dropped(), dropped()], [2, 1, 1]);
        for logins in 1..MAX_HANDSHAKES {
            for _ in 0..GROW_AFTER {
                assert_eq!(limit.logins(), logins);
                limit = limit.after_login();
            }
        }
        assert_eq!(limit.after_login(), LoginLimit::default());
    }

    #[test]
    fn a_drop_begins_the_count_of_logins_anew() {
        let mut limit = LoginLimit::default().after_drop();
        for _ in 1..GROW_AFTER {
            limit = limit.after_login();
        }
        assert_eq!(limit.after_drop().after_login().logins(), 1);
        assert_eq!(limit.after_login().logins(), 3);
    }
}
