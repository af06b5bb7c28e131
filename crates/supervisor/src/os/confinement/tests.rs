//! What is named, which folders follow from it, and what a reload may name.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::allowed::Reach;
use super::paths::{Access, NamedPath, paths};
use super::rules::{self, Rule, folders};
use crate::config::{ConfigError, ConfigErrors, Desired, Include, IncludeMatch, Overrides, load_text, obstacle};

const GLOBAL: &str =
    "control_socket = '/run/tunneld/s'\npid_file = '/run/tunneld/pid'\nstate_directory = '/var/lib/tunneld'\n";

fn config(more: &str, tunnel: &str) -> Desired {
    let text = format!(
        "{GLOBAL}{more}\n[[tunnel]]\nname = 't'\nhost = 'h'\nuser = 'u'\nidentity_file = '/keys/id'\nuser_known_hosts_file = '/keys/known'\ndynamic_forward = '1080'\n{tunnel}"
    );
    load_text(Path::new("/etc/tunneld/t.toml"), &text, &Overrides::default()).unwrap()
}

/// The folders of a machine; nothing is a link.
fn there(path: &Path) -> Option<PathBuf> {
    let folders =
        ["/", "/etc", "/etc/tunneld", "/run", "/run/tunneld", "/var", "/var/lib", "/var/lib/tunneld", "/keys", "/srv"];
    folders.iter().any(|folder| Path::new(folder) == path).then(|| path.to_owned())
}

fn access(named: &[NamedPath], path: &str) -> Option<Access> {
    named.iter().filter(|one| one.path == Path::new(path)).map(|one| one.access).max()
}

fn rules_of(desired: &Desired) -> Vec<Rule> {
    rules::of(&paths(desired), there).0
}

#[test]
fn each_path_of_the_config_is_named_with_its_access() {
    let mut desired = config(
        "metrics.listen = 'unix:/srv/metrics'",
        "certificate_file = '/keys/cert'\npassword_file = '/secrets/word'\npassphrase_file = '/secrets/phrase'\n\
         global_known_hosts_file = '/etc/known'\nrevoked_host_keys = '/etc/revoked'\nidentity_agent = '/run/agent'\n\
         local_forward = ['/srv/app/s:/run/docker.sock']\nremote_forward = ['/far/s:/run/near']\n\
         proxy_jump = { host = 'j', user = 'u', identity_file = '/jump/id', strict_host_key_checking = 'accept-new', user_known_hosts_file = '/jump/known' }",
    );
    desired.global.reading.includes = ["/etc/more.toml", "/etc/tunneld.d/*.toml"]
        .map(|pattern| Include { pattern: pattern.into(), matched: IncludeMatch::Files })
        .into();
    let named = paths(&desired);
    let read = [
        "/etc/tunneld/t.toml",
        "/etc/more.toml",
        "/etc/tunneld.d",
        "/keys/id",
        "/keys/cert",
        "/keys/known",
        "/secrets/word",
        "/secrets/phrase",
        "/etc/known",
        "/etc/revoked",
        "/jump/id",
    ];
    let write = ["/run/tunneld/s", "/run/tunneld/pid", "/var/lib/tunneld", "/srv/metrics", "/srv/app/s", "/jump/known"];
    let not = ["/run/agent", "/run/docker.sock", "/run/near", "/far/s"];
    for (paths, wanted) in [(&read[..], Some(Access::Read)), (&write[..], Some(Access::Write)), (&not[..], None)] {
        for path in paths {
            assert_eq!(access(&named, path), wanted, "{path}");
        }
    }
}

#[test]
fn known_hosts_is_written_only_where_it_learns() {
    for (key, wanted) in [
        ("", Access::Read),
        ("strict_host_key_checking = 'accept-new'", Access::Write),
        ("update_host_keys = true", Access::Write),
    ] {
        assert_eq!(access(&paths(&config("", key)), "/keys/known"), Some(wanted), "{key}");
    }
}

#[test]
fn programs_of_a_config_keep_it_from_being_confined() {
    assert_eq!(obstacle(&config("", "")), None);
    for (global, tunnel, word) in [
        ("no_new_privileges = false", "", "no_new_privileges"),
        ("", "on_change = 'x'", "on_change"),
        ("", "proxy_command = 'x'", "proxy_command"),
        ("", "known_hosts_command = '/x'", "known_hosts_command"),
        ("", "proxy_jump = { host = 'j', known_hosts_command = '/x' }", "known_hosts_command"),
    ] {
        let reason = obstacle(&config(global, tunnel)).unwrap_or_default();
        assert!(reason.contains(word), "{word}: {reason}");
    }
    let mut desired = config("", "");
    desired.global.reading.match_exec = Some("test -e /x".to_owned());
    assert!(obstacle(&desired).unwrap().contains("test -e /x"));
}

#[test]
fn file_is_reached_through_its_folder_or_the_nearest_one() {
    let found = |path: &str| folders(&NamedPath::file(Path::new(path), Access::Read, ""), there);
    assert_eq!(found("/keys/id"), [Path::new("/keys")]);
    assert_eq!(found("/srv/later/deep/id"), [Path::new("/srv")]);
    assert!(found("/nowhere/id").is_empty(), "all of / is never opened");
    let folder = NamedPath::folder(Path::new("/etc/tunneld.d"), Access::Read, "");
    assert_eq!(folders(&folder, there), [Path::new("/etc")]);
}

#[test]
fn symbolic_link_is_reached_at_both_ends() {
    let real = |path: &Path| match path.to_str() {
        Some("/keys/id") => Some("/vault/v1/id".into()),
        Some("/id") => Some("/id".into()),
        _ => there(path),
    };
    let found = |path: &str| folders(&NamedPath::file(Path::new(path), Access::Read, ""), real);
    assert_eq!(found("/keys/id"), [Path::new("/keys"), Path::new("/vault/v1")]);
    assert_eq!(found("/id"), [Path::new("/id")], "a file in / is reached alone");
}

#[test]
fn one_rule_covers_what_is_below_it() {
    let rules = rules_of(&config("", "strict_host_key_checking = 'accept-new'\nlocal_forward = '/srv/s:/x'"));
    let shown: Vec<_> = rules.iter().map(|rule| (rule.path.to_str().unwrap(), rule.access)).collect();
    assert!(shown.contains(&("/keys", Access::Write)) && !shown.contains(&("/keys", Access::Read)), "{shown:?}");
    assert_eq!(
        rules::summary(&rules_of(&config("", ""))),
        "reads 2 folders, writes `/run/tunneld`, `/var/lib/tunneld`, runs no program"
    );
}

#[test]
fn root_does_not_read_proc_and_no_rule_opens_everything() {
    let paths = |is_root| {
        let mut rules = Vec::new();
        rules::add_those_of_system(&mut rules, is_root, |path| Some(path.to_owned()));
        rules.into_iter().map(|rule| rule.path)
    };
    assert!(paths(false).any(|path| path == Path::new("/proc")));
    assert!(paths(true).all(|path| path != Path::new("/proc") && path != Path::new("/")));
}

#[test]
fn reload_within_reach_is_taken_and_others_are_named() {
    let reach = Reach::new("/etc/tunneld/t.toml".into(), rules_of(&config("", "")));
    let errors = |more: &str| reach.errors(&config("", more), there);
    assert!(errors("certificate_file = '/keys/another'").is_empty());
    for (more, path, what) in [
        ("certificate_file = '/srv/cert'", "/srv/cert", "tunnel `t` names it"),
        ("local_forward = '/srv/s:/x'", "/srv/s", "may not write there"),
        ("strict_host_key_checking = 'accept-new'", "/keys/known", "may not write there"),
        ("certificate_file = '/nowhere/cert'", "/nowhere/cert", "may not read it"),
        ("on_change = 'x'", "/etc/tunneld/t.toml", "`on_change` of tunnel `t` runs a program"),
    ] {
        let errors = errors(more);
        assert_eq!(errors.len(), 1, "{more}: {errors:?}");
        assert_eq!(errors[0].file(), path);
        assert!(errors[0].what().contains(what) && errors[0].hint().contains("restart tunneld"), "{}", errors[0]);
    }
}

#[test]
fn network_devices_are_opened_by_tunnels_that_have_one() {
    let with = config("", "tunnel_device = '0'");
    assert_eq!(access(&paths(&with), "/dev/net/tun"), Some(Access::Control));
    assert_eq!(access(&paths(&config("", "")), "/dev/net/tun"), None);
    // The folder around it is not opened, and without the file there is no rule, and nothing in the way of the start.
    let device = |path: &Path| (path == Path::new("/dev/net/tun")).then(|| path.to_owned());
    let (found, _) = rules::of(&paths(&with), |path| device(path).or_else(|| there(path)));
    assert!(found.contains(&Rule { path: "/dev/net/tun".into(), access: Access::Control }), "{found:?}");
    let (found, unreachable) = rules::of(&paths(&with), there);
    assert!(!found.iter().any(|rule| rule.access == Access::Control) && unreachable.is_empty(), "{found:?}");
    // A reload that adds one is out of reach.
    let reach = Reach::new(PathBuf::from("/etc/tunneld/t.toml"), rules_of(&config("", "")));
    let errors = reach.errors(&with, |path| device(path).or_else(|| there(path)));
    assert!(errors.iter().any(|error| error.what().contains("may not control it")), "{errors:?}");
}

#[test]
fn missing_permission_within_reach_is_no_reason_to_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("t.toml");
    std::fs::write(&config, "").unwrap();
    let rule = Rule { path: folder.path().canonicalize().unwrap(), access: Access::Read };
    let reach = Reach::new(config.clone(), vec![rule]);
    let told = |file: &Path| {
        let what = format!("the config cannot be read: {}", io::Error::from(Errno::EACCES));
        reach.explain(ConfigErrors::new(vec![ConfigError::of_file(file, what, "")])).iter().count()
    };
    assert_eq!(told(&config), 1, "its folder is open: the mode of the file is why");
    assert_eq!(told(Path::new("/nowhere/t.toml")), 2, "it may be the confinement");
}
