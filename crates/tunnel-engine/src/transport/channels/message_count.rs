//! How servers count the messages of a tunnel device in their windows, and how far such a window is filled.
//!
//! RFC 4254 section 5.2 counts data. OpenSSH keeps each message behind its length, and counts that, too (`win_len` in its
//! channel_input_data); asyncssh leaves the address family out. Counted otherwise, a window leaks, and in the end
//! nothing is sent.
//!
//! OpenSSH's sshd writes one packet to its device at a time, and moves all that wait for each: with the 2 MiB of its window
//! it takes 10 ms a packet. Packets that wait so long are of no use to their receivers, either: fewer are sent ahead.

use std::time::Duration;

const LENGTH_BYTES: usize = 4;
/// What may be on its way to OpenSSH or wait there, beside what is due to the path: it refills its window when three of its
/// longest packets, 96 KiB, were used.
const AHEAD: u32 = 384 * 1024;
/// As much more for each millisecond of a round trip.
const PER_MILLISECOND: u32 = 16 * 1024;

/// What a server counts of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageCount {
    OpenSsh,
    AsyncSsh,
    /// As RFC 4254.
    Data,
}

impl MessageCount {
    /// By the server's identification.
    pub(crate) fn of(ident: &[u8]) -> Self {
        let ident = String::from_utf8_lossy(ident);
        if ident.contains("OpenSSH") {
            Self::OpenSsh
        } else if ident.contains("AsyncSSH") {
            Self::AsyncSsh
        } else {
            Self::Data
        }
    }

    /// Of a message with the address family, or nothing, before its packet. `None`: it is longer than any may be.
    pub(super) fn counted(self, family: usize, packet: usize) -> Option<u32> {
        let bytes = match self {
            Self::OpenSsh => LENGTH_BYTES.checked_add(family)?.checked_add(packet)?,
            Self::AsyncSsh => packet,
            Self::Data => family.checked_add(packet)?,
        };
        u32::try_from(bytes).ok()
    }

    /// How much of a window that was so large at first is not used.
    pub(super) fn unused(self, window: u32, round_trip: Duration) -> u32 {
        if self != Self::OpenSsh {
            return 0;
        }
        let path = u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX).saturating_mul(PER_MILLISECOND);
        window.saturating_sub(AHEAD.saturating_add(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_as_their_server_counts() {
        let counted = |ident: &[u8]| MessageCount::of(ident).counted(4, 1000);
        assert_eq!(counted(b"SSH-2.0-OpenSSH_9.2p1 Debian-2"), Some(1008));
        assert_eq!(counted(b"SSH-2.0-AsyncSSH_2.24.1"), Some(1000));
        assert_eq!(counted(b"SSH-2.0-other \xff"), Some(1004));
        assert_eq!(MessageCount::OpenSsh.counted(4, usize::MAX), None);
    }

    #[test]
    fn of_openssh_alone_a_part_of_the_window_is_used() {
        let used = |count: MessageCount, millis| (2 << 20) - count.unused(2 << 20, Duration::from_millis(millis));
        assert_eq!(used(MessageCount::OpenSsh, 0), AHEAD);
        assert_eq!(used(MessageCount::OpenSsh, 20), AHEAD + 20 * PER_MILLISECOND);
        assert_eq!(used(MessageCount::OpenSsh, 200), 2 << 20);
        assert_eq!(used(MessageCount::Data, 0), 2 << 20);
        assert_eq!(MessageCount::OpenSsh.unused(1000, Duration::ZERO), 0);
    }
}
