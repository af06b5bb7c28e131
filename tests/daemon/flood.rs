//! What cannot be told: a service manager that does not read, a log that cannot be written. The daemon lives, its
//! tunnels carry, and neither the log nor the processor is filled with it.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::autossh::{self, Autossh};
use support::cost::Cost;
use support::net::{Service, Target, echoes, free_port};
use support::notify::Notify;
use support::patience::within;
use support::process::Process;
use support::{Daemon, Sshd, daemon, eventually, tunnel_toml};

/// Long enough for some thousand words or lines, if one were said each time something wakes up.
const WINDOW: Duration = Duration::from_secs(5);

/// How often the manager wants to hear that we live, in microseconds: twice as many words are each a line, if one were
/// said for each that cannot be sent.
const WATCHDOG: (&str, &str) = ("WATCHDOG_USEC", "100000");

/// For how long there is no manager any more, so that each word fails at once: some sixty of them, and those that
/// waited.
const GONE: Duration = Duration::from_secs(3);

/// In [`WINDOW`], in which changes are made all the time, or through an outage.
const MAX_CPU: Duration = Duration::from_secs(1);

/// Lines that tell of the manager, however long it does not read.
const MAX_COMPLAINTS: usize = 3;

/// A tunnel whose server is away, and which has no listener to tell the manager of.
fn away() -> String {
    let port = free_port();
    format!("[[tunnel]]\nname = \"away\"\nhost = \"127.0.0.1\"\nport = {port}\nremote_forward = [\"1:x:1\"]\n")
}

/// A manager whose queue is full for good.
fn full() -> Notify {
    let notify = Notify::bind();
    let filler = UnixDatagram::unbound().expect("a socket");
    filler.set_nonblocking(true).expect("no waiting");
    while filler.send_to(b"X=1", notify.path()).is_ok() {}
    notify
}

/// Changes the status line again and again.
fn stir(daemon: &Daemon) {
    let _ = within(WINDOW, || {
        daemon.cli(&["stop", "away", "--no-block"]);
        daemon.cli(&["start", "away", "--no-block"]);
        None::<()>
    });
}

#[test]
fn manager_that_does_not_read_costs_a_few_lines() {
    let (notify, sshd, echo, port) = (full(), Sshd::start(), Target::start(Service::Echo), free_port());
    let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let config = tunnel_toml("t", &sshd, &forward) + &away();
    let daemon = Daemon::with_environment(&config, &[("NOTIFY_SOCKET", &notify.path()), WATCHDOG]);
    daemon.wait_ready("t");
    let before = Cost::of(daemon.pid());
    stir(&daemon);
    let cost = Cost::of(daemon.pid()) - before;
    drop(notify);
    let _ = within(GONE, || None::<()>);
    eventually("it carries", || echoes(port).then_some(()));
    few_complaints(&daemon.log());
    assert!(cost.cpu < MAX_CPU, "{cost:?}");
}

#[test]
fn manager_that_does_not_read_costs_autossh_a_few_lines() {
    let (notify, sshd, echo, port) = (full(), Sshd::start(), Target::start(Service::Echo), free_port());
    let autossh = Autossh::new().with_all(&[("NOTIFY_SOCKET", &notify.path()), WATCHDOG]);
    let line = format!("-M 0 -N -L {port}:127.0.0.1:{} {} {}", echo.port, autossh::options(&sshd), autossh::host());
    let running = autossh.start(&autossh::words(&line));
    eventually("it carries", || echoes(port).then_some(()));
    let before = Cost::of(running.pid());
    let _ = within(WINDOW, || None::<()>);
    let cost = Cost::of(running.pid()) - before;
    drop(notify);
    let _ = within(GONE, || None::<()>);
    eventually("it carries", || echoes(port).then_some(()));
    few_complaints(&(autossh.said() + &autossh.log()));
    assert!(cost.cpu < MAX_CPU, "{cost:?}");
}

/// The manager is told of, and not for each word that it does not take.
fn few_complaints(log: &str) {
    let complaints = log.lines().filter(|line| line.contains("service manager")).count();
    assert!((1..=MAX_COMPLAINTS).contains(&complaints), "{complaints} lines tell of it:\n{log}");
}

#[test]
fn status_is_said_when_it_changes_and_once_a_second() {
    let (notify, sshd) = (Notify::bind(), Sshd::start());
    let config = tunnel_toml("t", &sshd, &daemon::any_forward(&sshd)) + &away();
    let daemon = Daemon::with_environment(&config, &[("NOTIFY_SOCKET", &notify.path())]);
    notify.until("STATUS=1/2 ready");
    // Its queue holds ten words, so that a manager that does not read hears no more than those.
    let reader = std::thread::spawn(move || notify.until("STOPPING=1"));
    stir(&daemon);
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let said = reader.join().expect("it hears the end");
    let said: Vec<_> = said.into_iter().filter(|line| line.starts_with("STATUS=")).collect();
    let seconds = usize::try_from(WINDOW.as_secs()).expect("few");
    // The last round of the stirring, and the end, may take a while on a busy machine.
    assert!(said.len() <= 3 * seconds, "{said:?}");
    assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "{said:?}");
}

/// A log on a full disk, one whose reader has gone, and none.
#[test]
fn log_that_cannot_be_written_stops_no_tunnel() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (reader, gone) = std::io::pipe().expect("a pipe");
    drop(reader);
    let outputs = [("full", Stdio::from(full())), ("no reader", Stdio::from(gone)), ("closed", Stdio::null())];
    let (mut sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let daemons: Vec<_> = outputs
        .into_iter()
        .map(|(name, output)| {
            let (dir, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
            let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
            let socket = dir.path().join("control.sock");
            let config = format!("control_socket = \"{}\"\n{}", socket.display(), tunnel_toml("t", &sshd, &forward));
            std::fs::write(dir.path().join("tunneld.toml"), config).expect("a config");
            let mut command = daemon::command();
            command.arg("--config").arg(dir.path().join("tunneld.toml")).args(["--log-level", "trace"]);
            if name == "closed" {
                command = closing_stderr(&command);
            }
            command.env("HOME", dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
            (name, dir, port, Process::spawn(&mut command))
        })
        .collect();
    for (name, _, port, _) in &daemons {
        eventually(&format!("{name}: it carries"), || echoes(*port).then_some(()));
    }
    let before: Vec<_> = daemons.iter().map(|(.., process)| Cost::of(process.pid())).collect();
    sshd.crash();
    sshd.launch();
    for ((name, _, port, process), before) in daemons.iter().zip(before) {
        eventually(&format!("{name}: it carries again"), || echoes(*port).then_some(()));
        let cost = Cost::of(process.pid()) - before;
        assert!(cost.cpu < MAX_CPU, "{name}: {cost:?}");
    }
    for (name, _, _, mut process) in daemons {
        process.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(process.wait().success(), "{name}");
    }
}

/// The same command without a standard error.
fn closing_stderr(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&-"]).arg(command.get_program()).args(command.get_args());
    shell
}
