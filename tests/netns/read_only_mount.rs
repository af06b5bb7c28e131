//! A config on a mount that is read-only, whose folders have any mode. Needs root, for a mount of its own.

use std::process::Stdio;

use support::daemon::{command, said};
use support::process::wrapped;

#[test]
fn included_folder_of_any_mode_is_taken_from_a_read_only_mount() {
    if !nix::unistd::getuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "mount namespaces are not permitted here");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"\nNOT TESTED: a read-only mount needs root\n");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("t.toml");
    std::fs::write(&config, "include = \"map/*.toml\"\n").expect("a config");
    let mut check = command();
    check.args(["check", "--config"]).arg(&config);
    // As the kubelet makes a ConfigMap.
    let tunnel = "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\ndynamic_forward = \"1080\"\n";
    let fill = format!(
        "mkdir -p {0} && mount -t tmpfs -o mode=0777 none {0} && echo '{tunnel}' > {0}/a.toml",
        dir.path().join("map").display()
    );
    let run = |more: &str| {
        let script = format!("{fill} && {more} exec \"$0\" \"$@\"");
        let mut run = wrapped(&check, "unshare", &["--mount", "/bin/sh", "-c", &script]);
        run.stdin(Stdio::null()).output().expect("unshare runs")
    };
    let writable = run("");
    assert_eq!(writable.status.code(), Some(78), "{}", said(&writable));
    assert!(said(&writable).contains("others than root can write"), "{}", said(&writable));
    let read_only = run(&format!("mount -o remount,ro {} &&", dir.path().join("map").display()));
    assert!(read_only.status.success(), "{}", said(&read_only));
}
