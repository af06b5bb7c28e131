//! What earlier logins taught of the addresses of a server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::{Failure, FailureKind};
use crate::spec::{Destination, SessionSpec, StrictHostKeyChecking};

/// For this long an address where a login failed is tried after the others. One that takes connections and says nothing
/// costs a whole `connect_timeout`.
const SHUNNED: Duration = Duration::from_secs(120);

/// Servers remembered; the names are those of a config.
const MAX_SERVERS: usize = 4096;

/// Addresses of one server of which it is known that a login failed there.
const MAX_FAILED: usize = 16;

/// By the name and port of each server.
#[derive(Default)]
pub(super) struct AddressMemory {
    servers: Mutex<HashMap<(String, u16), Known>>,
}

#[derive(Default)]
struct Known {
    /// Where the last login succeeded.
    worked: Option<SocketAddr>,
    /// Dialled without the resolver's word.
    unresolved: Option<SocketAddr>,
    /// Where logins failed, and when.
    failed: Vec<(SocketAddr, Instant)>,
    /// The name had more than one address when it was last resolved.
    several: bool,
}

impl AddressMemory {
    pub(super) fn logged_in(&self, server: &Destination, peer: SocketAddr) {
        self.with(server, |known| {
            known.failed.retain(|(address, _)| *address != peer);
            known.worked = Some(peer);
        });
    }

    /// The failure names the address where there are several. A host key that is not the server's says nothing about the
    /// server where only this memory said that it is there.
    pub(super) fn login_failed(
        &self,
        server: &Destination,
        peer: SocketAddr,
        failure: Failure,
        now: Instant,
    ) -> Failure {
        let mut told = (false, false);
        self.with(server, |known| {
            known.failed.retain(|(address, _)| *address != peer);
            if known.failed.len() < MAX_FAILED {
                known.failed.push((peer, now));
            }
            if known.worked == Some(peer) {
                known.worked = None;
            }
            told = (known.several, known.unresolved == Some(peer));
        });
        match told {
            (_, true) if is_of_host_key(failure.kind()) => Failure::new(
                FailureKind::Dns,
                format!("the resolver does not answer for `{}`, and at its last address: {failure}", server.host),
            ),
            (true, _) => failure.in_context(&format!("at {peer}")),
            (false, _) => failure,
        }
    }

    /// The address of the last login, where the host key proves that the server is still there.
    pub(super) fn last_login(&self, spec: &SessionSpec) -> Option<SocketAddr> {
        let servers = self.servers();
        let address = servers.get(&key(&spec.destination))?.worked?;
        let checked = match spec.host_key.strict {
            StrictHostKeyChecking::Yes | StrictHostKeyChecking::AcceptNew => true,
            StrictHostKeyChecking::No => false,
        };
        (checked && !(spec.host_key.trust_loopback && address.ip().is_loopback())).then_some(address)
    }

    /// The address was dialled while the resolver said nothing.
    pub(super) fn used_unresolved(&self, server: &Destination, address: SocketAddr) {
        self.with(server, |known| known.unresolved = Some(address));
    }

    /// `addresses` in the order in which they are tried: those where a login failed lately last, the latest at the end; and
    /// how many come before them.
    pub(super) fn resolved(
        &self,
        server: &Destination,
        mut addresses: Vec<SocketAddr>,
        now: Instant,
    ) -> (Vec<SocketAddr>, usize) {
        let mut known = Vec::new();
        self.with(server, |server| {
            (server.unresolved, server.several) = (None, addresses.len() > 1);
            server.failed.retain(|(_, at)| now.saturating_duration_since(*at) < SHUNNED);
            known.clone_from(&server.failed);
        });
        let failed = |address: &SocketAddr| known.iter().find(|(known, _)| known == address).map(|(_, at)| *at);
        addresses.sort_by_key(failed);
        let good = addresses.iter().filter(|address| failed(address).is_none()).count();
        (addresses, good)
    }

    fn with(&self, server: &Destination, change: impl FnOnce(&mut Known)) {
        let mut servers = self.servers();
        if servers.len() < MAX_SERVERS || servers.contains_key(&key(server)) {
            change(servers.entry(key(server)).or_default());
        }
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<(String, u16), Known>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(server: &Destination) -> (String, u16) {
    (server.host.clone(), server.port)
}

const fn is_of_host_key(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::HostKeyUnknown | FailureKind::HostKeyChanged | FailureKind::HostKeyRevoked)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::clock;
    use crate::dial::tests::spec;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 22))
    }

    fn failed() -> Failure {
        Failure::new(FailureKind::ConnectTimeout, "gave up")
    }

    #[test]
    fn address_of_a_failed_login_goes_behind_the_others() {
        let (memory, server, now) = (AddressMemory::default(), spec("h").destination, clock::now());
        let all = || vec![address(1), address(2), address(3)];
        assert_eq!(memory.resolved(&server, all(), now), (all(), 3));
        let told = memory.login_failed(&server, address(1), failed(), now);
        assert_eq!(told.message(), "at 10.0.0.1:22: gave up");
        assert_eq!(memory.resolved(&server, all(), now), (vec![address(2), address(3), address(1)], 2));
        let later = now + Duration::from_secs(20);
        memory.login_failed(&server, address(2), failed(), later);
        assert_eq!(memory.resolved(&server, all(), later), (vec![address(3), address(1), address(2)], 1));
        memory.logged_in(&server, address(1));
        assert_eq!(memory.resolved(&server, all(), later), (vec![address(1), address(3), address(2)], 2));
        assert_eq!(memory.resolved(&server, all(), later + SHUNNED), (all(), 3));
        memory.resolved(&server, vec![address(1)], later);
        assert_eq!(
            memory.login_failed(&server, address(1), failed(), later).message(),
            "gave up",
            "it is the only one"
        );
    }

    #[test]
    fn last_address_is_dialled_only_where_a_host_key_proves_it() {
        let (memory, mut spec) = (AddressMemory::default(), spec("h"));
        spec.host_key.strict = StrictHostKeyChecking::Yes;
        assert_eq!(memory.last_login(&spec), None);
        memory.logged_in(&spec.destination, address(1));
        assert_eq!(memory.last_login(&spec), Some(address(1)));
        spec.host_key.strict = StrictHostKeyChecking::No;
        assert_eq!(memory.last_login(&spec), None);
        spec.host_key.strict = StrictHostKeyChecking::AcceptNew;
        memory.login_failed(&spec.destination, address(1), failed(), clock::now());
        assert_eq!(memory.last_login(&spec), None, "a login failed there since");
        (spec.host_key.trust_loopback, spec.host_key.strict) = (true, StrictHostKeyChecking::Yes);
        memory.logged_in(&spec.destination, "127.0.0.1:22".parse().unwrap());
        assert_eq!(memory.last_login(&spec), None);
    }

    #[test]
    fn foreign_host_key_at_an_unresolved_address_is_the_resolvers_fault() {
        let (memory, server) = (AddressMemory::default(), spec("h").destination);
        let changed = || Failure::new(FailureKind::HostKeyChanged, "the host key of `h` changed");
        memory.used_unresolved(&server, address(1));
        let told = memory.login_failed(&server, address(1), changed(), clock::now());
        assert_eq!(told.kind(), FailureKind::Dns, "{told}");
        memory.resolved(&server, vec![address(1)], clock::now());
        assert_eq!(memory.login_failed(&server, address(1), changed(), clock::now()), changed());
    }
}
