//! Threads for the sessions whose key exchange takes long.
//!
//! russh does the arithmetic of a key exchange in the task that serves the session, and does not yield meanwhile: with a
//! prime of 8192 bits a third of a second, at the login and at each rekey. One thread serves all other sessions, so such
//! a task runs on threads of its own. Which method it will be is known before russh begins: both sides' lists are. What connects it with the rest is channels and a socket, which do not care.

use std::io;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use russh::kex;
use tokio::runtime::{Builder, Handle, Runtime};

use super::server_offer::ServerOffer;

/// The methods with primes over 4096 bits. They are offered only where the user names them.
const LARGE_GROUPS: [kex::Name; 2] = [kex::DH_G17_SHA512, kex::DH_G18_SHA512];
/// All methods with arithmetic modulo a large prime: 4096 bits take a twentieth of a second.
const GROUPS: [kex::Name; 9] = [
    kex::DH_GEX_SHA1,
    kex::DH_GEX_SHA256,
    kex::DH_G1_SHA1,
    kex::DH_G14_SHA1,
    kex::DH_G14_SHA256,
    kex::DH_G15_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G18_SHA512,
];
/// As many exchanges at once. More wait, and hold up only one another.
const MAX_THREADS: usize = 4;

/// What the method that both sides take means for the thread that serves the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// A curve: a millisecond.
    Usual,
    /// A group, or a server that does not say.
    Large,
}

impl Effort {
    /// Of the method that RFC 4253 section 7.1 chooses: the first of ours that the server has. Flags among ours are
    /// no methods, and no server has those of a client.
    pub(super) fn of(ours: &[kex::Name], theirs: &ServerOffer) -> Self {
        let is_group = |name: &&kex::Name| GROUPS.contains(name);
        let group = match theirs {
            ServerOffer::Methods(theirs) => {
                let chosen = ours.iter().find(|name| theirs.iter().any(|their| their == name.as_ref()));
                chosen.as_ref().is_some_and(is_group)
            }
            ServerOffer::Silent => ours.iter().any(|name| is_group(&name)),
            ServerOffer::None => false,
        };
        if group { Self::Large } else { Self::Usual }
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

    const CURVE: &str = "curve25519-sha256";

    fn ours(list: &str) -> Vec<kex::Name> {
        let kex = if list.is_empty() { AlgorithmList::Default } else { AlgorithmList::parse(list).expect("a list") };
        let spec = AlgorithmSpec { kex, ..AlgorithmSpec::default() };
        preferred(&spec, false, |offer| offer).expect("an offer").kex.to_vec()
    }

    fn of(list: &str, theirs: &[&str]) -> Effort {
        let theirs = theirs.iter().map(|name| (*name).to_owned()).collect();
        Effort::of(&ours(list), &ServerOffer::Methods(theirs))
    }

    #[test]
    fn method_that_both_take_decides() {
        let group = "diffie-hellman-group14-sha256";
        assert_eq!(of("", &[group, CURVE]), Effort::Usual, "our order decides");
        assert_eq!(of("+diffie-hellman-group18-sha512", &[CURVE]), Effort::Usual);
        assert_eq!(of("", &[group]), Effort::Large);
        assert_eq!(of("", &["diffie-hellman-group-exchange-sha256", "kex-strict-s-v00@openssh.com"]), Effort::Large);
        assert_eq!(of(&format!("{group},{CURVE}"), &[CURVE, group]), Effort::Large);
        assert_eq!(of("", &["sntrup761x25519-sha512@openssh.com"]), Effort::Usual, "nothing will be computed");
    }

    #[test]
    fn server_that_does_not_say_may_take_a_group() {
        assert_eq!(Effort::of(&ours(""), &ServerOffer::Silent), Effort::Large);
        assert_eq!(Effort::of(&ours(CURVE), &ServerOffer::Silent), Effort::Usual);
        assert_eq!(Effort::of(&ours(""), &ServerOffer::None), Effort::Usual);
    }

    #[test]
    fn primes_over_4096_bits_are_only_for_who_asks() {
        assert_eq!(Effort::largest_group(&ours("")), 4096);
        assert_eq!(Effort::largest_group(&ours("+diffie-hellman-group17-sha512")), 8192);
    }
}
