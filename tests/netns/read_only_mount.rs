//! A config on a mount that is read-only, whose folders have any mode. Needs root, for a mount of its own.

use support::daemon::{command, said};

use crate::mounts::{Disk, RUN};

#[test]
fn included_folder_of_any_mode_is_taken_from_a_read_only_mount() {
    let Some(disk) = Disk::new() else { return };
    let config = disk.beside("t.toml");
    std::fs::write(&config, "include = \"disk/*.toml\"\n").expect("a config");
    let mut check = command();
    check.args(["check", "--config"]).arg(&config);
    // As the kubelet makes a ConfigMap.
    let tunnel = "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\ndynamic_forward = \"1080\"\n";
    let run = |more: &str| {
        let then = format!("echo '{tunnel}' > {}/a.toml && {more} {RUN}", disk.path.display());
        disk.under(&check, "mode=0777", &then).output().expect("unshare runs")
    };
    let writable = run("");
    assert_eq!(writable.status.code(), Some(78), "{}", said(&writable));
    assert!(said(&writable).contains("others than root can write"), "{}", said(&writable));
    let read_only = run(&format!("mount -o remount,ro {} &&", disk.path.display()));
    assert!(read_only.status.success(), "{}", said(&read_only));
}
