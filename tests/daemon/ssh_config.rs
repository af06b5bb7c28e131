//! What ssh_config sets and has no effect is told: by `check`, and once in the log.

use support::daemon::{said, tunneld};
use support::net::free_port;
use support::{Daemon, Sshd, eventually, tunnel_toml};

#[test]
fn what_has_no_effect_is_one_line_for_all_tunnels_and_a_reload_tells_what_is_new() {
    let (sshd, hosts) = (Sshd::start(), tempfile::tempdir().expect("a folder"));
    let file = hosts.path().join("config");
    std::fs::write(&file, "CompressionLevel 6\n").expect("ssh_config");
    let lines = || format!("ssh_config = \"{}\"\ndynamic_forward = \"{}\"", file.display(), free_port());
    let config = [tunnel_toml("a", &sshd, &lines()), tunnel_toml("b", &sshd, &lines())].join("\n");
    let daemon = Daemon::start(&config);
    daemon.wait_ready("a");
    let old = format!("{}:1:1: `CompressionLevel` has no effect", file.display());
    let told = |note: &str| daemon.log().lines().filter(|line| line.contains(note)).count();
    assert_eq!(told(&old), 1, "{}", daemon.log());
    assert!(daemon.log().contains("tunnels=\"a, b\"") || daemon.log().contains("tunnels=a, b"), "{}", daemon.log());
    let check = said(&tunneld(&["check", "--config", &daemon.config().display().to_string()]));
    assert_eq!(check.matches(&format!("  note: {old}")).count(), 2, "{check}");

    std::fs::write(&file, "CompressionLevel 6\nRemoteCommand top\n").expect("ssh_config");
    assert!(daemon.cli(&["reload"]).status.success());
    let new = format!("{}:2:15: RemoteCommand `top` is not run", file.display());
    eventually("the new note", || (told(&new) == 1).then_some(()));
    assert_eq!(told(&old), 1, "{}", daemon.log());
}
