//! `wait`: until the named tunnels are ready. Silent when they are; otherwise why those that are not are not.

use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::clock;

use super::daemon::DaemonAddress;
use super::problem::{Problem, print_answer};
use super::render;
use super::status::output_style;
use crate::exit;
use crate::protocol::status::TunnelStatus;
use crate::protocol::{Request, Response};

/// How long a daemon may take to begin: `tunneld & tunneld wait NAME` works, and a daemon that was not started is
/// missed soon. A start takes some 10 ms, a hundred times that on a machine that boots.
const STARTING: Duration = Duration::from_secs(2);

/// How often the daemon is asked meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(20);

pub(super) fn run(daemon: &DaemonAddress, names: Vec<String>, timeout: Duration) -> Result<u8, Problem> {
    let begins_until = clock::now() + timeout.min(STARTING);
    let answer = ask_until(begins_until, || daemon.ask(request(names.clone(), timeout)))?;
    report(answer, &names, render::why)
}

/// Asks to be answered when the tunnels are ready, or when time is up.
pub(super) fn request(names: Vec<String>, timeout: Duration) -> Request {
    // The argument was checked to be below a year.
    Request::Wait { names, timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) }
}

/// Prints nothing where all are ready, else a paragraph about each that is not, and the names of those that are gone.
pub(super) fn report(
    answer: Response,
    names: &[String],
    text: impl Fn(&TunnelStatus, SystemTime) -> String,
) -> Result<u8, Problem> {
    let Response::Waited { ready, status } = answer else { return Err(Problem::Misunderstood) };
    if ready {
        return Ok(exit::OK);
    }
    let now = clock::wall();
    let missing = status.tunnels.iter().filter(|tunnel| !tunnel.ready);
    let output = output_style();
    let texts = missing.map(|tunnel| render::paragraph(&text(tunnel, now), 0, output));
    let gone = names.iter().filter(|name| !status.tunnels.iter().any(|tunnel| tunnel.name == **name));
    let gone = gone.map(|name| render::paragraph(&format!("Tunnel `{name}` is no longer in the config."), 0, output));
    print_answer(&texts.chain(gone).collect::<String>(), exit::NO)
}

/// Asks until a daemon answers.
fn ask_until(until: Instant, ask: impl Fn() -> Result<Response, Problem>) -> Result<Response, Problem> {
    loop {
        match ask() {
            Err(problem) if problem.is_absent_daemon() && clock::now() < until => {
                std::thread::park_timeout(ASK_AGAIN);
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use super::*;
    use crate::control::ClientError;

    /// How often a daemon that is there at the third question was asked, and whether it answered.
    fn asked(until: Instant, without: io::ErrorKind) -> (u32, bool) {
        let count = Cell::new(0);
        let answer = ask_until(until, || {
            count.set(count.get() + 1);
            let absent = ClientError::NoDaemon { socket: "/s".into(), source: without.into() };
            if count.get() < 3 { Err(absent.into()) } else { Ok(Response::Done) }
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
