//! Thousands of tunnels in one config: what is done costs as many times more as there are more of them, and not the
//! square of it.

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use support::daemon::{command, said};
use support::{Daemon, eventually};

const FEW: usize = 600;
const MANY: usize = 4 * FEW;

/// Four times the tunnels may cost so many times the CPU time; a quadratic step costs sixteen.
const AT_MOST: f64 = 9.0;

/// What every process costs, added to both sides, so that small figures do not make large ratios.
const BASE: Duration = Duration::from_millis(100);

/// Tunnels to a port without a listener, each to a host of its own in ssh_config, with sockets in this folder.
fn config(tunnels: usize, folder: &Path) -> String {
    let ssh_config = folder.join("ssh_config");
    let hosts = (0..tunnels).map(|at| format!("Host h{at}\n Hostname 127.0.0.1\n Port 1\n User nobody\n"));
    std::fs::write(&ssh_config, hosts.collect::<String>()).expect("ssh_config");
    let mut text = format!("[defaults]\nssh_config = \"{}\"\nidentity_agent = \"none\"\n", ssh_config.display());
    for at in 0..tunnels {
        let (socket, port) = (folder.join(at.to_string()), at + 1);
        let _ = write!(
            text,
            "[[tunnel]]\nname = \"t{at}\"\nhost = \"h{at}\"\nlocal_forward = [\"{}:127.0.0.1:1\"]\n\
             remote_forward = [\"127.0.0.1:{port}:127.0.0.1:1\"]\n",
            socket.display()
        );
    }
    text
}

/// The hosts of `ssh_config`, each in a file of its own that the first one includes.
fn one_file_each(hosts: usize, folder: &Path) -> String {
    let included = folder.join("hosts");
    std::fs::create_dir(&included).expect("a folder");
    for at in 0..hosts {
        let host = format!("Host h{at}\n Hostname 127.0.0.1\n Port 1\n User nobody\n");
        std::fs::write(included.join(format!("{at}.conf")), host).expect("a file");
    }
    let ssh_config = folder.join("ssh_config");
    std::fs::write(&ssh_config, format!("Include {}/*\nHost *\n ServerAliveInterval 20\n", included.display()))
        .expect("a file");
    let mut text = format!("[defaults]\nssh_config = \"{}\"\n", ssh_config.display());
    for at in 0..hosts {
        let _ = write!(
            text,
            "[[tunnel]]\nname = \"t{at}\"\nhost = \"h{at}\"\nremote_forward = [\"{}:127.0.0.1:1\"]\n",
            at + 1
        );
    }
    text
}

/// CPU time of `check` with so many tunnels.
fn cost_of_check(tunnels: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tunneld.toml");
    std::fs::write(&config, one_file_each(tunnels, folder.path())).expect("a config");
    let mut check = command();
    check.args(["check", "--config"]).arg(&config).stdout(Stdio::null());
    let mut child = check.spawn().expect("it runs");
    // It stays a zombie, whose times can be read, until it is waited for.
    waitid(Id::Pid(Pid::from_raw(child.id().cast_signed())), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        .expect("it ends");
    let spent = cpu(child.id());
    assert!(child.wait().expect("it ended").success());
    spent
}

#[test]
fn four_times_the_included_files_cost_four_times_the_time() {
    let (few, many) = (cost_of_check(FEW), cost_of_check(MANY));
    let ratio = (many + BASE).as_secs_f64() / (few + BASE).as_secs_f64();
    assert!(ratio < AT_MOST, "{few:?} for {FEW} files and {many:?} for {MANY}");
}

/// CPU time that a process has used (proc_pid_stat(5): a hundredth of a second).
fn cpu(pid: u32) -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // After the name, which may hold blanks: state is the third field, utime and stime the 14th and 15th.
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let ticks: u32 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// CPU time of the daemon for each of: the start, ten statuses, a reload without a change, one that adds a tunnel.
fn costs(tunnels: usize) -> Vec<(&'static str, Duration)> {
    let folder = tempfile::tempdir().expect("a folder");
    let text = config(tunnels, folder.path());
    let daemon = Daemon::start(&text);
    let mut last = Duration::ZERO;
    let mut spent = || {
        let now = cpu(daemon.pid());
        now.saturating_sub(std::mem::replace(&mut last, now))
    };
    // Each has had its first attempt, and its failure.
    eventually("all have tried", || {
        let status = daemon.status()?;
        let tried = status["tunnels"].as_array()?.iter().filter(|tunnel| !tunnel["last_failure"].is_null()).count();
        (tried == tunnels).then_some(())
    });
    let mut costs = vec![("start", spent())];
    for _ in 0..10 {
        assert!(daemon.status().is_some());
    }
    costs.push(("status", spent()));
    let reload = |answer: &str| {
        let output = daemon.cli(&["reload"]);
        assert!(output.status.success() && said(&output).contains(answer), "{}", said(&output));
    };
    reload("nothing to change");
    costs.push(("reload", spent()));
    daemon.write_config(
        &(text.clone() + "[[tunnel]]\nname = \"new\"\nhost = \"h0\"\nremote_forward = [\"0:127.0.0.1:1\"]\n"),
    );
    reload("start    new  (new)");
    costs.push(("reload with one more", spent()));
    costs
}

#[test]
fn four_times_the_tunnels_cost_four_times_the_time() {
    let (few, many) = (costs(FEW), costs(MANY));
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        let ratio = (many + BASE).as_secs_f64() / (few + BASE).as_secs_f64();
        assert!(ratio < AT_MOST, "{what}: {few:?} for {FEW} tunnels and {many:?} for {MANY}");
    }
}
