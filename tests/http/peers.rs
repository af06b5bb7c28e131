//! What peers of the HTTP server cannot do: hold it up, fill it, or disturb a tunnel.

use std::io::{Read, Write};
use std::net::TcpStream;

use support::eventually;
use support::http::{get, request};
use support::net::{connect, echoes};
use support::patience::within;

use crate::Served;

/// More than the server keeps, and than a careless program leaves behind.
const IDLE: usize = 1000;

#[test]
fn thousand_idle_connections_lock_no_scraper_out() {
    let served = Served::start();
    let mut traffic = connect(served.port).expect("the forward accepts");
    let mut idle: Vec<TcpStream> = Vec::new();
    for count in 0..IDLE {
        idle.push(connect(served.http).expect("the server accepts"));
        if count % 100 == 0 {
            let answer = get(served.http, "/ready").expect("a scraper is answered");
            assert_eq!(answer.code, 200);
            traffic.write_all(b"ping").expect("the tunnel takes bytes");
            traffic.read_exact(&mut [0; 4]).expect("the tunnel gives bytes");
        }
    }
    let (first, descriptors) = (&mut idle[0], std::fs::read_dir(format!("/proc/{}/fd", served.daemon.pid())));
    assert!(descriptors.expect("its descriptors").count() < 200, "the idle ones are not kept");
    assert_eq!(first.read(&mut [0; 1]).unwrap_or(0), 0, "the oldest idle connection was closed");
    assert!(echoes(served.port));
}

#[test]
fn connection_that_asks_outlives_silent_ones() {
    let served = Served::start();
    let mut scraper = connect(served.http).expect("the server accepts");
    let ask = |scraper: &mut TcpStream| {
        scraper.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a question");
        let mut start = [0; 12];
        scraper.read_exact(&mut start).expect("it answers");
        assert_eq!(&start, b"HTTP/1.1 200");
    };
    ask(&mut scraper);
    let silent: Vec<TcpStream> = (0..200).map(|_| connect(served.http).expect("the server accepts")).collect();
    assert_eq!(get(served.http, "/ready").expect("an answer").code, 200);
    let mut rest = [0; 4096];
    let read = scraper.read(&mut rest).expect("the rest of the first answer");
    assert!(read > 0);
    ask(&mut scraper);
    drop(silent);
}

#[test]
fn long_headers_are_refused() {
    let served = Served::start();
    let long = format!("GET /ready HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("GET /ready HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(500));
    for text in [long, many] {
        let code = request(served.http, &text).map(|answer| answer.code);
        assert!(matches!(code, None | Some(431)), "{code:?}");
    }
    assert_eq!(get(served.http, "/ready").expect("an answer").code, 200);
}

#[test]
fn nonsense_ends_its_own_connection_only() {
    let served = Served::start();
    for nonsense in ["\u{1}\u{2}\u{3}\r\n\r\n", "SSH-2.0-x\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET\r\n\r\n"] {
        let code = request(served.http, nonsense).map(|answer| answer.code);
        assert!(code.is_none_or(|code| (400..=505).contains(&code)), "{nonsense:?}: {code:?}");
    }
    assert!(echoes(served.port));
    assert_eq!(get(served.http, "/ready").expect("an answer").code, 200);
}

#[test]
fn reader_that_never_reads_is_cut() {
    let served = Served::start();
    let mut stranger = connect(served.http).expect("the server accepts");
    stranger.set_nonblocking(true).expect("a mode");
    let questions = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    // It asks until neither side takes any more, and reads nothing.
    let mut asked = 0_usize;
    let full = within(std::time::Duration::from_secs(20), || match stranger.write(questions.as_bytes()) {
        Ok(sent) => {
            asked += sent;
            None
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        Err(_) => Some(()),
    });
    assert!(full.is_some(), "it is still served after {asked} bytes of questions");
    assert!(echoes(served.port));
    assert_eq!(get(served.http, "/ready").expect("an answer").code, 200);
    eventually("its descriptor is closed", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", served.daemon.pid())).ok()?.count();
        (open < 60).then_some(())
    });
}
