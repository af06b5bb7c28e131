//! The loop and the echo against peers that do well, badly, and nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tunnel_engine::task;

use super::*;

/// Virtual, under a paused clock.
const LIMIT: Duration = Duration::from_secs(15);
const TIMES: MonitorTimes = MonitorTimes { first_poll: LIMIT, poll: LIMIT, net_timeout: LIMIT };

fn form() -> MessageForm {
    MessageForm { host: "vm".into(), program: "autossh".into(), pid: 1, message: String::new() }
}

fn log(dir: &tempfile::TempDir) -> Arc<Log> {
    Arc::new(Log::to_file("autossh", &dir.path().join("log"), 7))
}

fn said(dir: &tempfile::TempDir) -> String {
    std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
}

/// A monitor whose ports the kernel chose, and the listener in place of the local forward.
async fn rig(dir: &tempfile::TempDir) -> (Monitor, TcpListener, u16) {
    let forward = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, read) = (forward.local_addr().unwrap().port(), listener.local_addr().unwrap().port());
    let monitor = Monitor { port, listener: Some(listener), times: TIMES, form: form(), log: log(dir) };
    (monitor, forward, read)
}

/// Carries one connection, as the two forwards do.
async fn carry(forward: TcpListener, read: u16) {
    let (mut from, _) = forward.accept().await.unwrap();
    let mut to = TcpStream::connect(("127.0.0.1", read)).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
}

#[test]
fn a_line_is_the_one_that_autossh_sends() {
    let mut form =
        MessageForm { host: "vm".into(), program: "autossh".into(), pid: 15393, message: "hello world".into() };
    assert_eq!(form.line(766_324_678), b"vm autossh 15393 766324678 hello world\r\n");
    form.message.clear();
    assert_eq!(form.line(1), b"vm autossh 15393 1 \r\n");
}

#[tokio::test]
async fn a_line_that_comes_round_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let (monitor, forward, read) = rig(&dir).await;
    let _carrier = task::owned(carry(forward, read));
    assert!(monitor.test().await);
    assert!(said(&dir).contains("connection ok"));
}

#[tokio::test]
async fn foreign_connection_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let (monitor, forward, read) = rig(&dir).await;
    let mut stranger = TcpStream::connect(("127.0.0.1", read)).await.unwrap();
    stranger.write_all(&[b'x'; 64]).await.unwrap();
    let _carrier = task::owned(carry(forward, read));
    assert!(monitor.test().await);
    assert!(said(&dir).contains("\" : \"xxx"), "{}", said(&dir));
}

#[tokio::test]
async fn missing_forward_counts_as_a_port_down() {
    let dir = tempfile::tempdir().unwrap();
    let (monitor, forward, _) = rig(&dir).await;
    drop(forward);
    assert!(!monitor.test().await);
    assert!(said(&dir).contains(&format!("127.0.0.1:{}: Connection refused", monitor.port)), "{}", said(&dir));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_swallows_is_given_up_after_the_net_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let (monitor, _forward, _) = rig(&dir).await;
    let began = clock::now();
    assert!(!monitor.test().await);
    assert_eq!((clock::now() - began).as_secs(), LIMIT.as_secs());
    assert!(said(&dir).contains("timeout polling to accept read connection"));
}

#[tokio::test]
async fn an_echo_service_says_the_line_back_on_the_same_connection() {
    let dir = tempfile::tempdir().unwrap();
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = service.local_addr().unwrap().port();
    let monitor = Monitor { port, listener: None, times: TIMES, form: form(), log: log(&dir) };
    let _service = task::owned(async move {
        let (mut stream, _) = service.accept().await.unwrap();
        let mut buffer = [0; 256];
        let n = stream.read(&mut buffer).await.unwrap();
        stream.write_all(&buffer[..n]).await.unwrap();
        let _closed_at_once = service.accept().await.unwrap();
    });
    assert!(monitor.test().await);
    assert!(!monitor.test().await);
    // As the kernel ends it: with unread bytes, or before they came.
    let ends = ["error on poll: ", "tried connection 3 times and failed"];
    assert!(ends.iter().any(|end| said(&dir).contains(end)), "{}", said(&dir));
}

#[test]
fn the_forwards_are_those_that_autossh_gives_to_ssh() {
    let texts =
        |port| forwards(port).iter().map(|forward| format!("{} {forward}", forward.kind.as_str())).collect::<Vec<_>>();
    assert_eq!(texts(MonitorPort::Off), [""; 0]);
    assert_eq!(
        texts(MonitorPort::Loop { port: 20000 }),
        ["local 20000:127.0.0.1:20000", "remote 20000:127.0.0.1:20001"]
    );
    assert_eq!(texts(MonitorPort::Echo { port: 20000, echo: 7 }), ["local 20000:127.0.0.1:7"]);
}

#[tokio::test]
async fn a_read_port_that_is_taken_is_told_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let read = holder.local_addr().unwrap().port();
    let bound = Monitor::bind(MonitorPort::Loop { port: read - 1 }, TIMES, form(), log(&dir));
    let error = bound.err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(error, format!("bind on 127.0.0.1:{read}: Address already in use"));
}
