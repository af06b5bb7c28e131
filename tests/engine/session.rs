//! Sessions against the in-process server in memory, on tokio's paused clock: seconds here cost nothing.

mod channels;
mod handshake;
mod keepalive;
mod path;
mod readers;
mod remote;
mod transfer;

use std::time::Duration;

use tunnel_engine::clock;
use tunnel_engine::demo_server::{Counts, Server};
use tunnel_engine::session::{Channel, ChannelRead, Inbound, IncomingChannels, OpenError, Originator, Session};
use tunnel_engine::spec::{Connect, Destination, SessionSpec, StrictHostKeyChecking};

/// Virtual time; nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(600);

/// A server that takes `tester` without proof.
fn server() -> Server {
    Server::builder().accept_none("tester").start_memory().expect("server")
}

/// A session to anything in memory, without proof and without keepalive.
fn spec() -> SessionSpec {
    let mut spec = SessionSpec::to(Destination { user: "tester".to_owned(), host: "server".to_owned(), port: 22 });
    spec.host_key.strict = StrictHostKeyChecking::No;
    spec.timing.server_alive_interval = Duration::ZERO;
    spec
}

async fn open(server: &Server) -> (Session, IncomingChannels) {
    open_with(server, &spec()).await
}

async fn open_with(server: &Server, spec: &SessionSpec) -> (Session, IncomingChannels) {
    Session::open(spec, &server.dialer()).await.expect("session")
}

async fn channel(session: &Session, host: &str, port: u16) -> Result<Channel, OpenError> {
    let target = Connect::Tcp { host: host.to_owned(), port };
    session.open_direct(&target, &Originator::unknown()).await
}

/// Everything up to the end of the stream, and how it ended.
async fn read_all(reader: &mut impl ChannelRead) -> (Vec<u8>, Inbound) {
    let mut all = Vec::new();
    loop {
        match reader.read().await {
            Inbound::Data(bytes) => all.extend_from_slice(&bytes),
            end @ (Inbound::Eof | Inbound::Closed | Inbound::Lost) => return (all, end),
        }
    }
}

/// Waits until the server has counted so.
async fn counted(server: &Server, what: &str, wanted: impl Fn(&Counts) -> bool) -> Counts {
    let mut counts = server.watch_counts();
    let reached = tokio::time::timeout(PATIENCE, counts.wait_for(|counts| wanted(counts))).await;
    *reached.unwrap_or_else(|_| panic!("{what}: {:?}", server.counts())).expect("server")
}

/// Lets this much of the paused clock's time go by.
async fn pause(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// How long `future` takes, in the paused clock's time.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = clock::now();
    let value = future.await;
    (value, clock::now().saturating_duration_since(start))
}
