//! When keys are to be renewed (RFC 4253 section 9, RFC 4344 section 3.2; ssh_config RekeyLimit).

use std::time::{Duration, Instant};

use super::cipher::CipherName;

/// RFC 4344 section 3.1: at the latest after so many packets.
const MAX_PACKETS: u64 = 1 << 31;
/// Of ciphers with blocks of 16 bytes: 2^32 blocks, as RFC 4344 section 3.2 and OpenSSH have it.
const BYTES_WITH_LONG_BLOCKS: u64 = 1 << 36;
/// Of others, as OpenSSH.
const BYTES_WITH_SHORT_BLOCKS: u64 = 1 << 30;

/// A smaller limit of bytes counts as this one. ssh takes 16 bytes and does not renew keys before the login is over;
/// here they would be renewed without end: what follows a key exchange at once is longer than that.
const FEWEST_BYTES: u64 = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    /// Bytes in either direction, 16 KiB at least; `None`: what the cipher allows.
    pub(crate) bytes: Option<u64>,
    /// Time; `None`: none.
    pub(crate) time: Option<Duration>,
}

/// The age of the keys that are used now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    pub(super) since: Instant,
    /// Bytes and packets, out and in.
    pub(super) sent: (u64, u64),
    pub(super) received: (u64, u64),
}

impl Limits {
    /// Whether keys of this age are to be renewed `now`; `ciphers`: out and in.
    pub(super) fn are_reached(&self, age: &Age, ciphers: (CipherName, CipherName), now: Instant) -> bool {
        let most = self.bytes.map_or(u64::MAX, |bytes| bytes.max(FEWEST_BYTES));
        let used = |(bytes, packets): (u64, u64), cipher: CipherName| {
            bytes >= most.min(most_bytes(cipher)) || packets >= MAX_PACKETS
        };
        used(age.sent, ciphers.0) || used(age.received, ciphers.1) || self.due(age.since).is_some_and(|due| due <= now)
    }

    /// When keys from `since` are renewed, however little they are used.
    pub(super) fn due(&self, since: Instant) -> Option<Instant> {
        since.checked_add(self.time?)
    }
}

const fn most_bytes(cipher: CipherName) -> u64 {
    if cipher.block_len() >= 16 { BYTES_WITH_LONG_BLOCKS } else { BYTES_WITH_SHORT_BLOCKS }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCM: (CipherName, CipherName) = (CipherName::Aes128Gcm, CipherName::Aes128Gcm);

    fn age(since: Instant, sent: (u64, u64), received: (u64, u64)) -> Age {
        Age { since, sent, received }
    }

    #[test]
    fn bytes_of_either_direction_count() {
        let now = crate::clock::now();
        let limits = Limits { bytes: Some(16 << 20), time: None };
        assert!(!limits.are_reached(&age(now, ((16 << 20) - 1, 1), (0, 0)), GCM, now));
        assert!(limits.are_reached(&age(now, (16 << 20, 1), (0, 0)), GCM, now));
        assert!(limits.are_reached(&age(now, (0, 0), (16 << 20, 1)), GCM, now));
    }

    #[test]
    fn each_direction_has_the_limit_of_its_cipher() {
        let (now, limits) = (crate::clock::now(), Limits::default());
        let mixed = (CipherName::Aes256Gcm, CipherName::ChaCha20Poly1305);
        assert!(!limits.are_reached(&age(now, (1 << 30, 1), (0, 0)), mixed, now));
        assert!(limits.are_reached(&age(now, (0, 0), (1 << 30, 1)), mixed, now));
        assert!(limits.are_reached(&age(now, (1 << 36, 1), (0, 0)), GCM, now));
        assert!(limits.are_reached(&age(now, (0, 0), (1, 1 << 31)), GCM, now), "many small packets");
        let huge = Limits { bytes: Some(u64::MAX), time: None };
        assert!(huge.are_reached(&age(now, (1 << 36, 1), (0, 0)), GCM, now), "a user cannot go past the cipher");
    }

    #[test]
    fn few_bytes_leave_room_for_a_login() {
        let (now, limits) = (crate::clock::now(), Limits { bytes: Some(16), time: None });
        assert!(!limits.are_reached(&age(now, (4096, 9), (4096, 9)), GCM, now));
        assert!(limits.are_reached(&age(now, (FEWEST_BYTES, 40), (0, 0)), GCM, now));
    }

    #[test]
    fn time_counts_without_traffic() {
        let (then, limits) = (crate::clock::now(), Limits { bytes: None, time: Some(Duration::from_secs(60)) });
        let unused = age(then, (0, 0), (0, 0));
        assert!(!limits.are_reached(&unused, GCM, then + Duration::from_secs(59)));
        assert!(limits.are_reached(&unused, GCM, then + Duration::from_secs(60)));
        assert_eq!(limits.due(then), Some(then + Duration::from_secs(60)));
    }
}
