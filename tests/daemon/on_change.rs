//! `on_change`: commands at changes of readiness, without harm to the daemon.

use std::path::Path;

use nix::sys::signal::Signal;
use support::daemon::any_forward;
use support::process::children_of;
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// A line of these for each run: READY, PHASE, KIND.
fn told(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn command_runs_at_each_change_and_another_one_after_a_reload() {
    let mut sshd = Sshd::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let forward = any_forward(&sshd);
    let config = |file: &Path| {
        let script = format!("echo $TUNNELD_TUNNEL $TUNNELD_READY $TUNNELD_KIND >> {}; exit 3", file.display());
        tunnel_toml(
            "t",
            &sshd,
            &format!("backoff = {{ max = \"1s\" }}\non_change = [\"/bin/sh\", \"-c\", \"{script}\"]\n{forward}"),
        )
    };
    let (before, after) = (config(&first), config(&second));
    let mut daemon = Daemon::start(&before);
    daemon.wait_ready("t");
    eventually("the first is told", || (told(&first) == ["t 1"]).then_some(()));
    sshd.crash();
    eventually("the loss is told", || (told(&first).len() == 2).then_some(()));
    let lost = told(&first).pop().unwrap_or_default();
    assert!(["t 0 connection_lost", "t 0 closed_by_server"].contains(&lost.as_str()), "{lost}");

    daemon.write_config(&after);
    assert!(daemon.cli(&["reload"]).status.success());
    sshd.launch();
    eventually("the recovery is told to the other command", || (told(&second) == ["t 1"]).then_some(()));
    let ready = daemon.wait_ready("t");
    assert_eq!(told(&first).len(), 2);
    daemon.write_config(&before);
    assert!(daemon.cli(&["reload"]).status.success());
    assert_eq!(daemon.wait_ready("t")["starts"], ready["starts"], "no new session");

    eventually("every command is reaped", || children_of(daemon.pid()).is_empty().then_some(()));
    let failures = daemon.log().matches("on_change: the command ended with exit status: 3").count();
    assert!((1..=2).contains(&failures), "told once for each command's task:\n{}", daemon.log());
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert_eq!((told(&first).len(), told(&second).len()), (2, 1), "a stop of the daemon is no change");
}

#[test]
fn command_that_hangs_holds_up_neither_the_tunnel_nor_the_stop() {
    let sshd = Sshd::start();
    let mut daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("on_change = \"sleep 1000\"\n{}", any_forward(&sshd))));
    daemon.wait_ready("t");
    let child = eventually("it runs", || children_of(daemon.pid()).first().copied());
    for starts in 2..5 {
        sshd.kill_sessions();
        daemon.wait_for("t", "back", |tunnel| tunnel["ready"] == true && tunnel["starts"] == starts);
        assert_eq!(children_of(daemon.pid()), [child], "one at a time");
    }
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    eventually("it is killed", || (!Path::new(&format!("/proc/{child}")).exists()).then_some(()));
}
