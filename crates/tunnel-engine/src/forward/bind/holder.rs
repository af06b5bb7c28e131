//! Who listens on a port or a path of this machine, from /proc: so that "address in use" names the program to stop.

mod listeners;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Processes looked through. A machine with more has other ways to find out, and a bind is not to wait for them.
const MAX_PROCESSES: usize = 4096;

/// The program that listens where `address` could not be bound; `None` when that cannot be seen, most often because
/// it is another user's.
pub(super) async fn of_port(address: SocketAddr) -> Option<String> {
    listeners::holder(address).await.map(|holder| match holder {
        Holder::Listens(pid) => describe(pid),
        // The kernel may have given the port to an outgoing connection.
        Holder::Connects(pid) => format!("a connection of {}", describe(pid)),
    })
}

/// The process that has a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// It listens there.
    Listens(i32),
    /// Its end of a connection is there.
    Connects(i32),
}

/// The program that listens on `path`; `None` when that cannot be seen.
pub(super) async fn of_path(path: &Path) -> Option<String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let owner = |inode| owner(Path::new("/proc"), inode);
        listening_on(&path).into_iter().find_map(owner).map(describe)
    })
    .await
    .ok()
    .flatten()
}

/// The inodes of the sockets that listen on `path`, as they were bound. That of the file says nothing about them.
pub(super) fn listening_on(path: &Path) -> Vec<u64> {
    let table = fs::read("/proc/net/unix").unwrap_or_default();
    unix_listeners(&String::from_utf8_lossy(&table), &path.to_string_lossy())
}

fn unix_listeners(table: &str, path: &str) -> Vec<u64> {
    /// `__SO_ACCEPTCON`.
    const LISTENS: &str = "00010000";
    let listener = |line: &str| {
        let mut rest = line;
        let mut field = || {
            let (word, after) = rest.trim_start().split_once(' ')?;
            rest = after;
            Some(word)
        };
        let [.., flags, _, _, inode] = [field()?, field()?, field()?, field()?, field()?, field()?, field()?];
        (flags == LISTENS && rest == path).then(|| inode.parse().ok())?
    };
    table.lines().skip(1).filter_map(listener).collect()
}

/// `pid 1234 (`sshd`)`.
pub(super) fn describe(pid: i32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("pid {pid} (`{}`)", name.trim_end()),
        Err(_) => format!("pid {pid}"),
    }
}

/// A socket of a table of /proc/net/tcp or tcp6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SocketTableEntry {
    local: (IpAddr, u16),
    listens: bool,
    inode: u64,
}

impl SocketTableEntry {
    /// Does it keep `wanted` from being bound?
    fn is_in_the_way(&self, wanted: SocketAddr) -> bool {
        let (ip, port) = self.local;
        let collides = ip.to_canonical() == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified();
        port == wanted.port() && collides
    }
}

/// The sockets that programs have.
fn entries(table: &str) -> impl Iterator<Item = SocketTableEntry> {
    const LISTEN: &str = "0A";
    /// What is in TIME_WAIT is no program's, and not in the way.
    const NONE: u64 = 0;
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next()?;
        let (_, state) = (fields.next()?, fields.next()?);
        let inode = fields.nth(5)?.parse().ok().filter(|inode| *inode != NONE)?;
        Some(SocketTableEntry { local: parse_address(local)?, listens: state == LISTEN, inode })
    })
}

/// Hexadecimal, each 32 bits in the machine's byte order.
fn parse_address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip, port))
}

fn owner(proc: &Path, inode: u64) -> Option<i32> {
    let mut found = None;
    each_socket(proc, |socket, pid, _| {
        found = (socket == inode).then_some(pid);
        found.is_some()
    });
    found
}

/// Calls `visit` with the inode of each socket that a process has, the process, and its link to the socket, until it
/// says that it has seen enough.
fn each_socket(proc: &Path, mut visit: impl FnMut(u64, i32, &Path) -> bool) {
    let Ok(processes) = fs::read_dir(proc) else { return };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.take(MAX_PROCESSES) {
        let Ok(files) = fs::read_dir(proc.join(pid.to_string()).join("fd")) else { continue };
        for file in files.flatten().map(|file| file.path()) {
            if socket_behind(&file).is_some_and(|inode| visit(inode, pid, &file)) {
                return;
            }
        }
    }
}

/// The inode of the socket that a link in `/proc/PID/fd` leads to.
fn socket_behind(link: &Path) -> Option<u64> {
    let target = fs::read_link(link).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:0CEB 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 00000000:0CEC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
   nonsense
";

    fn in_the_way(address: &str, listens: bool) -> Option<u64> {
        let wanted = address.parse().unwrap();
        let mut found = entries(TABLE).filter(|entry| entry.listens == listens && entry.is_in_the_way(wanted));
        found.next().map(|entry| entry.inode)
    }

    fn found(address: &str) -> Option<u64> {
        in_the_way(address, true)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn blocking_listener_is_found_in_kernel_table() {
        assert_eq!(found("127.0.0.1:3306"), Some(4711));
        assert_eq!(found("0.0.0.0:3306"), Some(4711));
        assert_eq!(found("192.0.2.1:3306"), None);
        assert_eq!(found("127.0.0.1:3307"), None, "a connection is not a listener");
        assert_eq!(found("192.0.2.1:3308"), Some(4713));
        assert_eq!(in_the_way("127.0.0.1:3307", false), Some(4712), "but it holds the port");
    }

    #[test]
    fn only_sockets_that_listen_on_the_path_itself_are_found() {
        const TABLE: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20861 /run/a b.sock
0000000000000000: 00000002 00000000 00010000 0001 01 20862 /x/run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 03 20863 /run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 03 20864
";
        assert_eq!(unix_listeners(TABLE, "/run/a b.sock"), [20861]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_ipv6_address_of_the_table_is_read() {
        let text = "00000000000000000000000001000000:0016";
        assert_eq!(parse_address(text), Some((IpAddr::V6(Ipv6Addr::LOCALHOST), 22)));
        assert_eq!(parse_address("0100:0016"), None);
    }
}
