//! The protocol: what is written is read back, and its form on the wire stays.

pub(crate) mod example;

use serde_json::json;

use super::*;

fn every_request() -> Vec<Request> {
    let names = || vec!["a".to_owned(), "b.c_d-e".to_owned()];
    vec![
        Request::Status { names: vec![] },
        Request::Status { names: names() },
        Request::Why { name: "a".into() },
        Request::Log { name: "a".into() },
        Request::Wait { names: names(), timeout_ms: 30_000 },
        Request::Stopped { names: names() },
        Request::Start { names: names() },
        Request::Stop { names: names() },
        Request::Restart { names: names() },
        Request::ResetFailed { names: vec![] },
        Request::Reload,
        Request::Plan { config: None },
        Request::Plan { config: Some("/etc/new.toml".into()) },
    ]
}

fn status() -> Status {
    example::status(Vec::new())
}

fn every_response() -> Vec<Response> {
    let step = PlanStep {
        tunnel: "a".into(),
        forward: Some("-L 1:b:2".into()),
        action: PlanAction::Add,
        connections: 0,
        reason: String::new(),
    };
    vec![
        Response::Status { status: status() },
        Response::Log {
            lines: vec![LogLine { at: "2026-01-01T00:00:00Z".into(), level: Level::WARN.into(), message: "no".into() }],
        },
        Response::Waited { ready: false, status: status() },
        Response::Done,
        Response::Plan { plan: PlanReport { applied: true, generation: 8, steps: vec![step], notes: vec![] } },
        Response::ConfigErrors { text: "a.toml:1:1: no".into(), errors: json!([{ "line": 1 }]) },
        Response::error(ErrorCode::NoSuchTunnel, "no tunnel is named `x`"),
    ]
}

#[test]
fn every_request_survives_the_way_to_the_daemon() {
    for request in every_request() {
        let line = RequestLine { version: VERSION, request };
        let text = serde_json::to_string(&line).unwrap();
        assert!(!text.contains('\n'), "{text}");
        assert_eq!(serde_json::from_str::<RequestLine>(&text).unwrap(), line);
    }
}

#[test]
fn every_response_survives_the_way_back() {
    for response in every_response() {
        let line = ResponseLine { version: VERSION, response };
        let text = serde_json::to_string(&line).unwrap();
        assert!(!text.contains('\n'), "{text}");
        assert_eq!(serde_json::from_str::<ResponseLine>(&text).unwrap(), line);
    }
}

#[test]
fn the_form_of_a_request_on_the_wire_stays() {
    let line = RequestLine { version: 1, request: Request::Wait { names: vec!["db".into()], timeout_ms: 5 } };
    let expected = json!({ "version": 1, "request": { "verb": "wait", "names": ["db"], "timeout_ms": 5 } });
    assert_eq!(serde_json::to_value(line).unwrap(), expected);
}

#[test]
fn a_word_too_many_in_a_request_is_refused() {
    let text = r#"{"version":1,"request":{"verb":"stop","names":["a"],"force":true}}"#;
    assert!(serde_json::from_str::<RequestLine>(text).is_err());
    let text = r#"{"version":1,"request":{"verb":"explode"}}"#;
    assert!(serde_json::from_str::<RequestLine>(text).is_err());
}

#[test]
fn an_error_code_of_a_newer_daemon_is_still_read() {
    let text = r#"{"answer":"error","code":"too_tired","message":"later"}"#;
    assert_eq!(serde_json::from_str::<Response>(text).unwrap(), Response::error(ErrorCode::Unknown, "later"));
}
