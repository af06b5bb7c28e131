//! Connecting to a target from this machine.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::clock;
use crate::dial::scope_missing;
use crate::forward::stream::Stream;
use crate::lookup;
use crate::shortage;
use crate::spec::{AddressFamily, Connect};

/// How long a target may take, name lookup and all its addresses together. The kernel's own limit is over two
/// minutes an address, and all the while the peer on the server waits for a yes or no.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Tries each address of the target in turn, as ssh does; the last error counts.
pub(in crate::forward) async fn connect(target: &Connect, family: AddressFamily) -> io::Result<Stream> {
    let connected = async {
        match target {
            Connect::Tcp { host, port } => tcp(host, *port, family).await.map(Stream::Tcp),
            Connect::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
            Connect::Device(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a device is no target")),
            Connect::Socks => Err(io::Error::new(io::ErrorKind::InvalidInput, "a peer names no target by this name")),
        }
    };
    let connected = clock::timeout(CONNECT_TIMEOUT, connected).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    shortage::taken_by_user(stream.descriptor());
    Ok(stream)
}

async fn tcp(host: &str, port: u16, family: AddressFamily) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address of the wanted family");
    for address in lookup::TARGETS.addresses(host, port).await? {
        let wanted = match family {
            AddressFamily::Any => true,
            AddressFamily::Inet => address.is_ipv4(),
            AddressFamily::Inet6 => address.is_ipv6(),
        };
        if !wanted {
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => {
                last = match scope_missing(&address, &error) {
                    Some(hint) => io::Error::new(error.kind(), hint),
                    None => error,
                }
            }
        }
    }
    Err(last)
}
