//! Who listens on a port of this machine, from /proc: so that "address in use" names the program to stop.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Processes looked through. A machine with more has other ways to find out, and a bind is not to wait for them.
const MAX_PROCESSES: usize = 4096;

/// The program that listens where `address` could not be bound; `None` when that cannot be seen, most often because
/// it is another user's.
pub(super) async fn of_port(address: SocketAddr) -> Option<String> {
    tokio::task::spawn_blocking(move || {
        let tables = [fs::read_to_string("/proc/net/tcp"), fs::read_to_string("/proc/net/tcp6")];
        let inode = tables.iter().flatten().find_map(|table| listening_inode(table, address))?;
        owner(Path::new("/proc"), inode).map(describe)
    })
    .await
    .ok()
    .flatten()
}

/// `pid 1234 (`sshd`)`.
pub(super) fn describe(pid: i32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("pid {pid} (`{}`)", name.trim_end()),
        Err(_) => format!("pid {pid}"),
    }
}

/// The inode of the listening socket in a table of /proc/net/tcp or tcp6 that stands in the way of `wanted`.
fn listening_inode(table: &str, wanted: SocketAddr) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next()?;
        let (_, state) = (fields.next()?, fields.next()?);
        let inode = fields.nth(5)?;
        let (ip, port) = parse_address(local)?;
        let collides = ip.to_canonical() == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified();
        (state == LISTEN && port == wanted.port() && collides).then(|| inode.parse().ok())?
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
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir(proc).ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.take(MAX_PROCESSES).find(|pid| {
        let Ok(files) = fs::read_dir(proc.join(pid.to_string()).join("fd")) else { return false };
        files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
    })
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

    fn found(address: &str) -> Option<u64> {
        listening_inode(TABLE, address.parse().unwrap())
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_listening_socket_in_the_way_is_found_in_the_kernels_table() {
        assert_eq!(found("127.0.0.1:3306"), Some(4711));
        assert_eq!(found("0.0.0.0:3306"), Some(4711));
        assert_eq!(found("192.0.2.1:3306"), None);
        assert_eq!(found("127.0.0.1:3307"), None, "a connection is not a listener");
        assert_eq!(found("192.0.2.1:3308"), Some(4713));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_ipv6_address_of_the_table_is_read() {
        let text = "00000000000000000000000001000000:0016";
        assert_eq!(parse_address(text), Some((IpAddr::V6(Ipv6Addr::LOCALHOST), 22)));
        assert_eq!(parse_address("0100:0016"), None);
    }
}
