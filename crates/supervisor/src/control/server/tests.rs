//! The control socket: requests, nonsense, bounds.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use super::*;

/// A server whose supervisor answers `Done` to everything, except that it keeps every `Wait` for ever.
struct ControlLab {
    runtime: Runtime,
    server: ControlServer,
    path: PathBuf,
    history: Recorder,
    kept: mpsc::Receiver<oneshot::Sender<Response>>,
    _dir: TempDir,
}

impl ControlLab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _context = runtime.enter();
        let (commands, mut requests) = mpsc::channel::<Command>(1);
        let history = Recorder::default();
        let (keep, kept) = mpsc::channel(MAX_CLIENTS + 1);
        let server = ControlServer::start(
            ControlSocket::bind(&path).unwrap(),
            commands,
            history.clone(),
            PathWatcher::default(),
        )
        .unwrap();
        drop(task::detached(async move {
            while let Some(command) = requests.recv().await {
                if let Request::Wait { .. } = command.request {
                    keep.send(command.reply).await.unwrap();
                } else {
                    let _ = command.reply.send(Response::Done);
                }
            }
        }));
        drop(_context);
        Self { runtime, server, path, history, kept, _dir: dir }
    }

    fn alive(&self) -> bool {
        super::super::ask(&self.path, Request::Reload).unwrap() == Response::Done
    }
}

async fn say(path: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    // What was not read of us reads here as a reset after the answer.
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.is_ok_and(|length| length > 0) {}
    String::from_utf8(answer).unwrap()
}

fn error_code(answer: &str) -> Option<ErrorCode> {
    let line = serde_json::from_str::<ResponseLine>(answer).ok()?;
    if let Response::Error { code, .. } = line.response { Some(code) } else { None }
}

const WAIT: &[u8] = b"{\"version\":1,\"request\":{\"verb\":\"wait\",\"names\":[\"a\"],\"timeout_ms\":60000}}\n";

#[test]
fn a_request_is_answered() {
    let lab = ControlLab::new();
    assert!(lab.alive());
}

#[test]
fn any_bytes_get_an_error_and_the_server_lives_on() {
    let lab = ControlLab::new();
    proptest!(ProptestConfig::with_cases(64), |(bytes in proptest::collection::vec(any::<u8>(), 1..2000))| {
        let answer = lab.runtime.block_on(say(&lab.path, &bytes));
        prop_assert_eq!(error_code(&answer), Some(ErrorCode::BadRequest), "{}", answer);
    });
    assert!(lab.alive());
}

#[test]
fn json_that_is_not_a_request_gets_an_error() {
    let lab = ControlLab::new();
    for text in
        ["{}", "[]", "null", "{\"version\":1}", "{\"version\":1,\"request\":{\"verb\":\"x\"}}", &"[".repeat(9000)]
    {
        let answer = lab.runtime.block_on(say(&lab.path, format!("{text}\n").as_bytes()));
        assert_eq!(error_code(&answer), Some(ErrorCode::BadRequest), "{text}: {answer}");
    }
    assert!(lab.alive());
}

#[test]
fn a_line_without_end_is_cut_at_the_bound() {
    let lab = ControlLab::new();
    let answer = lab.runtime.block_on(say(&lab.path, &vec![b'x'; MAX_REQUEST_BYTES * 4]));
    assert_eq!(error_code(&answer), Some(ErrorCode::BadRequest), "{answer}");
    assert!(lab.alive());
}

#[test]
fn another_version_is_told_so_whatever_it_asks() {
    let lab = ControlLab::new();
    let answer = lab.runtime.block_on(say(&lab.path, b"{\"version\":9,\"request\":{\"verb\":\"unheard of\"}}\n"));
    assert_eq!(error_code(&answer), Some(ErrorCode::VersionMismatch), "{answer}");
}

#[test]
fn a_supervisor_that_drops_the_request_reads_as_stopping() {
    let mut lab = ControlLab::new();
    let path = lab.path.clone();
    let asked = lab.runtime.spawn(async move { say(&path, WAIT).await });
    drop(lab.kept.blocking_recv().unwrap());
    let answer = lab.runtime.block_on(asked).unwrap();
    assert_eq!(error_code(&answer), Some(ErrorCode::Stopping), "{answer}");
}

#[test]
fn closed_client_frees_its_slot_half_closed_one_keeps_it() {
    let mut lab = ControlLab::new();
    let (stay, leave) = lab.runtime.block_on(async {
        let mut stay = UnixStream::connect(&lab.path).await.unwrap();
        stay.write_all(WAIT).await.unwrap();
        stay.shutdown().await.unwrap();
        let kept = lab.kept.recv().await.unwrap();
        let mut leave = UnixStream::connect(&lab.path).await.unwrap();
        leave.write_all(WAIT).await.unwrap();
        let mut lost = lab.kept.recv().await.unwrap();
        drop(leave);
        lost.closed().await;
        assert!(!kept.is_closed());
        (stay, kept)
    });
    leave.send(Response::Done).unwrap();
    let answer = lab.runtime.block_on(async move {
        let mut stay = stay;
        let mut text = String::new();
        stay.read_to_string(&mut text).await.unwrap();
        text
    });
    assert!(answer.contains("done"), "{answer}");
}

#[test]
fn one_client_too_many_is_told_and_the_others_stay() {
    let mut lab = ControlLab::new();
    let _held: Vec<_> = lab.runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..MAX_CLIENTS {
            let mut stream = UnixStream::connect(&lab.path).await.unwrap();
            stream.write_all(WAIT).await.unwrap();
            held.push((stream, lab.kept.recv().await.unwrap()));
        }
        held
    });
    let answer = lab.runtime.block_on(say(&lab.path, WAIT));
    assert_eq!(error_code(&answer), Some(ErrorCode::Busy), "{answer}");
}

#[test]
fn the_socket_is_gone_when_the_server_is() {
    let lab = ControlLab::new();
    let path = lab.path.clone();
    assert!(path.exists());
    drop(lab.server);
    assert!(!path.exists());
}

#[test]
fn only_root_and_our_own_user_may_ask() {
    assert!(permitted(0, 1000));
    assert!(permitted(1000, 1000));
    assert!(!permitted(1001, 1000));
    assert!(!permitted(1000, 0));
}

const FOLLOW: &[u8] = b"{\"version\":1,\"request\":{\"verb\":\"events\",\"follow\":true}}\n";

fn event(number: usize) -> crate::history::Event {
    let message = format!("{number} {}", "x".repeat(250));
    crate::history::Event::of_daemon(crate::history::EventName::Network, &message, clock::wall())
}

#[test]
fn slow_follower_of_the_socket_learns_what_it_missed() {
    let lab = ControlLab::new();
    lab.history.push(event(0));
    lab.runtime.block_on(async {
        let mut stream = BufReader::new(UnixStream::connect(&lab.path).await.unwrap());
        stream.write_all(FOLLOW).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert!(line.contains("done"), "{line}");
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        assert!(line.contains("\"message\":\"0 "), "{line}");
        // More than its place in the stream and the socket's buffers hold.
        (1..20_000).for_each(|number| lab.history.push(event(number)));
        let (mut read, mut dropped) = (0, 0);
        while read + dropped < 19_999 {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            let event: crate::history::Event = serde_json::from_str(&line).unwrap();
            if event.event == crate::history::EventName::Dropped {
                dropped += event.message.split(' ').next().unwrap().parse::<usize>().unwrap();
            } else {
                read += 1;
            }
        }
        assert!(dropped > 10_000 && line.contains("\"message\":\"19999 "), "{dropped}: {line}");
    });
    assert!(lab.alive());
}

#[test]
fn followers_leave_room_for_other_requests() {
    let lab = ControlLab::new();
    lab.runtime.block_on(async {
        let mut followers = Vec::new();
        for _ in 0..MAX_FOLLOWERS {
            let mut stream = BufReader::new(UnixStream::connect(&lab.path).await.unwrap());
            stream.write_all(FOLLOW).await.unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            followers.push(stream);
        }
        assert_eq!(error_code(&say(&lab.path, FOLLOW).await), Some(ErrorCode::Busy));
    });
    assert!(lab.alive());
}
