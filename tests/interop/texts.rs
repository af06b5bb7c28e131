//! Texts of the server's that are not UTF-8: shown as far as they can be read, and of no other consequence.

use std::io::{Read as _, Write as _};

use support::net::{connect, free_port};
use support::{Daemon, OddServer};

/// `accès refusé` in Latin-1, as it is shown.
const SHOWN: &str = "acc\u{fffd}s refus\u{fffd}";

#[test]
fn login_banner_in_any_encoding_is_no_obstacle() {
    for encoding in ["latin-1", "cp1251", "gbk"] {
        let server = OddServer::start(&["banner", encoding]);
        let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{}:x:1\"]", free_port())));
        daemon.wait_ready("t");
    }
}

#[test]
fn question_in_any_encoding_is_a_question() {
    for encoding in ["latin-1", "gbk"] {
        let server = OddServer::start(&["prompt", encoding]);
        let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{}:x:1\"]", free_port())));
        let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
        assert_eq!(tunnel["last_failure"]["kind"], "auth_rejected", "there is no answer to it: {tunnel:#}");
    }
}

#[test]
fn refusal_in_latin_1_is_told_and_its_session_lives() {
    let server = OddServer::start(&["refuse"]);
    let port = free_port();
    let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{port}:down.example:3306\"]")));
    daemon.wait_ready("t");
    for _ in 0..3 {
        let mut user = connect(port).expect("the forward accepts");
        assert!(matches!(user.read(&mut [0]), Ok(0) | Err(_)), "refused");
    }
    let told = |tunnel: &serde_json::Value| {
        let refused = tunnel["forwards"][0]["last_refused"].as_array().expect("a list");
        refused.iter().filter(|one| one["message"].as_str().is_some_and(|message| message.contains(SHOWN))).count() == 3
    };
    let tunnel = daemon.wait_for("t", "told", told);
    assert_eq!((&tunnel["phase"], &tunnel["starts"]), (&"up".into(), &1.into()), "{tunnel:#}");
}

#[test]
fn goodbye_in_latin_1_is_told_and_retried() {
    let mut server = OddServer::start(&[]);
    let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{}:x:1\"]", free_port())));
    daemon.wait_ready("t");
    server.order("goodbye");
    let tunnel = daemon.wait_for("t", "up again", |tunnel| tunnel["starts"] == 2 && tunnel["ready"] == true);
    let failure = &tunnel["last_failure"];
    assert_eq!(failure["kind"], "closed_by_server", "{failure:#}");
    assert!(failure["message"].as_str().is_some_and(|message| message.contains(SHOWN)), "{failure:#}");
}

#[test]
fn login_without_a_readable_word_is_a_login() {
    let server = OddServer::with_unreadable_logins();
    let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{}:x:1\"]", free_port())));
    let tunnel = daemon.wait_ready("t");
    assert_eq!(tunnel["starts"], 1, "{tunnel:#}");
}

#[test]
fn names_and_messages_that_no_client_reads_end_no_connection() {
    let mut server = OddServer::start(&[]);
    let port = free_port();
    let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{port}:x:1\"]")));
    daemon.wait_ready("t");
    let mut user = connect(port).expect("the forward accepts");
    let mut echo = |word: &[u8; 4]| {
        let mut back = [0; 4];
        user.write_all(word).and_then(|()| user.read_exact(&mut back)).expect("an echo");
        assert_eq!(&back, word);
    };
    echo(b"once");
    server.order("unreadable");
    echo(b"more");
    let tunnel = daemon.wait_ready("t");
    assert_eq!((&tunnel["starts"], &tunnel["last_failure"]), (&1.into(), &serde_json::Value::Null), "{tunnel:#}");
}
