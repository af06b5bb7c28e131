//! One test over the wire: at most two tries, each step of it bounded by the net timeout.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::autossh::log::{Log, reason};

/// autossh's: a stale connection, or one of somebody else, is got over once.
const TRIES: usize = 2;

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
            Ok(Ok(heard)) => log.debug(&format!("not what I sent: {}", String::from_utf8_lossy(&heard).trim_end())),
            Ok(Err(error)) => {
                log.debug(&format!("error on poll: {}", reason(&error)));
                return false;
            }
            Err(_) => log.debug("timeout on io poll, looping to accept again"),
        }
    }
    false
}

/// To an echo service on the server.
pub(super) async fn echo(port: u16, line: &[u8], limit: Duration, log: &Log) -> bool {
    let Some(mut stream) = connect(port, limit, log).await else { return false };
    for _ in 0..TRIES {
        match timeout(limit, exchange(&mut stream, None, line)).await {
            Ok(Ok(heard)) if heard == line => return true,
            Ok(Ok(heard)) => log.debug(&format!("not what I sent: {}", String::from_utf8_lossy(&heard).trim_end())),
            Ok(Err(error)) => {
                log.debug(&format!("error on poll: {}", reason(&error)));
                return false;
            }
            Err(_) => log.debug("timeout on io poll"),
        }
    }
    false
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

/// Sends the line, and reads as many bytes: from `back`, or where it was sent to.
async fn exchange(out: &mut TcpStream, back: Option<&mut TcpStream>, line: &[u8]) -> io::Result<Vec<u8>> {
    let mut heard = vec![0; line.len()];
    out.write_all(line).await?;
    match back {
        Some(back) => back.read_exact(&mut heard).await?,
        None => out.read_exact(&mut heard).await?,
    };
    Ok(heard)
}
