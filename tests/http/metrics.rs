//! `/metrics`: what it counts, how long that lasts, and what Prometheus' own tool says of it.

use std::io::Write;
use std::process::{Command, Stdio};

use support::http::{Answer, request};
use support::net::{connect, echoes, free_port};
use support::{Daemon, eventually, tunnel_toml};

use crate::{Served, metrics, nowhere};

/// In the format for a scraper that accepts `accept`.
pub(crate) fn scrape(port: u16, accept: Option<&str>) -> Answer {
    let accept = accept.map(|kinds| format!("Accept: {kinds}\r\n")).unwrap_or_default();
    let text = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{accept}Connection: close\r\n\r\n");
    request(port, &text).expect("an answer")
}

/// The value of a sample.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

fn sample(port: u16, sample: &str) -> Option<f64> {
    value(&scrape(port, None).body, sample)
}

#[test]
fn every_name_of_the_contract_is_there_with_its_labels() {
    let served = Served::start();
    assert!(echoes(served.port));
    let forward = format!("tunnel=\"t\",forward=\"-L {}\"", served.port);
    let text = eventually("a round trip is measured", || {
        let text = scrape(served.http, None).body;
        (value(&text, "tunneld_session_rtt_seconds{tunnel=\"t\"}")? > 0.0).then_some(text)
    });
    for (sample, expected) in [
        ("tunneld_tunnel_ready{tunnel=\"t\"}".to_owned(), 1.0),
        ("tunneld_tunnel_phase{tunnel=\"t\",phase=\"up\"}".to_owned(), 1.0),
        ("tunneld_tunnel_phase{tunnel=\"t\",phase=\"blocked\"}".to_owned(), 0.0),
        ("tunneld_session_starts_total{tunnel=\"t\"}".to_owned(), 1.0),
        (format!("tunneld_forward_ready{{{forward}}}"), 1.0),
        (format!("tunneld_forward_connections{{{forward},state=\"held\"}}"), 0.0),
        (format!("tunneld_forward_connections_total{{{forward}}}"), 1.0),
        (format!("tunneld_forward_bytes_total{{{forward},direction=\"in\"}}"), 4.0),
        (format!("tunneld_forward_bytes_total{{{forward},direction=\"out\"}}"), 4.0),
    ] {
        assert_eq!(value(&text, &sample), Some(expected), "{sample}\n{text}");
    }
    assert!(text.contains("tunneld_build_info{version=\""), "{text}");
    assert!(value(&text, "tunneld_tasks").is_some_and(|tasks| tasks > 1.0), "{text}");
}

#[test]
fn scraper_gets_the_format_that_it_asks_for() {
    let served = Served::start();
    let open = scrape(served.http, Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"));
    assert!(
        open.field("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text; version=1.0.0"))
    );
    assert!(open.body.ends_with("# EOF\n"), "{open:?}");
    let old = scrape(served.http, Some("*/*"));
    assert!(old.field("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    assert!(!old.body.contains("# EOF"), "{old:?}");
}

#[test]
fn promtool_finds_nothing_wrong() {
    let served = Served::with(&nowhere("far.away", ""));
    eventually("a failure is counted", || {
        sample(served.http, "tunneld_session_failures_total{tunnel=\"far.away\",kind=\"connect_refused\"}")
    });
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool, of Debian's package prometheus: run tests/setup");
    let text = scrape(served.http, Some("*/*")).body;
    promtool.stdin.take().expect("its input").write_all(text.as_bytes()).expect("it reads");
    let said = promtool.wait_with_output().expect("it ends");
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}\n{text}");
}

#[test]
fn counters_never_fall_over_reload_restart_and_reset() {
    let served = Served::start();
    let forward = |counter: &str, more: &str| format!("{counter}{{tunnel=\"t\",forward=\"-L {}\"{more}}}", served.port);
    let bytes = || sample(served.http, &forward("tunneld_forward_bytes_total", ",direction=\"in\""));
    let opened = || sample(served.http, &forward("tunneld_forward_connections_total", ""));
    let starts = || sample(served.http, "tunneld_session_starts_total{tunnel=\"t\"}");
    assert!(echoes(served.port));
    assert_eq!((bytes(), opened(), starts()), (Some(4.0), Some(1.0), Some(1.0)));
    // Another forward comes, and this one goes to another target.
    let other = free_port();
    let lines =
        format!("local_forward = [\"{other}:127.0.0.1:1\", \"{}:127.0.0.1:{}\"]", served.port, served.sshd.port);
    let config = format!("{}{}", metrics(served.http), tunnel_toml("t", &served.sshd, &lines));
    served.daemon.write_config(&config);
    assert!(served.daemon.cli(&["reload"]).status.success());
    assert_eq!((bytes(), opened(), starts()), (Some(4.0), Some(1.0), Some(1.0)));
    assert!(served.daemon.cli(&["restart", "t"]).status.success());
    assert!(served.daemon.cli(&["reset-failed", "t"]).status.success());
    assert!(served.daemon.cli(&["stop", "t"]).status.success());
    served.daemon.wait_for("t", "reset", |tunnel| tunnel["starts"] == 0 || tunnel["phase"] == "stopped");
    assert_eq!((bytes(), opened(), starts()), (Some(4.0), Some(1.0), Some(2.0)));
    assert_eq!(sample(served.http, "tunneld_tunnel_ready{tunnel=\"t\"}"), Some(0.0));
    assert_eq!(sample(served.http, "tunneld_tunnel_phase{tunnel=\"t\",phase=\"stopped\"}"), Some(1.0));
}

#[test]
fn bytes_are_counted_while_they_pass() {
    let served = Served::start();
    let name = format!("tunneld_forward_connections{{tunnel=\"t\",forward=\"-L {}\",state=\"active\"}}", served.port);
    let mut stream = connect(served.port).expect("the forward accepts");
    stream.write_all(b"half").expect("it takes bytes");
    eventually("the open connection is counted", || (sample(served.http, &name)? == 1.0).then_some(()));
    let name = format!("tunneld_forward_bytes_total{{tunnel=\"t\",forward=\"-L {}\",direction=\"out\"}}", served.port);
    eventually("its bytes too", || (sample(served.http, &name)? == 4.0).then_some(()));
}

#[test]
fn scrape_of_many_tunnels_is_whole_and_quick() {
    const TUNNELS: usize = 500;
    let http = free_port();
    let tunnels: String = (0..TUNNELS).map(|count| nowhere(&format!("t{count}"), "enabled = false")).collect();
    let daemon = Daemon::start(&format!("{}{tunnels}", metrics(http)));
    eventually("it serves", || connect(http).ok());
    let text = scrape(http, None).body;
    assert_eq!(text.matches("tunneld_forward_ready{").count(), TUNNELS);
    assert!(text.ends_with("# EOF\n"));
    let quickest = (0..10)
        .map(|_| {
            let began = std::time::Instant::now();
            scrape(http, None);
            began.elapsed()
        })
        .min();
    println!("quickest scrape of {TUNNELS} tunnels: {quickest:?}");
    assert!(daemon.status().is_some());
}
