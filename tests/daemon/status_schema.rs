//! The JSON of `status` is what docs/status.schema.json says, and the schema says all of it.

use std::collections::BTreeSet;

use serde_json::Value;
use supervisor::lifecycle::Phase;
use support::daemon::any_forward;
use support::net::{connect, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};
use tunnel_engine::failure::FailureKind;

fn schema() -> Value {
    let text = include_str!("../../docs/status.schema.json");
    serde_json::from_str(text).expect("the schema is JSON")
}

/// Every schema of an object, with the place where it is.
fn objects(schema: &Value) -> Vec<(&str, &Value)> {
    let defined =
        schema["$defs"].as_object().expect("definitions").iter().map(|(name, schema)| (name.as_str(), schema));
    let all = std::iter::once(("status", schema)).chain(defined);
    all.filter(|(_, schema)| schema["type"] == "object").collect()
}

fn words(list: &Value) -> BTreeSet<&str> {
    list.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word")).collect()
}

#[test]
fn the_schema_is_one_and_describes_every_field() {
    let schema = schema();
    jsonschema::draft202012::meta::validate(&schema).expect("a schema of draft 2020-12");
    let objects = objects(&schema);
    assert_eq!(objects.len(), 8, "{:?}", objects.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, object) in objects {
        let fields = object["properties"].as_object().expect("fields");
        assert_eq!(object["additionalProperties"], false, "{name} is closed");
        let required = words(&object["required"]);
        assert_eq!(required, fields.keys().map(String::as_str).collect(), "{name}: null, never missing");
        for (field, schema) in fields {
            assert!(
                schema["description"].as_str().is_some_and(|text| text.len() > 4),
                "{name}.{field} is not described"
            );
        }
    }
}

#[test]
fn its_words_are_those_of_the_program() {
    let schema = schema();
    let phases = Phase::ALL.iter().map(|phase| phase.as_str()).collect();
    assert_eq!(words(&schema["$defs"]["tunnel"]["properties"]["phase"]["enum"]), phases);
    let kinds = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words(&schema["$defs"]["failure_kind"]["enum"]), kinds);
}

/// A tunnel in each state that stays.
fn config(sshd: &Sshd, held: u16, refused: u16) -> String {
    let nobody = free_port();
    let ready = format!(
        "local_forward = [\"{refused}:127.0.0.1:{nobody}\"]\nremote_forward = [\"0:127.0.0.1:{nobody}\"]\n\
         dynamic_forward = [\"{}\"]",
        free_port()
    );
    let unreachable = |name: &str, port: u16, lines: &str| {
        format!(
            "[[tunnel]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {nobody}\nlocal_forward = [\"{port}:127.0.0.1:1\"]\n{lines}\n"
        )
    };
    let blocked = format!("{}\nuser_known_hosts_file = \"/nonexistent\"", any_forward(sshd));
    let blocked = tunnel_toml("blocked", sshd, &blocked).replacen(
        &format!("user_known_hosts_file = \"{}\"\n", sshd.known_hosts.display()),
        "",
        1,
    );
    [
        tunnel_toml("ready", sshd, &ready),
        tunnel_toml("by-hand", sshd, &any_forward(sshd)),
        tunnel_toml("disabled", sshd, &format!("{}\nenabled = false", any_forward(sshd))),
        blocked,
        unreachable("backoff", held, ""),
        unreachable("failed", free_port(), "gate_time = 30"),
    ]
    .concat()
}

#[test]
fn what_status_prints_in_every_state_is_valid() {
    let (sshd, held, refused) = (Sshd::start(), free_port(), free_port());
    let daemon = Daemon::start(&config(&sshd, held, refused));
    let phase = |name: &str, phase: &str| daemon.wait_for(name, phase, |tunnel| tunnel["phase"] == phase);
    daemon.wait_ready("ready");
    daemon.wait_ready("by-hand");
    assert!(daemon.cli(&["stop", "by-hand"]).status.success());
    phase("by-hand", "stopped");
    phase("blocked", "blocked");
    phase("failed", "failed");
    phase("backoff", "backoff");
    let waiting = connect(held).expect("a held connection");
    // The reset may come before `connect` returns.
    let reset = connect(refused);
    daemon.wait_for("backoff", "holding", |tunnel| tunnel["forwards"][0]["held"] == 1);
    daemon.wait_for("ready", "refusing", |tunnel| {
        let told = |forward: &Value| forward["last_refused"].as_array().is_some_and(|list| !list.is_empty());
        tunnel["forwards"].as_array().is_some_and(|forwards| forwards.iter().any(told))
    });
    eventually("a measured round trip", || daemon.tunnel("ready")?["session"]["rtt_ms"].as_f64());
    let status = daemon.status().expect("a status");
    let validator = jsonschema::draft202012::new(&schema()).expect("a schema");
    let wrong: Vec<String> =
        validator.iter_errors(&status).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{status:#}");
    assert_eq!(daemon.tunnel("disabled").expect("it is known")["enabled"], false);
    let forwards = &daemon.tunnel("ready").expect("it is known")["forwards"];
    assert_eq!(
        [0, 1, 2].map(|at| forwards[at]["kind"].as_str().unwrap_or_default().to_owned()),
        ["local", "remote", "dynamic"]
    );
    drop((waiting, reset));
    // A field that the program has and the schema has not is found, whichever object it is in.
    for pointer in [
        "",
        "/open_files",
        "/tunnels/0",
        "/tunnels/0/session",
        "/tunnels/0/forwards/0",
        "/tunnels/0/forwards/0/last_refused/0",
        "/tunnels/3/last_failure",
    ] {
        let mut more = status.clone();
        let object = more
            .pointer_mut(pointer)
            .and_then(Value::as_object_mut)
            .unwrap_or_else(|| panic!("{pointer} in {status:#}"));
        object.insert("unheard_of".into(), Value::Null);
        assert!(!validator.is_valid(&more), "{pointer} is open");
        let mut less = status.clone();
        let object = less.pointer_mut(pointer).and_then(Value::as_object_mut).expect("the same object");
        let field = object.keys().next().expect("a field").clone();
        object.remove(&field);
        assert!(!validator.is_valid(&less), "{pointer} lacks {field}");
    }
}
