//! What is installed for Prometheus and Grafana, against Prometheus' own tool and the metrics that there are.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::Served;
use crate::metrics::scrape;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("a file of the project")
}

#[track_caller]
fn promtool(arguments: &[&str]) {
    let said = Command::new("promtool").args(arguments).current_dir(root()).output();
    let said = said.expect("promtool, of Debian's package prometheus: run tests/setup");
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}

/// Of every panel of the dashboard, with values for what Grafana fills in.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana/tunneld.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let queries = targets.map(|target| target["expr"].as_str().expect("a query"));
    queries.map(|query| query.replace("$__rate_interval", "1m")).collect()
}

/// The words that begin as our metrics do.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tunneld_")).collect()
}

#[test]
fn alert_rules_are_valid_and_fire_for_what_they_are_about() {
    promtool(&["check", "rules", "packaging/prometheus/tunneld.rules.yml"]);
    promtool(&["test", "rules", "tests/http/prometheus/rules.test.yml"]);
}

#[test]
fn every_alert_has_a_test() {
    let (rules, tests) = (read("packaging/prometheus/tunneld.rules.yml"), read("tests/http/prometheus/rules.test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 5, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert}");
    }
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let rules: String = queries()
        .iter()
        .enumerate()
        .map(|(at, query)| format!("  - {{ record: \"q:{at}\", expr: {} }}\n", Value::from(query.as_str())))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("queries.yml");
    std::fs::write(&file, format!("groups:\n- name: q\n  rules:\n{rules}")).expect("a file");
    promtool(&["check", "rules", &file.display().to_string()]);
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_exist() {
    let served = Served::start();
    let text = scrape(served.http, Some("text/plain")).body;
    let known: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let (rules, queries) = (read("packaging/prometheus/tunneld.rules.yml"), queries().join("\n"));
    for (used, least) in [(names(&rules), 5), (names(&queries), 9)] {
        assert!(used.len() >= least, "{used:?}");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
