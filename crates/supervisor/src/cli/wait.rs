//! `wait`: until the named tunnels are ready. Silent when they are; otherwise why those that are not are not.

use std::io;
use std::time::{Duration, Instant};

use tunnel_engine::clock;

use super::daemon::DaemonAddress;
use super::problem::{Problem, print};
use super::render;
use crate::control::ClientError;
use crate::exit;
use crate::protocol::{Request, Response};

/// How long a daemon may take to begin: `tunneld & tunneld wait NAME` works, and a daemon that was not started is
/// missed soon. A start takes some 10 ms, a hundred times that on a machine that boots.
const STARTING: Duration = Duration::from_secs(2);

/// How often the daemon is looked for meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(super) fn run(daemon: &DaemonAddress, names: Vec<String>, timeout: Duration) -> Result<u8, Problem> {
    // The argument was checked to be below a year.
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let request = Request::Wait { names, timeout_ms };
    let begins_until = clock::now() + timeout.min(STARTING);
    let Response::Waited { ready, status } = patiently(begins_until, || daemon.ask(request.clone()))? else {
        return Err(Problem::Misunderstood);
    };
    if ready {
        return Ok(exit::OK);
    }
    let now = clock::wall();
    let missing = status.tunnels.iter().filter(|tunnel| !tunnel.ready);
    let text: String = missing.map(|tunnel| render::why(tunnel, now) + "\n").collect();
    print(&text).map(|()| exit::NO)
}

/// Asks until a daemon answers.
fn patiently(until: Instant, ask: impl Fn() -> Result<Response, Problem>) -> Result<Response, Problem> {
    loop {
        match ask() {
            Err(Problem::Client(error)) if is_absent(&error) && clock::now() < until => {
                std::thread::park_timeout(LOOK_AGAIN);
            }
            answer => return answer,
        }
    }
}

fn is_absent(error: &ClientError) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
    matches!(error, ClientError::NoDaemon { source, .. } if absent.contains(&source.kind()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often a daemon that is there at the third question was asked, and whether it answered.
    fn asked(until: Instant, without: io::ErrorKind) -> (u32, bool) {
        let count = Cell::new(0);
        let answer = patiently(until, || {
            count.set(count.get() + 1);
            let nobody = ClientError::NoDaemon { socket: "/s".into(), source: without.into() };
            if count.get() < 3 { Err(nobody.into()) } else { Ok(Response::Done) }
        });
        (count.get(), answer.is_ok())
    }

    #[test]
    fn a_daemon_that_begins_is_waited_for() {
        let later = clock::now() + Duration::from_secs(60);
        assert_eq!(asked(later, io::ErrorKind::NotFound), (3, true));
        assert_eq!(asked(later, io::ErrorKind::ConnectionRefused), (3, true));
    }

    #[test]
    fn wait_gives_up_without_a_reachable_daemon() {
        assert_eq!(asked(clock::now(), io::ErrorKind::NotFound), (1, false));
        let later = clock::now() + Duration::from_secs(60);
        assert_eq!(asked(later, io::ErrorKind::PermissionDenied), (1, false));
    }
}
