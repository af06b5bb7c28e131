//! `demo`: a tunnel, its loss and its recovery, each line with its time. Needs no config, no network and no rights: the SSH
//! server is our own, on loopback, and the tunnel is kept by the very machinery that the daemon runs.

mod script;
mod stage;

use std::time::Duration;

use tunnel_engine::demo_server::ConnectFault;

use super::block_on;
use super::problem::Problem;
use crate::exit;
use crate::lifecycle::Phase;
use crate::protocol::status::TunnelStatus;
use script::{DemoScript, millis};
use stage::DemoStage;

/// All of it, on the slowest machine; then the demonstration has failed.
const LIMIT: Duration = Duration::from_secs(20);

/// How long the server is away: a few starts fail meanwhile, and the demo stays short.
const OUTAGE: Duration = Duration::from_millis(1500);

pub(super) fn run() -> Result<u8, Problem> {
    block_on(async {
        let limit = || Problem::No(format!("the demonstration was not over after {} s", LIMIT.as_secs()));
        tokio::time::timeout(LIMIT, play()).await.unwrap_or_else(|_| Err(limit()))?;
        Ok(exit::OK)
    })
}

async fn play() -> Result<(), Problem> {
    let mut story = DemoScript::begin();
    let mut stage = DemoStage::set().await?;
    story.print("all of it on this machine: an application, a tunnel, an SSH server, and behind it an echo service")?;
    story.note(&format!("the SSH server (our own) listens on {}, the echo service on {}", stage.server, stage.echo))?;
    let up = stage.until(&mut story, |tunnel| tunnel.ready).await?;
    story.print(&format!("the tunnel is ready: {} -> {} -> {}", stage.entrance, stage.server, stage.echo))?;
    story.note("(what applications connect to -> the SSH server -> the echo service)")?;
    story.note(&session(&up))?;
    let took = stage.send_and_compare().await?;
    story.print(&format!("1 MiB went through it and came back intact in {}", millis(took)))?;

    story.chapter("The link breaks, and the server is away")?;
    stage.faults(|faults| faults.connect = ConnectFault::Refuse);
    stage.cut();
    story.print("the server cuts the session, and refuses new ones from now on")?;
    let down = stage.until(&mut story, |tunnel| tunnel.phase != Phase::Up).await?;
    story.note(&failure(&down))?;
    let held = stage.send_from_now_on();
    story.print("an application connects meanwhile: the tunnel still listens, and holds the connection")?;
    stage.watch_for(&mut story, OUTAGE).await?;

    story.chapter("The server is back")?;
    stage.faults(|faults| faults.connect = ConnectFault::None);
    let back = story.now();
    story.print("the server takes sessions again")?;
    let up = stage.until(&mut story, |tunnel| tunnel.ready).await?;
    story.print(&format!(
        "the tunnel is ready again, {} later, by itself, with start {}",
        millis(story.now() - back),
        up.starts
    ))?;
    let waited = held.await.map_err(|_| Problem::No("the held connection was lost".into()))??;
    story.print(&format!("the held connection was carried after {}: 1 MiB, intact", millis(waited)))?;
    let took = stage.send_and_compare().await?;
    story.print(&format!("1 MiB over a new connection took {}: bytes flowed before and after", millis(took)))?;
    stage.end().await;
    story.print("the end: tunnel and servers are stopped, nothing is left behind")
}

fn session(tunnel: &TunnelStatus) -> String {
    let Some(session) = &tunnel.session else { return "no session".to_owned() };
    format!("{}, {}, host key {}", session.kex, session.cipher, session.host_key)
}

fn failure(tunnel: &TunnelStatus) -> String {
    let Some(failure) = &tunnel.last_failure else { return format!("phase {}", tunnel.phase) };
    format!("tunneld noticed: {} ({})", failure.message, failure.kind)
}
