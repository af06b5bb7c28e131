//! Who has which port, remembered for all tunnels: hundreds of forwards whose ports are taken ask again every few
//! seconds, and to read all of /proc for each would cost more than the tunnels do.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::{Holder, SocketTableEntry, each_socket, entries, socket_behind};
use crate::clock;

/// A reading this old is made again for a port whose holder it does not show: most often another user's, which stays so.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

type KnownSockets = Arc<Mutex<Option<SocketTables>>>;

thread_local! {
    /// Of the thread that carries all tunnels: who waits for another's reading waits for a task of its own runtime.
    static KNOWN: KnownSockets = KnownSockets::default();
}

/// The process that has the port, where that can be seen.
pub(super) async fn holder(address: SocketAddr) -> Option<Holder> {
    // One reads at a time; the others then find what they ask for.
    let known = KNOWN.with(KnownSockets::clone);
    let mut known = known.lock().await;
    let now = clock::now();
    // One system call, which does not wait for anything.
    if let Some(reading) = known.as_ref().filter(|reading| !reading.is_outdated(address, now)) {
        return reading.holder(address);
    }
    let (reading, holder) = tokio::task::spawn_blocking(move || {
        let reading = SocketTables::make(Path::new("/proc"), now);
        let holder = reading.holder(address);
        (reading, holder)
    })
    .await
    .ok()?;
    *known = Some(reading);
    holder
}

/// The sockets of this machine that are bound to ports, and their owners.
struct SocketTables {
    made: Instant,
    entries: Vec<SocketTableEntry>,
    /// By inode: the process, and its link to the socket.
    owners: HashMap<u64, (i32, PathBuf)>,
}

impl SocketTables {
    fn make(proc: &Path, made: Instant) -> Self {
        let tables = [fs::read_to_string(proc.join("net/tcp")), fs::read_to_string(proc.join("net/tcp6"))];
        let entries: Vec<SocketTableEntry> = tables.iter().flatten().flat_map(|table| entries(table)).collect();
        // Of connections there may be hundreds of thousands; their owners are looked for one by one.
        let mut owners: HashMap<u64, Option<(i32, PathBuf)>> =
            entries.iter().filter(|entry| entry.listens).map(|entry| (entry.inode, None)).collect();
        each_socket(proc, |inode, pid, link| {
            if let Some(owner @ None) = owners.get_mut(&inode) {
                *owner = Some((pid, link.to_owned()));
            }
            false
        });
        let owners = owners.into_iter().filter_map(|(inode, owner)| Some((inode, owner?))).collect();
        Self { made, entries: entries.into_iter().filter(|entry| entry.listens).collect(), owners }
    }

    /// Whether another reading may tell more about the port.
    fn is_outdated(&self, address: SocketAddr, now: Instant) -> bool {
        let Some(entry) = self.listener(address) else { return true };
        match self.owners.get(&entry.inode) {
            Some((_, link)) => socket_behind(link) != Some(entry.inode),
            None => now.saturating_duration_since(self.made) >= LOOK_AGAIN,
        }
    }

    fn listener(&self, address: SocketAddr) -> Option<&SocketTableEntry> {
        self.entries.iter().find(|entry| entry.is_in_the_way(address))
    }

    fn holder(&self, address: SocketAddr) -> Option<Holder> {
        match self.listener(address) {
            Some(entry) => self.owners.get(&entry.inode).map(|(pid, _)| Holder::Listens(*pid)),
            None => connected(address),
        }
    }
}

/// The process whose connection has the port.
fn connected(address: SocketAddr) -> Option<Holder> {
    let tables = [fs::read_to_string("/proc/net/tcp"), fs::read_to_string("/proc/net/tcp6")];
    let mut found = tables.iter().flatten().flat_map(|table| entries(table));
    let entry = found.find(|entry| !entry.listens && entry.is_in_the_way(address))?;
    super::owner(Path::new("/proc"), entry.inode).map(Holder::Connects)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_reading_serves_until_its_holder_lets_go() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let made = clock::now();
        let reading = SocketTables::make(Path::new("/proc"), made);
        let later = made + LOOK_AGAIN * 10;
        assert!(!reading.is_outdated(address, later), "the link still leads to the socket");
        drop(listener);
        assert!(reading.is_outdated(address, made));
    }

    #[test]
    fn unknown_ports_and_unseen_holders_are_looked_for_again() {
        let made = clock::now();
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let entry = SocketTableEntry { local: (address.ip(), address.port()), listens: true, inode: 1 };
        let mut reading = SocketTables { made, entries: Vec::new(), owners: HashMap::new() };
        assert!(reading.is_outdated(address, made));
        reading.entries.push(entry);
        assert!(!reading.is_outdated(address, made));
        assert!(reading.is_outdated(address, made + LOOK_AGAIN));
    }
}
