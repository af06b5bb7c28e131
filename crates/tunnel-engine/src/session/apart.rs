//! Threads for the sessions whose key exchange takes long.
//!
//! russh does the arithmetic of a key exchange in the task that serves the session, and does not yield meanwhile: with a
//! prime of 8192 bits a third of a second, at the login and at each rekey. One thread serves all other sessions, so such
//! a task runs on threads of its own. What connects it with the rest is channels and a socket, which do not care.

use std::io;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use russh::kex;
use tokio::runtime::{Builder, Handle, Runtime};

/// The methods with primes over 4096 bits. They are offered only where the user names them.
const LARGE_GROUPS: [kex::Name; 2] = [kex::DH_G17_SHA512, kex::DH_G18_SHA512];
/// The other methods with arithmetic modulo a large prime: up to 4096 bits, a twentieth of a second.
const GROUPS: [kex::Name; 7] = [
    kex::DH_GEX_SHA1,
    kex::DH_GEX_SHA256,
    kex::DH_G1_SHA1,
    kex::DH_G14_SHA1,
    kex::DH_G14_SHA256,
    kex::DH_G15_SHA512,
    kex::DH_G16_SHA512,
];
/// As many exchanges at once. More wait, and hold up only one another.
const MAX_THREADS: usize = 4;

/// What the methods that are offered mean for the thread that serves the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// The user does not want more than 4096 bits, and the server will most likely take a curve.
    Usual,
    /// Up to 8192 bits, or nothing but groups.
    Large,
}

impl Effort {
    /// Of an offer in which `exchanges` are named. Flags in it are no methods.
    pub(super) fn of(exchanges: &[kex::Name]) -> Self {
        let flags = [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];
        let mut methods = exchanges.iter().filter(|name| !flags.contains(name));
        let large = exchanges.iter().any(|name| LARGE_GROUPS.contains(name));
        if large || methods.all(|name| GROUPS.contains(name)) { Self::Large } else { Self::Usual }
    }

    /// The largest prime that a group exchange may bring, in bits: the user who wants group 17 or 18 wants it here, too.
    pub(super) fn largest_group(exchanges: &[kex::Name]) -> usize {
        if exchanges.iter().any(|name| LARGE_GROUPS.contains(name)) { 8192 } else { 4096 }
    }

    /// The threads for the task of such a session; `None`: the caller's own.
    ///
    /// # Errors
    /// The system's, where no thread can be started.
    pub(super) fn threads(self) -> io::Result<Option<&'static Handle>> {
        static THREADS: OnceLock<Runtime> = OnceLock::new();
        if self == Self::Usual {
            return Ok(None);
        }
        if let Some(running) = THREADS.get() {
            return Ok(Some(running.handle()));
        }
        // At least two: one that computes must not stop the other sessions here.
        let count = available_parallelism().map_or(2, usize::from).clamp(2, MAX_THREADS);
        let started =
            Builder::new_multi_thread().worker_threads(count).thread_name("key-exchange").enable_all().build()?;
        Ok(Some(THREADS.get_or_init(|| started).handle()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::algorithms::preferred;
    use crate::spec::{AlgorithmList, AlgorithmSpec};

    fn of(list: &str) -> (Effort, usize) {
        let kex = if list.is_empty() { AlgorithmList::Default } else { AlgorithmList::parse(list).expect("a list") };
        let spec = AlgorithmSpec { kex, ..AlgorithmSpec::default() };
        let offer = preferred(&spec, false, |offer| offer).expect("an offer");
        (Effort::of(&offer.kex), Effort::largest_group(&offer.kex))
    }

    #[test]
    fn only_what_the_user_asks_for_is_large() {
        assert_eq!(of(""), (Effort::Usual, 4096));
        assert_eq!(of("curve25519-sha256"), (Effort::Usual, 4096));
        assert_eq!(of("+diffie-hellman-group18-sha512"), (Effort::Large, 8192));
        assert_eq!(of("diffie-hellman-group17-sha512"), (Effort::Large, 8192));
        assert_eq!(of("diffie-hellman-group-exchange-sha256"), (Effort::Large, 4096), "nothing but groups");
        assert_eq!(of("diffie-hellman-group16-sha512,curve25519-sha256"), (Effort::Usual, 4096));
    }
}
