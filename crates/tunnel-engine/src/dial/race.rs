//! Tries several addresses with a stagger; the first that answers wins, the others are dropped (RFC 8305 section 5).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::clock;

/// Head start of each address before the next is tried beside it: RFC 8305's recommended Connection Attempt Delay.
const STAGGER: Duration = Duration::from_millis(250);

/// The same before one where a login failed lately: it answers TCP as fast as any, and would win each time.
const FAILED_STAGGER: Duration = Duration::from_secs(2);

/// While some address has not answered, all are tried again this often, beside what is still under way: the kernel
/// waits one, three, seven seconds before it repeats a lost SYN, and a path that is back would wait for it.
const ROUND: Duration = Duration::from_secs(1);

/// An attempt that has not answered by then will not: no path takes so long. Bounds the attempts under way.
const GIVE_UP: Duration = Duration::from_secs(4);

/// Between two attempts (ssh_config ConnectionAttempts): ssh's.
const NEXT_ATTEMPT: Duration = Duration::from_secs(1);

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub(super) addresses: &'a [SocketAddr],
    /// So many of them, the first, are good ones; at the others a login failed lately.
    pub(super) good: usize,
}

/// How often each address is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounds {
    /// Once.
    One,
    /// Again each second, until the caller gives up.
    Many,
}

/// What became of each address; kept outside so that it survives a race that is given up. `None`: no answer.
pub(super) type Tried = Vec<(SocketAddr, Option<io::Error>)>;

/// As [`race`], again a second after all have failed, `attempts` times in all.
pub(super) async fn attempt<T, F: Future<Output = io::Result<T>>>(
    candidates: Candidates<'_>,
    connect: impl Fn(SocketAddr) -> F,
    rounds: Rounds,
    attempts: u32,
    tried: &mut Tried,
) -> Option<T> {
    for before in 0..attempts.max(1) {
        if before > 0 {
            tokio::time::sleep_until((clock::now() + NEXT_ATTEMPT).into()).await;
        }
        let connected = race(candidates, &connect, rounds, tried).await;
        if connected.is_some() {
            return connected;
        }
    }
    None
}

/// Connects to one of `candidates`; `None` when all have failed, with their errors in `tried`. As long as one has
/// neither answered nor failed, it goes on until the caller gives up.
async fn race<T, F: Future<Output = io::Result<T>>>(
    candidates: Candidates<'_>,
    connect: impl Fn(SocketAddr) -> F,
    rounds: Rounds,
    tried: &mut Tried,
) -> Option<T> {
    let Candidates { addresses, good } = candidates;
    let mut waiting = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut next_start = clock::now();
    let mut next_round = next_start + ROUND;
    loop {
        tokio::select! {
            biased;
            Some((address, result)) = running.next() => match result {
                Ok(Ok(connected)) => return Some(connected),
                Ok(Err(error)) => {
                    note(tried, address, Some(error));
                    next_start = clock::now();
                }
                Err(_) => {}
            },
            () = tokio::time::sleep_until(next_start.into()), if waiting.len() > 0 => {
                if let Some(address) = waiting.next() {
                    note(tried, address, None);
                    let attempt = clock::timeout(GIVE_UP, connect(address));
                    running.push(async move { (address, attempt.await) });
                    let all_good_tried = addresses.len() - waiting.len() == good;
                    next_start = clock::now() + if all_good_tried { FAILED_STAGGER } else { STAGGER };
                }
            }
            () = tokio::time::sleep_until(next_round.into()),
                if rounds == Rounds::Many && waiting.len() == 0 && !running.is_empty() =>
            {
                waiting = addresses.iter().copied();
                next_start = clock::now();
                next_round = next_start + ROUND;
            }
            else => return None,
        }
    }
}

/// What an address said last stays, until it says something else.
fn note(tried: &mut Tried, address: SocketAddr, said: Option<io::Error>) {
    match tried.iter_mut().find(|(known, _)| *known == address) {
        Some((_, outcome)) => *outcome = said.or_else(|| outcome.take()),
        None => tried.push((address, said)),
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

    fn all(addresses: &[SocketAddr]) -> Candidates<'_> {
        Candidates { addresses, good: addresses.len() }
    }

    #[tokio::test(start_paused = true)]
    async fn address_of_a_failed_login_waits_for_slower_ones() {
        let addresses = ["10.0.0.1:90".parse().unwrap(), "10.0.0.1:1".parse().unwrap()];
        let mut tried = Tried::new();
        let winner = race(Candidates { addresses: &addresses, good: 1 }, connect, Rounds::Many, &mut tried).await;
        assert_eq!(winner, Some(addresses[0]));
        let silent = ["10.0.0.3:1".parse().unwrap(), addresses[1]];
        let began = clock::now();
        let winner = race(Candidates { addresses: &silent, good: 1 }, connect, Rounds::Many, &mut tried).await;
        assert_eq!((winner, clock::now() - began), (Some(addresses[1]), Duration::from_millis(2010)));
    }

    async fn run(addresses: &[&str]) -> (Option<String>, Duration, usize) {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let (started, mut tried): (Instant, Tried) = (clock::now(), Vec::new());
        let winner = race(all(&addresses), connect, Rounds::Many, &mut tried).await;
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
    async fn returning_path_is_found_within_a_second() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (attempts, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (began, under_way) = (clock::now(), std::rc::Rc::new(()));
        let back = began + Duration::from_millis(27_300);
        let connect = |address| {
            attempts.fetch_add(1, Ordering::Relaxed);
            let guard = under_way.clone();
            most.fetch_max(std::rc::Rc::strong_count(&under_way) - 1, Ordering::Relaxed);
            let alive = clock::now() >= back;
            async move {
                let _guard = guard;
                if alive { Ok(address) } else { std::future::pending().await }
            }
        };
        let address: SocketAddr = "10.0.0.3:1".parse().unwrap();
        let mut tried = Tried::new();
        assert_eq!(race(all(&[address]), connect, Rounds::Many, &mut tried).await, Some(address));
        assert_eq!(clock::now() - began, Duration::from_secs(28));
        assert_eq!((attempts.into_inner(), tried.len()), (29, 1));
        assert!(most.into_inner() <= 5);
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_does_not_end_race_with_silent_address() {
        let addresses = ["10.0.0.2:1".parse().unwrap(), "10.0.0.3:1".parse().unwrap()];
        let mut tried = Tried::new();
        let racing = race(all(&addresses), connect, Rounds::Many, &mut tried);
        assert!(tokio::time::timeout(Duration::from_secs(10), racing).await.is_err());
        let said: Vec<_> = tried.iter().map(|(_, said)| said.as_ref().map(io::Error::kind)).collect();
        assert_eq!(said, [Some(io::ErrorKind::ConnectionRefused), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_tried_again_a_second_later() {
        let addresses = ["10.0.0.2:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()];
        for (attempts, up_after, want) in [(1, 1, None), (3, 2, Some(1)), (3, 3, Some(2)), (3, 4, None), (0, 2, None)] {
            let (began, mut tried) = (clock::now(), Tried::new());
            let done = std::sync::atomic::AtomicU32::new(0);
            let connect = |address: SocketAddr| {
                let seconds = (clock::now() - began).as_secs();
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                async move { if seconds + 1 >= up_after && up_after > 1 { Ok(address) } else { connect(address).await } }
            };
            let winner = attempt(all(&addresses), connect, Rounds::Many, attempts, &mut tried).await;
            assert_eq!(winner.map(|_| (clock::now() - began).as_secs()), want, "{attempts} attempts");
            assert_eq!(winner.is_none().then(|| done.into_inner() / 2), winner.is_none().then_some(attempts.max(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_wins_where_all_refuse() {
        let (winner, _, tried) = run(&["10.0.0.2:1", "10.0.0.2:2"]).await;
        assert_eq!((winner, tried), (None, 2));
        assert_eq!(run(&[]).await.0, None);
    }
}
