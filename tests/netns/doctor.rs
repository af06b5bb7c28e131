//! What only a network can do to a login, and what the doctor says of it.

use std::process::Stdio;

use serde_json::Value;
use support::daemon::{command, said};
use support::net::free_port;
use support::netlab::Netlab;

#[test]
fn firewall_that_drops_is_told_from_a_server_that_refuses() {
    let Some(lab) = Netlab::start() else { return };
    let examine = |lines: &str| {
        let path = lab.dir().join("doctor.toml");
        let socket = lab.dir().join("no-daemon.sock");
        let text = format!("control_socket = \"{}\"\n{}", socket.display(), lab.tunnel_toml(lines));
        std::fs::write(&path, text).expect("a config");
        let output = lab.client.run(|| {
            command()
                .args(["doctor", "--json", "--config"])
                .arg(&path)
                .stdin(Stdio::null())
                .output()
                .expect("tunneld runs")
        });
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        let checks = report["tunnels"][0]["checks"].as_array().expect("checks").clone();
        let failed = move |check: &str| {
            let is_it = |found: &&Value| found["verdict"] == "FAIL" && found["check"] == check;
            checks.iter().filter(is_it).map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        (output.status.code(), failed)
    };
    let forward = format!("local_forward = [\"{}:127.0.0.1:22\"]\nconnect_timeout = 3", free_port());
    let (code, failed) = examine(&forward);
    assert_eq!((code, failed("connect")), (Some(0), String::new()));
    lab.drop_all();
    let (code, failed) = examine(&forward);
    assert_eq!(code, Some(1));
    let told = failed("connect");
    assert!(told.contains("firewall") && told.contains(&format!("traceroute -T -p 22 {}", Netlab::SERVER)), "{told}");
    lab.undrop();
    let (_, failed) = examine(&format!("{forward}\nport = 23"));
    let told = failed("connect");
    assert!(told.contains("refused the connection") && !told.contains("traceroute"), "{told}");
}
