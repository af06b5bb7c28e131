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

/// Through the loop, where there is a `listener`: what goes into the port must come out of it. Else to an echo service on
/// the server.
pub(super) async fn passes(port: u16, listener: Option<&TcpListener>, line: &[u8], limit: Duration, log: &Log) -> bool {
    let Some(mut out) = connect(port, limit, log).await else { return false };
    for _ in 0..TRIES {
        let mut back = match listener {
            None => None,
            Some(listener) => match timeout(limit, listener.accept()).await {
                Ok(Ok((back, _))) => Some(back),
                Ok(Err(error)) => {
                    log.info(&format!("error accepting read connection: {}", reason(&error)));
                    return false;
                }
                Err(_) => {
                    log.info("timeout polling to accept read connection");
                    return false;
                }
            },
        };
        match timeout(limit, exchange(&mut out, back.as_mut(), line)).await {
            Ok(Ok(received)) if received == line => return true,
            Ok(Ok(received)) => log.debug(&not_what_was_sent(line, &received)),
            Ok(Err(error)) => {
                log.debug(&format!("error on poll: {}", reason(&error)));
                return false;
            }
            Err(_) if listener.is_some() => log.debug("timeout on io poll, looping to accept again"),
            Err(_) => log.debug("timeout on io poll"),
        }
    }
    log.debug(GIVEN_UP);
    false
}

pub(super) fn not_what_was_sent(sent: &[u8], received: &[u8]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    format!("not what I sent: \"{}\" : \"{}\"", text(sent), text(received))
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
    let mut received = Vec::with_capacity(line.len());
    out.write_all(line).await?;
    let from = match back {
        Some(back) => back,
        None => out,
    };
    from.take(line.len() as u64).read_to_end(&mut received).await?;
    Ok(received)
}
