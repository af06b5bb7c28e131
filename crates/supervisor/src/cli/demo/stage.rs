//! What the story plays on: the server, the echo service, and a supervisor that keeps one tunnel.

use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::demo_server::{DemoKey, Faults, Server};
use tunnel_engine::{clock, task};

use super::super::problem::Problem;
use super::script::DemoScript;
use crate::config::{self, Overrides};
use crate::os::{PidfileError, Signal};
use crate::protocol::status::TunnelStatus;
use crate::protocol::{Command, Request, Response};
use crate::supervise::{self, Setup};

/// What goes through the tunnel and back: more than any buffer on the way holds, and done in an instant.
const PAYLOAD: usize = 1 << 20;

/// How often the status of the tunnel is read: finer than the printed times.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct DemoStage {
    /// The SSH server's address.
    pub(super) server: SocketAddr,
    /// The echo service's address.
    pub(super) echo: SocketAddr,
    /// The tunnel's listener.
    pub(super) entrance: SocketAddr,
    machine: Server,
    commands: mpsc::Sender<Command>,
    signals: mpsc::Sender<Signal>,
    supervisor: AbortOnDropHandle<Result<(), PidfileError>>,
    seen: Option<String>,
    _echoing: AbortOnDropHandle<()>,
    _files: TempDir,
}

impl DemoStage {
    pub(super) async fn set() -> Result<Self, Problem> {
        let files = tempfile::Builder::new().prefix("tunneld-demo-").tempdir().map_err(Problem::Start)?;
        let machine = server(files.path()).await?;
        let server = machine.address().ok_or_else(|| Problem::No("the SSH server has no address".into()))?;
        let known = machine.known_hosts("127.0.0.1", server.port()).map_err(demo)?;
        std::fs::write(files.path().join("known_hosts"), known).map_err(Problem::Start)?;
        let (echo, echoing) = echo().await.map_err(Problem::Start)?;
        let entrance = free_address().await.map_err(Problem::Start)?;
        let text = config_text(server, entrance, echo);
        let file = files.path().join("demo.toml");
        let desired = config::load_text(&file, &text, &Overrides::default()).map_err(Problem::Config)?;
        let (commands, requests) = mpsc::channel(1);
        let (signals, received_signals) = mpsc::channel(1);
        let setup = Setup { commands: requests, signals: received_signals, ..Setup::fixed(desired) };
        let supervisor = task::owned(supervise::run(setup));
        Ok(Self {
            server,
            echo,
            entrance,
            machine,
            commands,
            signals,
            supervisor,
            seen: None,
            _echoing: echoing,
            _files: files,
        })
    }

    /// Waits until the condition holds of the tunnel; prints each change of its phase.
    pub(super) async fn until(
        &mut self,
        story: &mut DemoScript,
        condition: impl Fn(&TunnelStatus) -> bool,
    ) -> Result<TunnelStatus, Problem> {
        let mut polls = tokio::time::interval(POLL_INTERVAL);
        loop {
            polls.tick().await;
            let tunnel = self.poll(story).await?;
            if condition(&tunnel) {
                return Ok(tunnel);
            }
        }
    }

    /// Prints each change for so long.
    pub(super) async fn watch_for(&mut self, story: &mut DemoScript, span: Duration) -> Result<(), Problem> {
        let end = clock::now() + span;
        self.until(story, |_| clock::now() >= end).await.map(drop)
    }

    /// Orders faults from the server.
    pub(super) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.machine.set_faults(change);
    }

    /// Ends the session without a word, as a broken link does.
    pub(super) fn cut(&self) {
        self.machine.cut();
    }

    /// Through the tunnel and back, compared; how long it took.
    pub(super) async fn send_and_compare(&self) -> Result<Duration, Problem> {
        round_trip(self.entrance).await
    }

    /// The same, beginning now and ending when it can.
    pub(super) fn send_from_now_on(&self) -> AbortOnDropHandle<Result<Duration, Problem>> {
        task::owned(round_trip(self.entrance))
    }

    /// Stops the tunnel as SIGTERM stops the daemon.
    pub(super) async fn end(self) {
        // An error means that it has ended already.
        let _ = self.signals.send(Signal::Term).await;
        let _ = self.supervisor.await;
    }

    async fn poll(&mut self, story: &mut DemoScript) -> Result<TunnelStatus, Problem> {
        let (reply, answer) = oneshot::channel();
        let ended = || Problem::No("the supervisor ended".into());
        let request = Request::Status { names: vec![] };
        self.commands.send(Command { request, reply }).await.map_err(|_| ended())?;
        let Response::Status { status, .. } = answer.await.map_err(|_| ended())? else {
            return Err(Problem::Misunderstood);
        };
        let tunnel = status.tunnels.into_iter().next().ok_or_else(|| Problem::No("there is no tunnel".into()))?;
        let state = format!("phase {}, start {}", tunnel.phase, tunnel.starts);
        if self.seen.as_ref() != Some(&state) {
            story.note(&format!("{:>7.3} s  {state}", story.now().as_secs_f64()))?;
            self.seen = Some(state);
        }
        Ok(tunnel)
    }
}

/// Accepts the key in `folder`.
async fn server(folder: &Path) -> Result<Server, Problem> {
    let key = DemoKey::ed25519().map_err(demo)?;
    let path = folder.join("identity");
    std::fs::write(&path, key.private_openssh().map_err(demo)?).map_err(Problem::Start)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(Problem::Start)?;
    let public = key.public_openssh().map_err(demo)?;
    let builder = Server::builder().accept_key("demo", &public).map_err(demo)?;
    builder.start_tcp().await.map_err(Problem::Start)
}

fn demo(error: impl std::fmt::Display) -> Problem {
    Problem::No(error.to_string())
}

/// Paths are relative to the folder of the stage.
fn config_text(server: SocketAddr, entrance: SocketAddr, echo: SocketAddr) -> String {
    format!(
        "[[tunnel]]\n\
         name = \"demo\"\n\
         host = \"{}\"\n\
         port = {}\n\
         user = \"demo\"\n\
         identity_file = \"identity\"\n\
         identity_agent = \"none\"\n\
         user_known_hosts_file = \"known_hosts\"\n\
         backoff = {{ min = \"200ms\", max = \"1s\" }}\n\
         local_forward = [\"{entrance}:{echo}\"]\n",
        server.ip(),
        server.port(),
    )
}

async fn echo() -> io::Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let echoing = task::owned(async move {
        // A handful of connections in all, each ended with this task.
        let mut peers = tokio::task::JoinSet::new();
        while let Ok((mut peer, _)) = listener.accept().await {
            peers.spawn(async move {
                let (mut reader, mut writer) = peer.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    Ok((address, echoing))
}

/// Free a moment ago: a forward has to name its port.
async fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}

async fn round_trip(entrance: SocketAddr) -> Result<Duration, Problem> {
    let begun = clock::now();
    let lost = |error: io::Error| Problem::No(format!("bytes did not come through {entrance}: {error}"));
    let mut sent = vec![0; PAYLOAD];
    fastrand::fill(&mut sent);
    let mut stream = TcpStream::connect(entrance).await.map_err(lost)?;
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    };
    let mut received = Vec::with_capacity(PAYLOAD);
    let read = async { reader.read_to_end(&mut received).await.map(drop) };
    tokio::try_join!(write, read).map_err(lost)?;
    if received == sent {
        Ok(clock::now().saturating_duration_since(begun))
    } else {
        Err(Problem::No(format!("{} of {PAYLOAD} bytes came back, or others than were sent", received.len())))
    }
}
