//! One test over the wire: at most two tries, each step of it bounded by the net timeout.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use tunnel_engine::clock::timeout;

use crate::autossh::log::{Log, reason};

/// autossh's: one stale connection, or one of another client, is tolerated.
const TRIES: usize = 2;

/// autossh counts one more.
const GIVEN_UP: &str = "tried connection 3 times and failed";

/// Through the loop: what goes into p must come out of the listener.
pub(super) async fn around(port: u16, listener: &TcpListener, line: &[u8], limit: Duration, log: &Log) -> bool {
    let Some(mut out) = connect(port, limit, log).await else { return false };
    for _ in 0..TRIES {
        let mut back = match timeout(limit, listener.accept()).await {
            Ok(Ok((back, _))) => back,
            Ok(Err(error)) => {
                log.info(&format!("error accepting read connection: {}", reason(&error)));
                return false;
            }
            Err(_) => {
                log.info("timeout polling to accept read connection");
                return false;
            }
        };
        match timeout(limit, exchange(&mut out, Some(&mut back), line)).await {
            Ok(Ok(heard)) if heard == line => return true,
            Ok(Ok(heard)) => log.debug(&not_what_was_sent(line, &heard)),
            Ok(Err(error)) => {
                log.debug(&format!("error on poll: {}", reason(&error)));
                return false;
            }
            Err(_) => log.debug("timeout on io poll, looping to accept again"),
        }
    }
    log.debug(GIVEN_UP);
    false
}

/// To an echo service on the server.
pub(super) async fn echo(port: u16, line: &[u8], limit: Duration, log: &Log) -> bool {
    let Some(mut stream) = connect(port, limit, log).await else { return false };
    for _ in 0..TRIES {
        match timeout(limit, exchange(&mut stream, None, line)).await {
            Ok(Ok(heard)) if heard == line => return true,
            Ok(Ok(heard)) => log.debug(&not_what_was_sent(line, &heard)),
            Ok(Err(error)) => {
                log.debug(&format!("error on poll: {}", reason(&error)));
                return false;
            }
            Err(_) => log.debug("timeout on io poll"),
        }
    }
    log.debug(GIVEN_UP);
    false
}

pub(super) fn not_what_was_sent(sent: &[u8], heard: &[u8]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    format!("not what I sent: \"{}\" : \"{}\"", text(sent), text(heard))
}

async fn connect(port: u16, limit: Duration, log: &Log) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connected = timeout(limit, TcpStream::connect(address)).await;
    match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => Some(stream),
        Err(error) => {
            log.info(&format!("{address}: {}", reason(&error)));
            None
        }
    }
}

/// Sends the line, and reads as many bytes, or up to the end: from `back`, or where it was sent to.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    out: &mut S,
    back: Option<&mut S>,
    line: &[u8],
) -> io::Result<Vec<u8>> {
    let mut heard = Vec::with_capacity(line.len());
    out.write_all(line).await?;
    let from = match back {
        Some(back) => back,
        None => out,
    };
    from.take(line.len() as u64).read_to_end(&mut heard).await?;
    Ok(heard)
}
