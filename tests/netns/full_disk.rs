//! A pidfile on a disk that is full. Needs root, for a disk of its own.

use std::process::Stdio;

use support::daemon::{command, said};
use support::process::wrapped;

#[test]
fn pidfile_on_a_full_disk_is_73_before_anything_starts() {
    if !nix::unistd::getuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "mount namespaces are not permitted here");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"\nNOT TESTED: a full disk needs root\n");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (disk, config) = (dir.path().join("disk"), dir.path().join("t.toml"));
    std::fs::create_dir(&disk).expect("a folder");
    let text = format!(
        "control_socket = \"{}\"\npid_file = \"{}\"\n[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = 1\n\
         user = \"nobody\"\nidentity_agent = \"none\"\nremote_forward = [\"0:127.0.0.1:1\"]\n",
        dir.path().join("s").display(),
        disk.join("t.pid").display()
    );
    std::fs::write(&config, text).expect("a config");
    let mut run = command();
    run.arg("--config").arg(&config);
    let full = format!(
        "mount -t tmpfs -o size=4096 none {0} && head -c 4096 /dev/zero > {0}/all && exec \"$0\" \"$@\"",
        disk.display()
    );
    let mut run = wrapped(&run, "unshare", &["--mount", "/bin/sh", "-c", &full]);
    let output = run.stdin(Stdio::null()).output().expect("unshare runs");
    assert_eq!(output.status.code(), Some(73), "{}", said(&output));
    assert!(said(&output).contains("cannot create pidfile"), "{}", said(&output));
    assert!(said(&output).contains("No space left on device"), "{}", said(&output));
    assert!(!said(&output).contains("tunneld starts"), "{}", said(&output));
}
