//! How many bytes wake the reader of a socket.

use std::sync::LazyLock;

use nix::libc;
use nix::sys::socket::SetSockOpt as _;
use nix::sys::socket::sockopt::SetStruct;
use tokio::net::TcpStream;

// nix's macros hold the unsafe call, so that there is none here.
#[derive(Clone, Copy)]
struct LowWater;
nix::setsockopt_impl!(LowWater, libc::SOL_SOCKET, libc::SO_RCVLOWAT, libc::c_int, SetStruct<libc::c_int>);

/// Since when a lower mark wakes a reader for what is there already. Before, it would wait for the next bytes.
const LOW_WATER_SINCE: (u32, u32) = (4, 18);

/// The socket becomes readable with so many bytes (`SO_RCVLOWAT`, socket(7)): now, if as many are there.
pub(super) fn set(stream: &TcpStream, bytes: u32) -> bool {
    static IS_KNOWN: LazyLock<bool> = LazyLock::new(|| {
        let release = nix::sys::utsname::uname().ok().and_then(|system| kernel_version(system.release().to_str()?));
        release.is_some_and(|release| release >= LOW_WATER_SINCE)
    });
    *IS_KNOWN && libc::c_int::try_from(bytes).is_ok_and(|bytes| LowWater.set(stream, &bytes).is_ok())
}

/// Of a release such as `6.1.0-18-amd64`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn kernel_release_begins_with_two_numbers() {
        for (release, version) in [
            ("6.1.0-18-amd64", Some((6, 1))),
            ("4.18.0-553.el8_10.x86_64", Some((4, 18))),
            ("5.15+", Some((5, 15))),
            ("x", None),
            ("6", None),
        ] {
            assert_eq!(kernel_version(release), version, "{release}");
        }
    }

    #[tokio::test]
    async fn low_water_mark_holds_a_reader_until_it_is_lowered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        assert!(set(&near, 64 * 1024));
        far.write_all(b"tail").await.unwrap();
        let mut buffer = [0; 16];
        tokio::time::timeout(Duration::from_millis(50), near.read(&mut buffer)).await.expect_err("woken by four bytes");
        assert!(set(&near, 1));
        assert_eq!(near.read(&mut buffer).await.unwrap(), 4);
        assert!(set(&near, 64 * 1024));
        far.write_all(b"end").await.unwrap();
        drop(far);
        assert_eq!(near.read(&mut buffer).await.unwrap(), 3, "an end wakes it too");
    }
}
