//! The modes, each a process of its own.

use support::autossh::{Autossh, Running, host, options, words};
use support::net::{connect, free_port};
use support::{Daemon, eventually, keys};

use super::place::Place;

/// Counts what each tunnel publishes.
const LOG_LEVEL: &str = "info,supervisor::tunnel::driver=trace";

/// One process and what it stands for.
pub(crate) struct Mode {
    /// In the report of a failure.
    pub(crate) name: String,
    program: Program,
    settled: Settled,
}

enum Program {
    Daemon(Daemon),
    /// With the port that it forwards.
    Autossh(Autossh, Running, u16),
}

/// How it is when nothing changes any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    Ready,
    /// It asks again and again.
    Retrying(&'static str),
    /// It waits for a person.
    Blocked,
}

impl Mode {
    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        match &self.program {
            Program::Daemon(daemon) => daemon.pid(),
            Program::Autossh(_, running, _) => running.pid(),
        }
    }

    /// Views published so far; not known of the autossh face.
    pub(crate) fn views(&self) -> usize {
        match &self.program {
            Program::Daemon(daemon) => daemon.log().matches("view published").count(),
            Program::Autossh(..) => 0,
        }
    }

    /// Whether something is tried again and again.
    pub(crate) fn retries(&self) -> bool {
        matches!(self.settled, Settled::Retrying(_))
    }

    /// Whether it is a process of one tunnel.
    pub(crate) const fn is_autossh(&self) -> bool {
        matches!(self.program, Program::Autossh(..))
    }

    /// Waits until nothing changes any more.
    pub(crate) fn wait_until_settled(&self) {
        match (&self.program, self.settled) {
            (Program::Daemon(daemon), Settled::Ready) => drop(daemon.wait_ready("t")),
            (Program::Daemon(daemon), Settled::Blocked) => {
                daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
            }
            (Program::Daemon(daemon), Settled::Retrying(kind)) => {
                daemon.wait_for("t", kind, |tunnel| tunnel["last_failure"]["kind"] == kind);
            }
            (Program::Autossh(autossh, _, port), _) => {
                autossh.wait_log("ssh child pid is ");
                eventually("its forward listens", || connect(*port).ok());
            }
        }
    }
}

/// All of them.
pub(crate) fn all(place: &Place) -> Vec<Mode> {
    let mut modes = forwards(place);
    modes.extend(sessions(place));
    modes.extend(outages(place));
    modes.extend(probes(place));
    modes.extend(managers(place));
    modes.extend(autossh(place));
    modes
}

fn start(name: &str, config: &str, settled: Settled) -> Mode {
    with_environment(name, config, settled, &[])
}

fn with_environment(name: &str, config: &str, settled: Settled, more: &[(&str, &str)]) -> Mode {
    let environment: Vec<_> = [("TUNNELD_LOG_LEVEL", LOG_LEVEL)].into_iter().chain(more.iter().copied()).collect();
    Mode { name: name.to_owned(), program: Program::Daemon(Daemon::with_environment(config, &environment)), settled }
}

/// Every kind of forward, with listeners that hold and with those that refuse.
fn forwards(place: &Place) -> Vec<Mode> {
    let echo = place.echo.port;
    let mut modes = Vec::new();
    for (suffix, outage) in [("", ""), (", refuse", "during_outage = \"refuse\"\n")] {
        let here = place.path(if outage.is_empty() { "held" } else { "refused" });
        let kinds = [
            ("-L", place.local()),
            ("-D", format!("dynamic_forward = [\"{}\"]", free_port())),
            ("-L of a path", format!("local_forward = [\"{here}:127.0.0.1:{echo}\"]")),
            ("-L to a path", format!("local_forward = [\"{}:{}\"]", free_port(), place.path("target"))),
        ];
        for (kind, lines) in kinds {
            modes.push(start(&format!("{kind}{suffix}"), &place.tunnel(&format!("{outage}{lines}")), Settled::Ready));
        }
    }
    let there = place.path("there");
    let kinds = [
        ("-R", place.remote()),
        ("-R of port 0", format!("remote_forward = [\"0:127.0.0.1:{echo}\"]")),
        ("-R of a path", format!("remote_forward = [\"{there}:127.0.0.1:{echo}\"]")),
        ("-R to a path", format!("remote_forward = [\"{}:{}\"]", free_port(), place.path("target"))),
        ("-R without a target", format!("remote_forward = [\"{}\"]", free_port())),
        (
            "-R of a path, takeover",
            format!(
                "on_remote_port_busy = \"takeover\"\nremote_forward = [\"{}:127.0.0.1:{echo}\"]",
                place.path("taken")
            ),
        ),
    ];
    modes.extend(kinds.map(|(kind, lines)| start(kind, &place.tunnel(&lines), Settled::Ready)));
    modes
}

/// `proxy_jump` over the second server.
fn jump(place: &Place) -> String {
    format!(
        "proxy_jump = [{{ host = \"127.0.0.1\", port = {}, user = \"{}\", identity_file = \"{}\", identity_agent = \
         \"none\", user_known_hosts_file = \"{}\" }}]\n",
        place.second.port,
        keys::user(),
        place.second.user_key.display(),
        place.second.known_hosts.display()
    )
}

fn sessions(place: &Place) -> Vec<Mode> {
    let (local, remote, sshd) = (place.local(), place.remote(), &place.sshd);
    let jump = jump(place) + &local;
    let hosts = place.tunnel(&place.local()).replace(
        &format!("host = \"127.0.0.1\"\nport = {}\n", sshd.port),
        &format!("hosts = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\n", place.nowhere, sshd.port),
    );
    let lines = |more: &str| place.tunnel(&format!("{more}\n{}", place.local()));
    vec![
        start("jump", &place.tunnel(&jump), Settled::Ready),
        start("three sessions", &lines("sessions = 3"), Settled::Ready),
        start("takeover", &place.tunnel(&format!("on_remote_port_busy = \"takeover\"\n{remote}")), Settled::Ready),
        start("hosts", &hosts, Settled::Ready),
        start("no keepalive", &lines("server_alive_interval = 0"), Settled::Ready),
        start("session lifetime", &lines("session_lifetime = 3600"), Settled::Ready),
        start("rekey limit", &lines("rekey_limit = \"1G 1h\""), Settled::Ready),
    ]
}

fn outages(place: &Place) -> Vec<Mode> {
    let away = |lines: &str| {
        let port = |port: u16| format!("\nport = {port}\n");
        place.tunnel(&format!("{lines}\n{}", place.local())).replace(&port(place.sshd.port), &port(place.nowhere))
    };
    let stranger = place
        .tunnel(&place.local())
        .replace(&place.sshd.known_hosts.display().to_string(), &place.second.known_hosts.display().to_string());
    let busy = place.busy_port();
    let refused = Settled::Retrying("connect_refused");
    vec![
        start("server away", &away(""), refused),
        start("server away, refuse", &away("during_outage = \"refuse\""), refused),
        start("server away behind a jump host", &away(&jump(place)), Settled::Retrying("jump_failed")),
        start("blocked", &stranger, Settled::Blocked),
        start(
            "port busy",
            &place.tunnel(&format!("local_forward = [\"127.0.0.1:{busy}:127.0.0.1:{}\"]", place.echo.port)),
            Settled::Retrying("listen_in_use"),
        ),
        start(
            "remote port busy",
            &place.tunnel(&format!("remote_forward = [\"127.0.0.1:{busy}:127.0.0.1:{}\"]", place.echo.port)),
            Settled::Retrying("remote_port_busy"),
        ),
    ]
}

fn probes(place: &Place) -> Vec<Mode> {
    let probe = |value: &str, target: u16| {
        let local = format!("local_forward = [\"{}:127.0.0.1:{target}\"]", free_port());
        place.tunnel(&format!("probe = {value}\n{local}\n"))
    };
    vec![
        start("probe off", &probe("\"off\"", place.echo.port), Settled::Ready),
        start("probe tcp", &probe("\"tcp\"", place.echo.port), Settled::Ready),
        start("probe expect", &probe("{ expect = \"SSH-\" }", place.sshd.port), Settled::Ready),
    ]
}

/// Service managers that read, that watch and that do not read.
fn managers(place: &Place) -> Vec<Mode> {
    let (read, unread) = (place.read(), place.unread.path());
    let managers = [("manager reads", &read), ("manager does not read", &unread)];
    let mode = |(name, socket): (&str, &String)| {
        let environment = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", "2000000")];
        with_environment(name, &place.tunnel(&place.local()), Settled::Ready, &environment)
    };
    managers.map(mode).into()
}

/// The autossh face with each forward, with and without a service manager.
fn autossh(place: &Place) -> Vec<Mode> {
    let echo = place.echo.port;
    let mut modes = Vec::new();
    for manager in [None, Some(place.unread.path())] {
        for kind in ["-L", "-R", "-D"] {
            let target = if kind == "-D" { String::new() } else { format!(":127.0.0.1:{echo}") };
            let autossh = manager.iter().fold(Autossh::new(), |autossh, socket| autossh.with("NOTIFY_SOCKET", socket));
            let port = free_port();
            let forward = format!("{kind} {port}{target}");
            let running = autossh.start(&words(&format!("-M 0 -N {forward} {} {}", options(&place.sshd), host())));
            let name = format!("autossh {kind}{}", if manager.is_some() { ", managed" } else { "" });
            modes.push(Mode { name, program: Program::Autossh(autossh, running, port), settled: Settled::Ready });
        }
    }
    modes
}
