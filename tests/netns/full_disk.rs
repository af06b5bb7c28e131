//! A pidfile and a history on a disk that is full. Needs root, for a disk of its own.

use support::daemon::{any_forward, command, said};
use support::process::Process;
use support::{Sshd, eventually, tunnel_toml};

use crate::mounts::{Disk, RUN};

#[test]
fn pidfile_on_a_full_disk_is_73_before_anything_starts() {
    let Some(disk) = Disk::new() else { return };
    let config = disk.beside("t.toml");
    let text = format!(
        "control_socket = \"{}\"\npid_file = \"{}\"\n[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = 1\n\
         user = \"nobody\"\nidentity_agent = \"none\"\nremote_forward = [\"0:127.0.0.1:1\"]\n",
        disk.beside("s").display(),
        disk.path.join("t.pid").display()
    );
    std::fs::write(&config, text).expect("a config");
    let mut run = command();
    run.arg("--config").arg(&config);
    let then = format!("\"$0\" \"$@\"; status=$?; ls {}; exit $status", disk.path.display());
    let output = disk.full(&run, &then).output().expect("unshare runs");
    assert_eq!(output.status.code(), Some(73), "{}", said(&output));
    assert!(said(&output).contains("cannot create pidfile"), "{}", said(&output));
    assert!(said(&output).contains("No space left on device"), "{}", said(&output));
    assert!(!said(&output).contains("tunneld starts"), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all\n", "no empty pidfile is left behind");
}

#[test]
fn autossh_goes_on_without_a_pidfile_on_a_full_disk() {
    let Some(disk) = Disk::new() else { return };
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
    let log = disk.beside("log");
    run.env("AUTOSSH_PIDFILE", disk.path.join("pid")).env("AUTOSSH_LOGFILE", &log).env("AUTOSSH_GATETIME", "30");
    let output = disk.full(&run, RUN).output().expect("unshare runs");
    assert!(said(&output).contains("refused the connection"), "it has started: {}", said(&output));
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("disk/pid\" is not written: No space left on device"), "{log}");
}

#[test]
fn history_on_a_full_disk_is_told_once_and_the_tunnel_goes_on() {
    let Some(disk) = Disk::new() else { return };
    let (sshd, socket) = (Sshd::start(), disk.beside("s"));
    let text = format!(
        "control_socket = \"{}\"\nstate_directory = \"{}\"\n{}",
        socket.display(),
        disk.path.display(),
        tunnel_toml("t", &sshd, &any_forward(&sshd))
    );
    let config = disk.beside("t.toml");
    std::fs::write(&config, text).expect("a config");
    let mut run = command();
    run.arg("--config").arg(&config);
    let log = std::fs::File::create(disk.beside("log")).expect("a log");
    let process = Process::spawn(disk.under(&run, "size=32k", RUN).stdout(log.try_clone().expect("a log")).stderr(log));
    let ask = |words: &[&str]| {
        let mut client = command();
        client.args(words).arg("--control-socket").arg(&socket).output().expect("tunneld runs").status.success()
    };
    eventually("the tunnel is ready", || ask(&["wait", "t", "--timeout", "1"]).then_some(()));

    // The disk as the daemon sees it.
    let inside = std::path::PathBuf::from(format!("/proc/{}/root{}", process.pid(), disk.path.display()));
    let filler = inside.join("filler");
    let _ = std::fs::write(&filler, vec![b'x'; 64 * 1024]);
    let told = || std::fs::read_to_string(disk.beside("log")).unwrap_or_default();
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
