//! Texts of the server's that are not UTF-8.

use support::net::{connect, free_port};
use support::{Daemon, OddServer, eventually};

#[test]
fn login_text_that_is_not_utf8_blocks_and_says_what_to_change() {
    for (says, encoding) in [("banner", "latin-1"), ("prompt", "latin-1"), ("banner", "cp1251"), ("prompt", "gbk")] {
        let server = OddServer::start(&[says, encoding]);
        let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{}:x:1\"]", free_port())));
        let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
        let failure = &tunnel["last_failure"];
        assert_eq!(failure["kind"], "login_text_encoding", "{encoding} {tunnel:#}");
        assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("Banner none")), "{failure:#}");
    }
}

#[test]
fn refusal_in_latin_1_names_the_connection_and_is_retried() {
    let server = OddServer::start(&["refuse"]);
    let port = free_port();
    let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{port}:down.example:3306\"]")));
    daemon.wait_ready("t");
    let _user = connect(port).expect("the forward accepts");
    eventually("the session ended", || daemon.log().contains("kind=text_encoding").then_some(()));
    assert!(daemon.log().contains("`down.example:3306`"), "{}", daemon.log());
    assert!(daemon.log().contains("retry_in"), "not at once\n{}", daemon.log());
}

#[test]
fn goodbye_in_latin_1_is_retried() {
    let mut server = OddServer::start(&[]);
    let daemon = Daemon::start(&server.tunnel(&format!("local_forward = [\"{}:x:1\"]", free_port())));
    daemon.wait_ready("t");
    server.order("goodbye");
    daemon.wait_for("t", "up again", |tunnel| tunnel["starts"] == 2 && tunnel["ready"] == true);
    assert!(daemon.log().contains("kind=text_encoding"), "{}", daemon.log());
}
