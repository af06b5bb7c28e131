//! What happens to one connection, from the first byte to the last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::server::Handle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::faults::{ConnectFault, Faults};
use super::handler::DemoHandler;
use super::link::{self, PIPE_BYTES};
use super::server::{DemoShared, SessionOrder};

/// How long a client that is turned away may take to hang up, so that no reset overtakes what it was told.
const PARTING: Duration = Duration::from_secs(1);

/// Serves one client until it goes, is cut, or the server ends.
pub(super) async fn serve<S>(shared: Arc<DemoShared>, client: S, peer: Option<SocketAddr>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    shared.counts.change(|counts| counts.connections += 1);
    let _now = shared.counts.hold(|counts| &mut counts.connections_now);
    let token = shared.session_token();
    let faults = shared.faults.subscribe();
    let fault = faults.borrow().connect.clone();
    let gone = token.clone();
    let life = async {
        match fault {
            // A client of a server that refuses does not come here, but for one that was connecting.
            ConnectFault::Refuse => {}
            ConnectFault::None => speak_ssh(shared, client, peer, token).await,
            ConnectFault::Lost | ConnectFault::Silent => hold(client, faults, "").await,
            ConnectFault::StallInKeyExchange => hold(client, faults, "SSH-2.0-tunneld-demo\r\n").await,
            ConnectFault::SayAndClose(text) => say_and_close(client, &text).await,
        }
    };
    gone.run_until_cancelled(life).await;
}

async fn speak_ssh<S>(shared: Arc<DemoShared>, client: S, peer: Option<SocketAddr>, token: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (link_end, server_end) = tokio::io::duplex(PIPE_BYTES);
    let wire = link::carry(client, link_end, shared.faults.subscribe());
    // The wire ends with this future: what russh left in it still arrives, as no other task holds the other end.
    let session = async {
        let mut orders = shared.orders.subscribe();
        let ended = token.child_token();
        let handler = DemoHandler::new(shared.clone(), peer, ended.clone());
        let _ended = ended.drop_guard();
        let started = russh::server::run_stream(Arc::new(shared.config()), server_end, handler).await;
        let Ok(mut session) = started else { return };
        let handle = session.handle();
        loop {
            tokio::select! {
                _ = &mut session => return,
                order = orders.recv() => match order {
                    Ok(SessionOrder::Goodbye { code, text }) => if let Ok(reason) = code.try_into() {
                        // The session may have ended by itself.
                        let _ = handle.disconnect(reason, text, String::new()).await;
                    },
                    Ok(SessionOrder::Flood { times }) => flood(&handle, times).await,
                    Err(_) => {}
                },
            }
        }
    };
    let _ = tokio::join!(wire, session);
}

/// Says `first` and nothing else, until the fault is taken back.
async fn hold<S>(mut client: S, mut faults: watch::Receiver<Faults>, first: &str)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if client.write_all(first.as_bytes()).await.is_err() {
        return;
    }
    let mut sink = [0; 4096];
    loop {
        tokio::select! {
            changed = faults.changed() => match changed {
                Ok(()) if faults.borrow().connect != ConnectFault::None => {}
                Ok(()) | Err(_) => return,
            },
            read = client.read(&mut sink) => if read.unwrap_or(0) == 0 { return },
        }
    }
}

async fn say_and_close<S>(mut client: S, text: &str)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let parting = async {
        client.write_all(format!("{text}\r\n").as_bytes()).await?;
        client.shutdown().await?;
        let mut sink = [0; 4096];
        while client.read(&mut sink).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // A client that does not hang up in time is dropped.
    let _ = tokio::time::timeout(PARTING, parting).await;
}

/// Global requests that no client serves, and channels of every kind that no client asked for, `times` over. Each waits
/// for the answer to the one before. Ends early with the session.
async fn flood(handle: &Handle, times: u32) {
    for _ in 0..times {
        let refused = [
            handle.forward_tcpip("127.0.0.1".to_owned(), 1).await.is_err(),
            handle.channel_open_session().await.is_err(),
            handle.channel_open_agent().await.is_err(),
            handle.channel_open_x11("127.0.0.1", 1).await.is_err(),
            handle.channel_open_direct_tcpip("127.0.0.1", 1, "127.0.0.1", 1).await.is_err(),
            handle.channel_open_forwarded_tcpip("nowhere", 1, "127.0.0.1", 1).await.is_err(),
            handle.channel_open_forwarded_streamlocal("/nowhere").await.is_err(),
        ];
        debug_assert!(refused.into_iter().all(|refused| refused), "a client that accepts what it never asked for");
    }
}
