//! `tunneld doctor`: would this tunnel work, and if not, what is to be done? Each server is logged in to once, by the code
//! that tunnels use; every step, key and forward becomes one check.
//!
//! ```text
//! files ──────────────────────────────────────────────► checks of files
//! turn (governor, how long the server asked the daemon to wait) ──► login ─► steps ─► login, auth   (pure: steps to checks)
//! session ─► ask: each forward's listen and target ───► facts ─► forwards               (pure: facts to checks)
//! ```
//! What a running daemon has is left alone: its listeners and remote ports count as held by the tunnel itself, and are
//! not asked for.

mod auth;
mod check;
mod clock;
mod daemon;
mod files;
mod forward_checks;
mod forward_results;
mod forwards;
mod host_key;
mod login;
mod refused;
mod sudo;
#[cfg(test)]
mod tests;

use futures_util::future::join_all;
use tunnel_engine::clock as time;
use tunnel_engine::examine::{self, LoginStep, RecordedLogin};
use tunnel_engine::failure::Failure;
use tunnel_engine::session::{IncomingChannels, Session};
use tunnel_engine::spec::SessionSpec;

pub use check::{Check, CheckResult, DoctorReport, Examined};
pub use daemon::DaemonView;

use crate::config::TunnelSpec;
use crate::servers::governor::Governor;

/// Addresses that a login did not need and that are connected to beside it: each counts as a login that has not begun.
const MAX_OTHERS: usize = 6;

/// Examines one tunnel. `governor` paces the logins of one run; `known` is what a running daemon says.
pub async fn examine(spec: &TunnelSpec, known: &DaemonView, governor: &Governor) -> Examined {
    let now = time::wall();
    let mut checks: Vec<Check> = known.account().into_iter().collect();
    checks.extend(files::checks(&spec.session, now).await);
    let mut opened = None;
    for server in spec.servers() {
        match log_in(server, known, governor, &mut checks).await {
            Some(session) if opened.is_none() => opened = Some((server, session)),
            Some((session, _)) => session.close().await,
            None => {}
        }
    }
    let certificates = checks.iter().any(|check| check.check == check::CERTIFICATE);
    match opened {
        Some((server, (session, incoming))) => {
            checks.push(clock::check(&session, certificates, now).await);
            let facts = forward_checks::all(spec, known, Some((&session, incoming))).await;
            checks.extend(forwards::checks(spec, server, &facts));
            session.close().await;
        }
        None => {
            let facts = forward_checks::all(spec, known, None).await;
            checks.extend(forwards::checks(spec, &spec.session, &facts));
        }
    }
    Examined { name: spec.name.clone(), server: spec.session.destination.to_string(), checks }
}

/// One login, in its turn.
async fn log_in(
    spec: &SessionSpec,
    known: &DaemonView,
    governor: &Governor,
    checks: &mut Vec<Check>,
) -> Option<(Session, IncomingChannels)> {
    match known.wait_for_turn(spec).await {
        Ok(waited) => checks.extend(waited),
        Err(refusal) => {
            checks.push(refusal);
            return None;
        }
    }
    let permit = governor.permit(spec, None).await;
    let RecordedLogin { steps, result } = examine::login(spec).await;
    permit.finish(&spec.destination.host_port(), result.as_ref().map(drop).map_err(Failure::kind));
    let failure = result.as_ref().err();
    let others = other_addresses(spec, &steps, failure.is_none()).await;
    let report = login::LoginReport { spec, steps: &steps, failure, others: &others };
    checks.extend(login::checks(&report));
    checks.extend(sudo::hint(spec, &steps, failure));
    result.ok()
}

/// The addresses that the login left alone, tried once each: a family that is broken costs every start a moment.
async fn other_addresses(
    spec: &SessionSpec,
    steps: &[examine::Noted],
    logged_in: bool,
) -> Vec<(std::net::SocketAddr, Result<(), String>)> {
    let first = login::route(spec).first().map(|first| first.destination.host_port());
    let of_first = || steps.iter().filter(|noted| Some(&noted.server) == first.as_ref());
    let resolved = of_first().find_map(|noted| {
        let LoginStep::Resolved(addresses) = &noted.step else { return None };
        Some(addresses.clone())
    });
    let was_tried = |address: &std::net::SocketAddr| {
        of_first().any(|noted| matches!(&noted.step, LoginStep::Tried(tried, _) if tried == address))
    };
    let spec = login::route(spec).first().copied().unwrap_or(spec);
    let others = resolved.unwrap_or_default().into_iter().filter(|address| logged_in && !was_tried(address));
    let tries = others.take(MAX_OTHERS).map(async |address| (address, examine::try_address(spec, address).await));
    join_all(tries).await
}
