//! Remote forwards: asking, connections that come in, taking back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tunnel_engine::session::{ChannelRead, ChannelWrite, ForwardError, Inbound, RejectReason, RemoteListen};
use tunnel_engine::spec::{Bind, Listen};

use super::{counted, open, pause, server};

fn listen(bind: Bind, port: u16) -> Listen {
    Listen::Tcp { bind, port }
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_the_server_is_handed_over_and_carried() {
    let server = server();
    let (session, mut incoming) = open(&server).await;
    assert_eq!(session.request_forward(&listen(Bind::Default, 4000)).await, Ok(Some(4000)));
    let mut there = server.connect_forward(4000).expect("listening");
    let here = incoming.recv().await.expect("connection");
    assert_eq!(here.listen, RemoteListen::Tcp { address: "localhost".to_owned(), port: 4000 });
    let mut channel = here.accept().expect("session");
    there.write_all(b"ping").await.expect("room");
    assert_eq!(channel.reader.read().await, Inbound::Data("ping".into()));
    channel.writer.write("pong".into()).await.expect("room");
    let mut answer = [0; 4];
    there.read_exact(&mut answer).await.expect("answer");
    assert_eq!(&answer, b"pong");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_the_server_chooses_is_told_before_its_first_connection_comes() {
    let server = server();
    let (session, mut incoming) = open(&server).await;
    let told = Arc::new(Mutex::new(None));
    let note = told.clone();
    let port = session
        .request_forward_then(&listen(Bind::Any, 0), move |port| *note.lock().expect("lock") = port)
        .await
        .expect("listening")
        .expect("port");
    assert_ne!(port, 0);
    assert_eq!(*told.lock().expect("lock"), Some(port));
    let _there = server.connect_forward(port).expect("listening");
    let here = incoming.recv().await.expect("connection");
    assert_eq!(here.listen, RemoteListen::Tcp { address: String::new(), port });
    here.reject(RejectReason::ConnectFailed);
    assert_eq!(session.cancel_forward(&listen(Bind::Any, port)).await, Ok(()));
    assert!(server.connect_forward(port).is_none());
}

#[tokio::test(start_paused = true)]
async fn unix_sockets_on_the_server_work_the_same() {
    let server = server();
    let (session, mut incoming) = open(&server).await;
    let path = Listen::Unix("/run/there.sock".into());
    assert_eq!(session.request_forward(&path).await, Ok(None));
    let _there = server.connect_forward_unix("/run/there.sock").expect("listening");
    let here = incoming.recv().await.expect("connection");
    assert_eq!(here.listen, RemoteListen::Unix("/run/there.sock".to_owned()));
    assert_eq!(session.cancel_forward(&path).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_says_what_was_refused() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    server.set_faults(|faults| faults.deny_forwards = true);
    let refused = session.request_forward(&listen(Bind::Default, 4000)).await;
    assert_eq!(refused, Err(ForwardError::Refused { listen: "4000".to_owned(), reason: None }));
}

#[tokio::test(start_paused = true)]
async fn a_yes_that_comes_too_late_is_taken_back() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    server.set_faults(|faults| faults.hold_forwards = true);
    let late = session.request_forward(&listen(Bind::Default, 4000)).await;
    assert_eq!(late, Err(ForwardError::Timeout { listen: "4000".to_owned() }));
    server.set_faults(|faults| faults.hold_forwards = false);
    counted(&server, "no listener", |counts| counts.forward_requests >= 1 && counts.forwards_now == 0).await;
    pause(Duration::from_secs(1)).await;
    assert!(server.connect_forward(4000).is_none());
}
