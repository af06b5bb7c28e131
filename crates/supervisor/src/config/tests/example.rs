//! The example config that is installed: it is read by people and copied from, so each of its lines must be true.

use tunnel_engine::session::supported_algorithms;
use tunnel_engine::spec::AlgorithmKind;

use super::*;

pub(super) const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/tunneld.toml"));

/// Keys that the example sets, so that it is a whole config.
const SET: &[&str] = &["include", "name", "enabled", "host", "local_forward"];

/// Keys without a value that could stand for their absence.
const WITHOUT_DEFAULT: &[&str] = &[
    "pid_file",
    "state_directory",
    "user",
    "listen",
    "hosts",
    "proxy_command",
    "bind_address",
    "bind_interface",
    "identity_file",
    "password_file",
    "passphrase_file",
    "host_key_alias",
];

/// Keys whose names are those of tables.
const TABLES: &[&str] = &["log", "metrics", "defaults", "tunnel"];

const ALGORITHMS: [AlgorithmKind; 6] = [
    AlgorithmKind::Kex,
    AlgorithmKind::Cipher,
    AlgorithmKind::Mac,
    AlgorithmKind::HostKey,
    AlgorithmKind::PublicKey,
    AlgorithmKind::CaSignature,
];

/// A line of the example that would set a key without its `#`.
struct ExampleLine<'a> {
    number: usize,
    key: &'a str,
    setting: &'a str,
}

fn commented(mark: &str) -> Vec<ExampleLine<'static>> {
    let lines = EXAMPLE.lines().enumerate();
    let settings = lines.filter_map(|(number, line)| {
        let setting = line.strip_prefix(mark).filter(|rest| !rest.starts_with([' ', '#']))?;
        let (key, _) = setting.split_once(" = ")?;
        Some(ExampleLine { number, key, setting })
    });
    settings.collect()
}

fn defaults() -> Vec<ExampleLine<'static>> {
    commented("#")
}

fn examples() -> Vec<ExampleLine<'static>> {
    commented("#   ")
}

fn with(lines: &[ExampleLine<'_>]) -> String {
    let mut text: Vec<&str> = EXAMPLE.lines().collect();
    for line in lines {
        text[line.number] = line.setting;
    }
    text.join("\n")
}

#[test]
fn the_example_config_is_right_and_starts_nothing() {
    let desired = good(EXAMPLE);
    assert!(!desired.tunnels.is_empty());
    assert!(desired.tunnels.iter().all(|tunnel| !tunnel.enabled));
}

#[test]
fn defaults_of_the_example_are_those_of_the_code() {
    let as_it_is = good(EXAMPLE);
    let (algorithms, others): (Vec<_>, Vec<_>) =
        defaults().into_iter().partition(|line| ALGORITHMS.iter().any(|kind| kind.key() == line.key));
    for line in &others {
        assert_eq!(good(&with(std::slice::from_ref(line))), as_it_is, "{}", line.setting);
    }
    for kind in ALGORITHMS {
        let offered = format!("{} = \"{}\"", kind.key(), supported_algorithms(kind).offered.join(","));
        assert!(algorithms.iter().any(|line| line.setting == offered), "the default is {offered}");
    }
    assert_eq!(good(&with(&others)), as_it_is, "all at once");
}

#[test]
fn every_example_of_the_example_works_and_changes_something() {
    let as_it_is = good(EXAMPLE);
    for line in examples() {
        match read(&with(std::slice::from_ref(&line))) {
            Ok(changed) => assert_ne!(changed, as_it_is, "that is the default: {}", line.setting),
            Err(errors) => {
                let expected = |what: &str| what == "both `host` and `hosts` are set";
                assert!(errors.iter().all(|error| expected(error.what())), "{}\n{errors}", line.setting);
            }
        }
    }
}

#[test]
fn the_example_has_every_key_with_its_default() {
    let defaults = defaults();
    let missing = |keys: &[&'static str], written: &dyn Fn(&str) -> bool| -> Vec<&'static str> {
        keys.iter().copied().filter(|key| !written(key)).collect()
    };
    let keys = [keys::FILE, keys::LOG, keys::METRICS, &keys::TUNNEL].concat();
    let none: Vec<&str> = missing(&keys, &|key| {
        let is_set = EXAMPLE.lines().any(|line| line.starts_with(&format!("{key} = ")));
        let is_example = examples().iter().any(|line| line.key == key);
        if TABLES.contains(&key) {
            EXAMPLE.contains(&format!("[{key}]"))
        } else if SET.contains(&key) {
            is_set
        } else if WITHOUT_DEFAULT.contains(&key) {
            is_example
        } else {
            defaults.iter().any(|line| line.key == key)
        }
    });
    assert!(none.is_empty(), "`#key = default`, and no blank after the `#`, is missing for {none:?}");
    // Keys of tables within a value.
    let none =
        missing(&[keys::BACKOFF, keys::FORWARD, keys::PROBE].concat(), &|key| EXAMPLE.contains(&format!(" {key} = ")));
    assert!(none.is_empty(), "{none:?}");
}
