//! A SOCKS client, as small as the protocols allow.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

use crate::net::connect;

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub enum Version {
    /// An IPv4 address.
    V4,
    /// A name, SOCKS4a.
    V4a,
    /// A name, SOCKS5.
    V5,
}

/// Asks the proxy on `proxy` for loopback:`port`. Gives the connection and the reply code: 90 or 0 is yes.
pub fn request(proxy: u16, version: Version, port: u16) -> Result<(TcpStream, u8)> {
    let mut stream = connect(proxy)?;
    let [high, low] = port.to_be_bytes();
    let code = match version {
        Version::V4 => {
            stream.write_all(&[4, 1, high, low, 127, 0, 0, 1, b'u', 0])?;
            read::<8>(&mut stream)?[1]
        }
        Version::V4a => {
            stream.write_all(&[4, 1, high, low, 0, 0, 0, 1, 0])?;
            stream.write_all(b"127.0.0.1\0")?;
            read::<8>(&mut stream)?[1]
        }
        Version::V5 => {
            stream.write_all(&[5, 1, 0])?;
            assert_eq!(read::<2>(&mut stream)?, [5, 0], "no authentication is accepted");
            stream.write_all(&[5, 1, 0, 3, 9])?;
            stream.write_all(b"127.0.0.1")?;
            stream.write_all(&[high, low])?;
            read::<10>(&mut stream)?[1]
        }
    };
    Ok((stream, code))
}

fn read<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
