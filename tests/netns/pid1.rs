//! tunneld as PID 1, as in a container: what loses its parent there becomes its child.

use nix::sched::{CloneFlags, unshare};
use support::daemon::tunnel_toml;
use support::process::children_of;
use support::{Daemon, Sshd, eventually};

/// Runs `test` in a thread whose children are in a PID namespace of their own: the first is its PID 1. `None` for a
/// user who may not make one, as [`support::Netlab::start`] has it.
fn in_a_pid_namespace<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let thread = std::thread::spawn(|| match unshare(CloneFlags::CLONE_NEWPID) {
        Ok(()) => Some(test()),
        Err(error) => {
            let must = nix::unistd::getuid().is_root() || std::env::var_os("CI").is_some();
            assert!(!must, "PID namespaces are not permitted here: {error}");
            let notice = b"\nNOT TESTED: PID namespaces need root\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), notice);
            None
        }
    });
    thread.join().expect("the test passes")
}

#[test]
fn restarts_of_a_proxy_command_leave_no_process_and_no_zombie() {
    const RESTARTS: usize = 16;
    let sshd = Sshd::start();
    in_a_pid_namespace(move || {
        // `nc` is not on every machine; bash can do the same with two copies.
        let command = "bash -c 'sleep 1000 & sleep 1000 & (sleep 0 &); \
            exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; true'";
        let lines = format!("proxy_command = \"{command}\"\nremote_forward = [\"0:127.0.0.1:{}\"]", sshd.port);
        let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
        daemon.wait_ready("t");
        for _ in 0..RESTARTS {
            assert!(daemon.cli(&["restart", "t"]).status.success());
            assert!(daemon.cli(&["wait", "t", "--timeout", "20"]).status.success(), "{}", daemon.log());
        }
        assert!(daemon.cli(&["stop", "t"]).status.success());
        eventually("nothing is left", || children_of(daemon.pid()).is_empty().then_some(()));
        // Those of the commands' own, too: nothing but PID 1 lives in the namespace.
        assert_eq!(children_of(daemon.pid()), [] as [u32; 0]);
    });
}
