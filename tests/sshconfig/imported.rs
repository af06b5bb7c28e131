//! The corpus once more: what `tunneld import ssh-config` prints loads as the tunnel that `ssh_config` makes.

use std::path::Path;

use supervisor::config::{Overrides, TunnelSpec, load_text_for};
use supervisor::import::hosts;
use supervisor::sshconfig::ConfigFiles;

use crate::corpus::{Die, HOSTS, make};
use crate::oracle::{ours, system};

const CONFIGS: u64 = 250;

fn load(text: &str) -> Result<TunnelSpec, String> {
    let loaded = load_text_for(Path::new("/tunneld.toml"), text, &Overrides::default(), &system());
    loaded.map(|mut desired| desired.tunnels.remove(0)).map_err(|errors| errors.to_string())
}

#[test]
fn a_corpus_of_configs_is_carried_into_toml_without_a_loss() {
    let (mut same, mut clash) = (0, 0);
    for seed in 0..CONFIGS {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path(), seed);
        let file = folder.path().join("f0");
        let mut die = Die::new(seed + 1_000_000);
        for _ in 0..3 {
            let host = HOSTS[die.below(HOSTS.len())];
            let Ok(resolved) = ours(&file, host) else { continue };
            let mut table = hosts(&[host.to_owned()], &ConfigFiles::One(file.clone()), &system())
                .unwrap_or_else(|errors| panic!("config {seed}, host {host}: {errors}"));
            let name = host.replace(':', "-");
            let mut direct =
                format!("[[tunnel]]\nname = '{name}'\nhost = '{host}'\nssh_config = '{}'\n", file.display());
            if resolved.forwards.is_empty() {
                assert!(table.contains("# there is no LocalForward"), "config {seed}, host {host}:\n{table}");
                table.push_str("dynamic_forward = '9'\n");
                direct.push_str("dynamic_forward = '9'\n");
            }
            assert!(!table.contains("not carried"), "config {seed}, host {host}:\n{table}");
            for keyword in &resolved.passed_over {
                assert!(table.contains(keyword), "config {seed}, host {host}: {keyword} is not told\n{table}");
            }
            match (load(&table), load(&direct)) {
                (Ok(got), Ok(mut wanted)) => {
                    assert_eq!(std::mem::take(&mut wanted.ssh_config_files)[0], file);
                    for note in std::mem::take(&mut wanted.ssh_config_notes) {
                        assert!(table.contains(&note), "config {seed}, host {host}: {note} is not told\n{table}");
                    }
                    assert_eq!(got, wanted, "config {seed}, host {host}:\n{table}");
                    same += 1;
                }
                // Two forwards that want one address: a config takes neither, from any source.
                (Err(got), Err(wanted)) if got.contains("already claimed") && wanted.contains("already claimed") => {
                    clash += 1
                }
                (got, wanted) => panic!(
                    "config {seed}, host {host}:\n{table}\nimported: {:?}\nread: {:?}",
                    got.map(drop),
                    wanted.map(drop)
                ),
            }
        }
    }
    assert!(same > 400, "{same} are the same, {clash} clash");
}
