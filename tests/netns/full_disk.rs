//! A pidfile and a history on a disk that is full. Needs root, for a disk of its own.

use std::process::Stdio;

use support::daemon::{any_forward, command, said};
use support::process::{Process, wrapped};
use support::{Sshd, eventually, tunnel_toml};

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
        "mount -t tmpfs -o size=4096 none {0} && head -c 4096 /dev/zero > {0}/all && \"$0\" \"$@\"; status=$?; ls {0}; exit $status",
        disk.display()
    );
    let mut run = wrapped(&run, "unshare", &["--mount", "/bin/sh", "-c", &full]);
    let output = run.stdin(Stdio::null()).output().expect("unshare runs");
    assert_eq!(output.status.code(), Some(73), "{}", said(&output));
    assert!(said(&output).contains("cannot create pidfile"), "{}", said(&output));
    assert!(said(&output).contains("No space left on device"), "{}", said(&output));
    assert!(!said(&output).contains("tunneld starts"), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all\n", "no empty pidfile is left behind");
}

#[test]
fn autossh_goes_on_without_a_pidfile_on_a_full_disk() {
    if !nix::unistd::getuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "mount namespaces are not permitted here");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"\nNOT TESTED: a full disk needs root\n");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mut run = command();
    run.args([
        "autossh",
        "-M",
        "0",
        "-N",
        "-F",
        "none",
        "-p",
        "1",
        "-D",
        &support::net::free_port().to_string(),
        "127.0.0.1",
    ]);
    let full = format!(
        "mount -t tmpfs -o size=4096 none {0} && head -c 4096 /dev/zero > {0}/all && exec \"$0\" \"$@\"",
        disk.display()
    );
    let mut run = wrapped(&run, "unshare", &["--mount", "/bin/sh", "-c", &full]);
    let log = dir.path().join("log");
    run.env("AUTOSSH_PIDFILE", disk.join("pid")).env("AUTOSSH_LOGFILE", &log).env("AUTOSSH_GATETIME", "30");
    let output = run.stdin(Stdio::null()).output().expect("unshare runs");
    assert!(said(&output).contains("refused the connection"), "it has started: {}", said(&output));
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("disk/pid\" is not written: No space left on device"), "{log}");
}

#[test]
fn history_on_a_full_disk_is_told_once_and_the_tunnel_goes_on() {
    if !nix::unistd::getuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "mount namespaces are not permitted here");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"\nNOT TESTED: a full disk needs root\n");
        return;
    }
    let (sshd, dir) = (Sshd::start(), tempfile::tempdir().expect("a temporary folder"));
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let socket = dir.path().join("s");
    let text = format!(
        "control_socket = \"{}\"\nstate_directory = \"{}\"\n{}",
        socket.display(),
        disk.display(),
        tunnel_toml("t", &sshd, &any_forward(&sshd))
    );
    let config = dir.path().join("t.toml");
    std::fs::write(&config, text).expect("a config");
    let mut run = command();
    run.arg("--config").arg(&config);
    let mounted = format!("mount -t tmpfs -o size=32k none {} && exec \"$0\" \"$@\"", disk.display());
    let mut run = wrapped(&run, "unshare", &["--mount", "/bin/sh", "-c", &mounted]);
    let log = std::fs::File::create(dir.path().join("log")).expect("a log");
    let process = Process::spawn(run.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log));
    let ask = |words: &[&str]| {
        let mut client = command();
        client.args(words).arg("--control-socket").arg(&socket).output().expect("tunneld runs").status.success()
    };
    eventually("the tunnel is ready", || ask(&["wait", "t", "--timeout", "1"]).then_some(()));

    // The disk as the daemon sees it.
    let inside = std::path::PathBuf::from(format!("/proc/{}/root{}", process.pid(), disk.display()));
    let filler = inside.join("filler");
    let _ = std::fs::write(&filler, vec![b'x'; 64 * 1024]);
    let told = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let cannot = "cannot write the history: it goes on in memory";
    eventually("it is told", || {
        assert!(ask(&["restart", "t"]), "the tunnel does not notice");
        told().contains(cannot).then_some(())
    });
    for _ in 0..10 {
        assert!(ask(&["restart", "t"]), "the tunnel does not notice");
    }
    assert_eq!(told().matches(cannot).count(), 1, "{}", told());

    std::fs::remove_file(&filler).expect("room again");
    assert!(ask(&["restart", "t"]));
    let file = inside.join("history.jsonl");
    let whole = |text: &String| text.lines().all(|line| line.ends_with('}')) && text.ends_with('\n');
    let text = eventually("whole lines", || std::fs::read_to_string(&file).ok().filter(whole));
    assert!(text.starts_with("{\"line\":\"history\""), "{text}");
}
