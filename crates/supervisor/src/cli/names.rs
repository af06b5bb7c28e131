//! `start`, `stop`, `restart`, `reset-failed`: an order for named tunnels. Silent when what it promises is true, as
//! systemctl; for `start` and `restart` that is a tunnel that is ready, for `stop` one that is stopped.

use super::args::StartArgs;
use super::daemon::DaemonAddress;
use super::problem::{Problem, print_answer};
use super::status::output_style;
use super::{render, wait};
use crate::exit;
use crate::lifecycle::{Phase, Want};
use crate::protocol::status::TunnelStatus;
use crate::protocol::{ErrorCode, Request, Response};

pub(super) fn run(daemon: &DaemonAddress, order: Request) -> Result<u8, Problem> {
    let Response::Done = daemon.ask(order)? else { return Err(Problem::Misunderstood) };
    Ok(exit::OK)
}

/// The order, then the wait for what it promises. The order stands whatever becomes of the wait.
pub(super) fn start(
    daemon: &DaemonAddress,
    done: &str,
    which: StartArgs,
    order: impl Fn(Vec<String>) -> Request,
) -> Result<u8, Problem> {
    let StartArgs { names, timeout, no_block } = which;
    run(daemon, order(names.clone()))?;
    if no_block {
        return Ok(exit::OK);
    }
    let answer = daemon.ask(wait::request(names.clone(), timeout))?;
    wait::report(answer, &names, |tunnel, now| {
        format!("`{}` is {done}, but not ready. {}", tunnel.name, render::why(tunnel, now))
    })
}

/// The order, then the wait until nothing of the tunnels is left.
pub(super) fn stop(daemon: &DaemonAddress, names: Vec<String>, no_block: bool) -> Result<u8, Problem> {
    run(daemon, Request::Stop { names: names.clone() })?;
    if no_block {
        return Ok(exit::OK);
    }
    match daemon.ask(Request::Stopped { names: names.clone() }) {
        // A daemon of an earlier version, which has taken the order, does not know the question.
        Err(Problem::Refused { code: ErrorCode::BadRequest, .. }) => Ok(exit::OK),
        answer => stopped(answer?),
    }
}

/// Silent where all are stopped.
fn stopped(answer: Response) -> Result<u8, Problem> {
    let Response::Waited { ready, status } = answer else { return Err(Problem::Misunderstood) };
    if ready {
        return Ok(exit::OK);
    }
    let texts = status.tunnels.iter().filter_map(not_stopped);
    let output = output_style();
    print_answer(&texts.map(|text| render::paragraph(&text, 0, output)).collect::<String>(), exit::NO)
}

fn not_stopped(tunnel: &TunnelStatus) -> Option<String> {
    let name = &tunnel.name;
    match (tunnel.want.known(), tunnel.phase.known()) {
        (Some(Want::Up), _) => Some(format!("`{name}` was started again meanwhile.")),
        (_, Some(Phase::Stopping)) => {
            Some(format!("`{name}` is not stopped yet, although its `stop_timeout` has passed."))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::example;

    #[test]
    fn stop_that_came_to_nothing_is_told_with_the_reason() {
        let tunnel = |phase: &str, want: Want| TunnelStatus { want: want.into(), ..example::tunnel("t", phase, false) };
        assert_eq!(not_stopped(&tunnel("up", Want::Up)).unwrap(), "`t` was started again meanwhile.");
        assert!(not_stopped(&tunnel("stopping", Want::Down)).unwrap().starts_with("`t` is not stopped yet"));
        assert_eq!(not_stopped(&tunnel("stopped", Want::Down)), None);
        let answer = |ready| Response::Waited { ready, status: example::status(vec![tunnel("up", Want::Up)]) };
        assert_eq!(stopped(answer(true)).unwrap(), exit::OK);
        assert_eq!(stopped(answer(false)).unwrap(), exit::NO);
    }
}
