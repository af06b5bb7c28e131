//! Each route, and what is no route.

use nix::sys::signal::Signal;
use serde_json::Value;
use support::eventually;
use support::http::{get, request};

use crate::{Served, nowhere};

#[test]
fn ready_follows_the_tunnels_and_says_why_not() {
    let served = Served::with(&nowhere("far", "enabled = false"));
    let answer = get(served.http, "/ready").expect("an answer");
    assert_eq!((answer.code, &answer.json()["ready"]), (200, &Value::Bool(true)), "{answer:?}");
    assert_eq!(answer.json()["tunnels"], 1, "the disabled one does not count");
    assert_eq!(get(served.http, "/ready/t").expect("an answer").code, 200);
    let disabled = get(served.http, "/ready/far").expect("an answer");
    assert_eq!(disabled.code, 503);
    assert_eq!(disabled.json()["not_ready"][0]["want"], "down");
    let Served { sshd, daemon, http, .. } = served;
    drop(sshd);
    let answer = eventually("the lost server is told", || {
        get(http, "/ready").filter(|answer| answer.code == 503 && answer.body.contains("connect_refused"))
    });
    let why = answer.json();
    assert_eq!(why["not_ready"][0]["name"], "t");
    assert!(why["not_ready"][0]["message"].as_str().is_some_and(|text| text.contains("127.0.0.1:")), "{why}");
    assert!(why["not_ready"][0]["hint"].as_str().is_some_and(|text| !text.is_empty()), "{why}");
    assert_eq!(get(http, "/ready/t").expect("an answer").code, 503);
    // What a script sees is the same.
    assert_eq!(daemon.cli(&["status", "t"]).status.code(), Some(1));
    assert_eq!(daemon.cli(&["wait", "t", "--timeout", "0"]).status.code(), Some(1));
}

#[test]
fn unknown_tunnel_is_404_with_the_nearest_name() {
    let served = Served::start();
    let answer = get(served.http, "/ready/tt").expect("an answer");
    assert_eq!(answer.code, 404);
    let error = answer.json()["error"].as_str().expect("an error").to_owned();
    assert!(error.contains("no tunnel is named `tt`"), "{error}");
}

#[test]
fn status_is_that_of_the_command() {
    let served = Served::start();
    let answer = get(served.http, "/status").expect("an answer");
    assert_eq!((answer.code, answer.field("content-type")), (200, Some("application/json")));
    let (over_http, printed) = (answer.json(), served.daemon.status().expect("a status"));
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&over_http), keys(&printed));
    assert_eq!(keys(&over_http["tunnels"][0]), keys(&printed["tunnels"][0]));
    assert_eq!(over_http["tunnels"][0]["starts"], 1);
}

#[test]
fn only_questions_to_known_paths_are_answered() {
    let served = Served::start();
    let ask = |line: &str| {
        let text = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        request(served.http, &text).expect("an answer")
    };
    for path in ["/nothing", "/ready/", "/../etc/passwd", "/status/t"] {
        assert_eq!(ask(&format!("GET {path}")).code, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = ask(&format!("{method} /status"));
        assert_eq!((answer.code, answer.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let (head, whole) = (ask("HEAD /ready"), ask("GET /ready"));
    assert_eq!((head.code, head.body.as_str()), (200, ""));
    assert_eq!(head.field("content-length"), whole.field("content-length"));
    assert_eq!(ask("GET /ready?verbose=1").code, 200);
}

#[test]
fn every_answer_forbids_what_a_browser_need_not_do() {
    let served = Served::start();
    for path in ["/ready", "/status", "/nothing"] {
        let answer = get(served.http, path).expect("an answer");
        let policy = answer.field("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.field("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn another_sites_name_is_refused() {
    let served = Served::start();
    let by = |host: &str| {
        let text = format!("GET /status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        request(served.http, &text).expect("an answer")
    };
    for host in ["rebound.example", "rebound.example:9469", "127.0.0.1.rebound.example"] {
        let answer = by(host);
        assert_eq!(answer.code, 421, "{host}");
        assert!(!answer.body.contains("tunnels"), "{answer:?}");
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]"] {
        assert_eq!(by(host).code, 200, "{host}");
    }
    let absolute = "GET http://rebound.example/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(request(served.http, absolute).expect("an answer").code, 421);
}

#[test]
fn stopping_daemon_is_not_ready() {
    let served = Served::with("[defaults]\n");
    served.daemon.signal(Signal::SIGTERM);
    eventually("it is gone, or says that it is not ready", || match get(served.http, "/ready") {
        None => Some(()),
        Some(answer) => (answer.code == 503).then_some(()),
    });
}
