//! Tries several addresses with a stagger; the first that answers wins, the others are dropped (RFC 8305 section 5).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::clock;

/// Head start of each address before the next is tried beside it: RFC 8305's recommended Connection Attempt Delay.
const STAGGER: Duration = Duration::from_millis(250);

/// What became of the addresses that were tried; kept outside so that it survives a race that is given up.
pub(super) type Tried = Vec<(SocketAddr, Option<io::Error>)>;

/// Connects to one of `addresses`; `None` when all have failed, with their errors in `tried`.
pub(super) async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
    tried: &mut Tried,
) -> Option<T> {
    let mut waiting = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut next_start = clock::now();
    loop {
        tokio::select! {
            biased;
            Some((index, result)) = running.next() => match result {
                Ok(connected) => return Some(connected),
                Err(error) => {
                    note(tried, index, error);
                    next_start = clock::now();
                }
            },
            () = tokio::time::sleep_until(next_start.into()), if waiting.len() > 0 => {
                if let Some(address) = waiting.next() {
                    let index = tried.len();
                    tried.push((address, None));
                    let attempt = connect(address);
                    running.push(async move { (index, attempt.await) });
                    next_start = clock::now() + STAGGER;
                }
            }
            else => return None,
        }
    }
}

fn note(tried: &mut Tried, index: usize, error: io::Error) {
    if let Some((_, outcome)) = tried.get_mut(index) {
        *outcome = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Instant;

    /// An address whose last byte says what happens: 1 answers, 2 refuses, 3 hangs; after as many 10 ms as its port.
    async fn connect(address: SocketAddr) -> io::Result<SocketAddr> {
        let done = clock::now() + Duration::from_millis(10) * u32::from(address.port());
        tokio::time::sleep_until(done.into()).await;
        match address.to_string().split([':', '.']).nth(3) {
            Some("1") => Ok(address),
            Some("2") => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => std::future::pending().await,
        }
    }

    async fn run(addresses: &[&str]) -> (Option<String>, Duration, usize) {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let (started, mut tried): (Instant, Tried) = (clock::now(), Vec::new());
        let winner = race(&addresses, connect, &mut tried).await;
        (winner.map(|address| address.to_string()), clock::now() - started, tried.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_its_head_start_and_no_more() {
        let (winner, took, tried) = run(&["10.0.0.3:1", "10.0.0.1:2", "10.0.0.1:3"]).await;
        assert_eq!((winner.as_deref(), tried), (Some("10.0.0.1:2"), 2));
        assert_eq!(took, Duration::from_millis(270));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_starts_the_next_address_at_once() {
        let (winner, took, _) = run(&["10.0.0.2:1", "10.0.0.1:2"]).await;
        assert_eq!((winner.as_deref(), took), (Some("10.0.0.1:2"), Duration::from_millis(30)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_may_still_win() {
        let (winner, _, tried) = run(&["10.0.0.1:30", "10.0.0.1:90"]).await;
        assert_eq!((winner.as_deref(), tried), (Some("10.0.0.1:30"), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_wins_where_all_refuse() {
        let (winner, _, tried) = run(&["10.0.0.2:1", "10.0.0.2:2"]).await;
        assert_eq!((winner, tried), (None, 2));
        assert_eq!(run(&[]).await.0, None);
    }
}
