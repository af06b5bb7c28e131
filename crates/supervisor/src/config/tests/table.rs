//! The table of keys: each row is read from TOML and from ssh_config, written by an import, applied by a reload, and told
//! by the example config and the manual.

use std::collections::BTreeSet;

use tunnel_engine::session::supported_algorithms;

use super::example::EXAMPLE;
use super::*;
use crate::config::{Jump, ReloadEffect, SettingKey, load_text_for, tunnel_keys};
use crate::manual::{self, entry};
use crate::plan::{AllTunnels, RunState, apply, plan};
use crate::protocol::PlanAction;
use crate::spec::settings::{Field, TomlField, keys_of_ssh_config};
use crate::sshconfig::{ConfigFiles, System};

/// Another value than the default, as TOML and as ssh_config write it. `None` where a row has no value of its own.
fn other(key: &SettingKey) -> Option<(String, String)> {
    let same = |text: &str| Some((format!("'{text}'"), text.to_owned()));
    let pair = |toml: &str, ssh: &str| Some((toml.to_owned(), ssh.to_owned()));
    match key.field {
        Field::Apart => None,
        Field::Flag(_) if key.default == Some("true") => pair("false", "no"),
        Field::Flag(_) | Field::UpdateHostKeys(_) => pair("true", "yes"),
        Field::Count(_, to, _) | Field::TomlOnly(TomlField::Size(_, to, _)) => {
            pair(&(to - 1).to_string(), &(to - 1).to_string())
        }
        Field::Time(..) | Field::TomlOnly(TomlField::Lifetime(..)) => pair("77", "77"),
        Field::TomlOnly(TomlField::Starts(_)) => pair("3", ""),
        Field::Word(_) | Field::HostName(_) => same("other"),
        Field::Paths(_)
        | Field::Certificates(_)
        | Field::Identities(_)
        | Field::TomlOnly(TomlField::Secret(_))
        | Field::Agent(_) => same("/a/file"),
        Field::Algorithms(kind, _) => same(supported_algorithms(kind).offered[0]),
        Field::Strict(_) => same("accept-new"),
        Field::HostsCommand(_) => same("/bin/keys %H"),
        Field::Family(_) => same("inet"),
        Field::IpQos(_) => same("af21"),
        Field::RekeyLimit(_) => same("1G 1h"),
        Field::Mask(_) => same("0117"),
        Field::PermitRemoteOpen(_) => same("db:5432"),
        Field::TomlOnly(TomlField::OnRemotePortBusy(_)) => same("fail"),
        Field::TomlOnly(TomlField::DuringOutage(_)) => same("refuse"),
        Field::TomlOnly(TomlField::Backoff(_)) => pair("{ min = 1 }", ""),
        Field::TomlOnly(TomlField::Probe(_)) => same("off"),
        Field::TomlOnly(TomlField::Command(_)) => same("true"),
    }
}

/// Each row that has a value of its own, with the line that sets it.
fn lines() -> impl Iterator<Item = (&'static SettingKey, String)> {
    tunnel_keys().filter_map(|key| Some((key, format!("{} = {}", key.name, other(key)?.0))))
}

fn running(config: &Desired) -> AllTunnels {
    AllTunnels { started_with: config.global.clone(), state: RunState::Up, serving: None, carried: 1, held: 0 }
}

#[test]
fn every_key_is_read_and_reloaded_by_its_row() {
    let config = |line: &str| {
        good(&format!("[[tunnel]]\nname = 'a'\nhost = 'h'\nlocal_forward = ['1:h:1', '/s:h:1']\npoll = 70\n{line}\n"))
    };
    for (key, line) in lines().filter(|(key, _)| key.name != "poll") {
        let (old, new) = (config(""), config(&line));
        let (mut from, mut to) = (old.tunnels[0].clone(), new.tunnels[0].clone());
        assert!(key.differs(&mut from, &mut to), "{line}");
        let changes = plan(&old, &new);
        let steps = changes.report(&old, &running(&old), false, 1).steps;
        let named = |action| steps.iter().any(|step| step.action == action && step.reason.contains(key.name));
        let does = match key.reload {
            ReloadEffect::StartOrStop => steps.iter().any(|step| step.action == PlanAction::Stop),
            ReloadEffect::Retune => named(PlanAction::Retune) && steps.iter().all(|step| step.connections == 0),
            ReloadEffect::Reforward => {
                named(PlanAction::Retune) && steps.iter().any(|step| step.action == PlanAction::Add)
            }
            ReloadEffect::NextStart => {
                named(PlanAction::Retune) && steps.iter().any(|step| step.reason.ends_with("the next session on"))
            }
            ReloadEffect::NewSession => named(PlanAction::Replace),
            ReloadEffect::Rename => false,
        };
        assert!(does, "{line}: {steps:?}");
        assert_eq!(apply(&changes, old), new, "{line}");
    }
}

#[test]
fn every_field_of_a_tunnel_has_a_row() {
    /// Of the keys whose rows have no value of their own, of what such a key makes, and of the autossh frontend.
    const OTHERS: &[&str] = &[
        "name",
        "user",
        "host",
        "port",
        "via",
        "fallbacks",
        "forwards",
        "ssh_config_files",
        "ssh_config_notes",
        "explicit",
        "without_password",
        "ask",
        "kind",
        "max",
        "factor",
        "jitter",
        "reset_after",
        "arguments",
    ];
    let fields = |tunnel: &TunnelSpec| -> BTreeSet<String> {
        let text = format!("{:#?}", TunnelSpec { forwards: Vec::new(), ..tunnel.clone() });
        text.lines().filter(|line| line.contains(": ")).map(|line| line.trim().to_owned()).collect()
    };
    let all: Vec<String> = lines().map(|(_, line)| line).collect();
    let (usual, other) = (fields(&tunnel("")), fields(&tunnel(&all.join("\n"))));
    let same = usual.intersection(&other).filter_map(|line| line.split_once(": "));
    // What holds other fields is shown as `field: Type {`.
    let same = same.filter(|(_, value)| !value.ends_with(['{', '(', '[']));
    let without: Vec<_> = same.filter(|(field, _)| !OTHERS.contains(field)).collect();
    assert!(usual.len() > 50 && without.is_empty(), "{without:?}");
}

#[test]
fn every_keyword_sets_its_key_and_an_import_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let facts = System::new(Some("me".into()), Some("/home/me".into()), Default::default());
    let tunnel = |text: &str| {
        let path = Path::new("/etc/tunneld.toml");
        let desired = load_text_for(path, text, &Overrides::default(), &facts);
        let mut tunnel = desired.unwrap_or_else(|errors| panic!("{text}\n{errors}")).tunnels.remove(0);
        tunnel.ssh_config_files.clear();
        tunnel
    };
    for (key, keyword) in keys_of_ssh_config() {
        let Some((toml, ssh)) = other(key) else { continue };
        let no_updates = if key.name == "update_host_keys" { "" } else { "UpdateHostKeys no\n" };
        std::fs::write(&file, format!("{no_updates}{keyword} {ssh}\nLocalForward 1 h:1\n")).unwrap();
        let imported = crate::import::hosts(&["a".to_owned()], &ConfigFiles::One(file.clone()), &facts).unwrap();
        assert!(imported.lines().any(|line| line.starts_with(key.name)), "{imported}");
        let head = "[[tunnel]]\nname = 'a'\nhost = 'a'\n";
        let set = tunnel(&format!("{head}local_forward = '1:h:1'\n{} = {toml}", key.name));
        assert_eq!(tunnel(&imported), set, "{imported}");
        assert_eq!(tunnel(&format!("{head}ssh_config = '{}'\n", file.display())), set, "{keyword} {ssh}");
    }
}

#[test]
fn jump_hosts_take_over_what_the_rows_say() {
    for (key, line) in lines().filter(|(key, _)| key.jump != Jump::Never) {
        let [mut with, mut without] = [line.as_str(), ""].map(|line| {
            let session = tunnel(&format!("proxy_jump = 'j'\n{line}")).session;
            let tunnel_engine::spec::Route::Jump(jump) = session.dial.via else { panic!("{line}: no jump host") };
            TunnelSpec::new(String::new(), *jump)
        });
        let takes = matches!(key.jump, Jump::Inherited | Jump::FirstHop);
        assert_eq!(key.differs(&mut with, &mut without), takes, "{line}");
        tunnel(&format!("proxy_jump = {{ host = 'j', {line} }}"));
    }
}

/// The comment above a key of a tunnel in the example config, and the lines that set it, or would.
fn documented(name: &str) -> (String, Vec<&'static str>) {
    let (_, tunnel) = EXAMPLE.split_once("\n[[tunnel]]\n").unwrap();
    let lines: Vec<&str> = tunnel.lines().collect();
    let sets = |line: &&str| {
        let setting = line.strip_prefix("#   ").or_else(|| line.strip_prefix('#')).unwrap_or(line);
        setting.starts_with(&format!("{name} = "))
    };
    let first = lines.iter().position(&sets).unwrap_or_else(|| panic!("no line for {name}"));
    let is_comment = |line: &&&str| line.starts_with("# ") && !line.starts_with("#   ");
    let above = lines[..first].iter().rev().skip_while(|line| !is_comment(line)).take_while(is_comment);
    let mut comment: Vec<&str> = above.map(|line| line.trim_start_matches("# ")).collect();
    comment.reverse();
    (comment.join(" "), lines.iter().copied().filter(|line| sets(line)).collect())
}

#[test]
fn the_example_says_of_every_key_what_its_row_says() {
    for key in tunnel_keys() {
        let (comment, lines) = documented(key.name);
        assert!(!key.doc.is_empty() && comment.contains(key.doc), "{}: `{}` is not in: {comment}", key.name, key.doc);
        if let Some(default) = key.default {
            let line = format!("#{} = {default}", key.name);
            assert!(lines.contains(&line.as_str()) || key.name == "enabled", "no `{line}`");
        }
    }
}

#[test]
fn the_manual_has_the_default_of_every_key() {
    for key in tunnel_keys() {
        let Some(default) = key.default.filter(|default| !default.starts_with(['[', '{'])) else { continue };
        let text = entry(manual::CONFIG, "KEYS OF A TUNNEL", key.name);
        let (_, written) = text.split_once("Default: ").unwrap_or_else(|| panic!("{}: {text}", key.name));
        let plain = default.trim_matches('"');
        let spaced =
            plain.find(|c: char| c.is_ascii_alphabetic()).filter(|_| plain.starts_with(|c: char| c.is_ascii_digit()));
        let spaced = spaced.map_or_else(|| plain.to_owned(), |unit| format!("{} {}", &plain[..unit], &plain[unit..]));
        let of_another = key.name == "first_poll" && written.starts_with("poll");
        assert!(written.starts_with(plain) || written.starts_with(&spaced) || of_another, "{}: {written}", key.name);
    }
}
