//! The autossh face against a real sshd: the lines that must run unchanged, its log, signals and exit codes.

use std::process::Command;

use nix::sys::signal::Signal;
use support::autossh::{Autossh, carries, host, options, words};
use support::net::{Service, Target, echoes, free_port};
use support::notify::Notify;
use support::{Sshd, eventually, keys};

#[test]
fn the_line_of_everybody_runs_in_the_foreground_and_ends_with_1_on_term() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let autossh = Autossh::new();
    let line = format!(
        "-M 0 -N -o 'TCPKeepAlive no' -o 'ServerAliveInterval 30' -o 'ServerAliveCountMax 3' \
         -o 'ExitOnForwardFailure yes' {} -R {port}:127.0.0.1:{} {}",
        options(&sshd),
        echo.port,
        host()
    );
    let mut running = autossh.start(&words(&line));
    carries(port);
    let log = autossh.log();
    for phrase in ["port set to 0, monitoring disabled", "starting ssh (count 1)", "ssh child pid is "] {
        assert!(log.contains(phrase), "{phrase} is not in\n{log}");
    }
    assert_eq!(autossh.pid(), running.pid());
    let name = std::fs::read_to_string(format!("/proc/{}/comm", running.pid())).expect("a process");
    assert_eq!(name.trim(), "autossh");
    // As `pkill autossh`, but only what this test started.
    let killed = Command::new("pkill").arg("-x").arg("-F").arg(autossh.dir().join("pid")).arg("autossh").status();
    assert!(killed.expect("pkill runs").success());
    assert_eq!(running.wait().code(), Some(1));
    assert!(autossh.log().contains("received signal to exit (15)"));
    assert!(!autossh.dir().join("pid").exists());
}

#[test]
fn the_same_with_f_is_in_the_background_and_relative_paths_stay() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let autossh =
        Autossh::new().without("AUTOSSH_GATETIME").with("AUTOSSH_PIDFILE", "pid").with("AUTOSSH_LOGFILE", "log");
    std::fs::copy(&sshd.user_key, autossh.dir().join("key")).expect("a key");
    let line = format!(
        "-M 0 -f -N -p {} -F none -o IdentityAgent=none -o UserKnownHostsFile={} -i key -R {port}:127.0.0.1:{} {}",
        sshd.port,
        sshd.known_hosts.display(),
        echo.port,
        host()
    );
    let status = autossh.command(&words(&line)).status().expect("it runs");
    assert_eq!(status.code(), Some(0));
    carries(port);
    let pid = autossh.pid();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGTERM).expect("it lives");
    eventually("the pidfile is gone", || (!autossh.dir().join("pid").exists()).then_some(()));
}

#[test]
fn a_host_block_says_everything() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let autossh = Autossh::new();
    let (remote, local) = (free_port(), free_port());
    let block = |name: &str, forward: &str| {
        format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  IdentityAgent none\n  \
             UserKnownHostsFile {}\n  TCPKeepAlive no\n  ServerAliveInterval 30\n  ServerAliveCountMax 3\n  \
             ExitOnForwardFailure yes\n  {forward}\n",
            sshd.port,
            keys::user(),
            sshd.user_key.display(),
            sshd.known_hosts.display()
        )
    };
    let config = block("remote-forward-ssh-server", &format!("RemoteForward {remote} 127.0.0.1:{}", echo.port))
        + &block("local-forward-ssh-server", &format!("LocalForward {local} 127.0.0.1:{}", echo.port));
    std::fs::write(autossh.dir().join("config"), config).expect("a config");
    for (name, port) in [("remote-forward-ssh-server", remote), ("local-forward-ssh-server", local)] {
        let mut running = autossh.start(&words(&format!("-M 0 -N -F config {name}")));
        carries(port);
        running.signal(Signal::SIGINT);
        assert_eq!(running.wait().code(), Some(1));
    }
}

#[test]
fn a_debugging_user_sees_the_count_the_exit_and_the_restart() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let autossh = Autossh::new().without("AUTOSSH_LOGFILE").with("AUTOSSH_DEBUG", "1");
    let line = format!("-M 0 -N {} -L {port}:127.0.0.1:{} {}", options(&sshd), echo.port, host());
    let _running = autossh.start(&words(&line));
    carries(port);
    sshd.kill_sessions();
    eventually("a second start", || autossh.said().contains("starting ssh (count 2)").then_some(()));
    carries(port);
    let said = autossh.said();
    let line = said.lines().find(|line| line.ends_with("ssh exited with error status 255; restarting ssh"));
    assert!(line.is_some_and(|line| line.starts_with("autossh[")), "{said}");
    assert!(said.contains("starting ssh (count 1)") && said.contains("checking for grace period, tries = "), "{said}");
}

#[test]
fn what_is_wrong_reaches_the_terminal_and_the_exit_code() {
    let autossh = Autossh::new();
    let free = free_port();
    for (name, value, line, want) in [
        ("AUTOSSH_POLL", "0", "-M 0 -N -L 1234:h:1 h".to_owned(), "invalid poll time \"0\""),
        ("AUTOSSH_POLL", "600", "-M 0 -N".to_owned(), "usage: autossh"),
        ("AUTOSSH_POLL", "600", "-M 99999 -N -L 1234:h:1 h".to_owned(), "monitor port (99999) out of range"),
        ("AUTOSSH_POLL", "600", "-M 0 -F none h uptime".to_owned(), "the remote command `uptime` is not run"),
        ("AUTOSSH_POLL", "600", "-M 0 -N -F none -o Nonsense=1 -D 1080 h".to_owned(), "Nonsense"),
        (
            "AUTOSSH_PIDFILE",
            "/nonexistent/pid",
            "-M 0 -N -F none -D 1080 127.0.0.1".to_owned(),
            "cannot open pid file \"/nonexistent/pid\": No such file or directory",
        ),
        (
            "AUTOSSH_GATETIME",
            "30",
            format!("-M 0 -N -F none -p {free} -D {} u@127.0.0.1", free_port()),
            "refused the connection",
        ),
    ] {
        let mut command = autossh.command(&words(&line));
        command.env("AUTOSSH_POLL", "600").env(name, value);
        let output = command.output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {errors}");
        assert!(errors.contains(want), "{line}: {errors}");
    }
    assert!(autossh.log().contains("ssh exited prematurely with status 255; autossh exiting"), "{}", autossh.log());
}

#[test]
fn a_remote_command_beside_n_is_left_alone_and_told() {
    let (sshd, echo, port, autossh) = (Sshd::start(), Target::start(Service::Echo), free_port(), Autossh::new());
    let more = "-o 'RemoteCommand sleep 90'";
    let line = format!("-M 0 -N {more} {} -L {port}:127.0.0.1:{} {} sleep 60", options(&sshd), echo.port, host());
    let _running = autossh.start(&words(&line));
    carries(port);
    let log = autossh.log();
    assert!(log.contains("the remote command `sleep 60` is not run: -N is given"), "{log}");
    assert!(log.contains("RemoteCommand `sleep 90` is not run"), "{log}");
}

#[test]
fn limits_end_it_with_0() {
    let autossh = Autossh::new().with("AUTOSSH_MAXSTART", "2");
    let line = words(&format!("-M 0 -N -q -F none -p {} -D {} u@127.0.0.1", free_port(), free_port()));
    assert_eq!(autossh.start(&line).wait().code(), Some(0));
    let log = autossh.log();
    assert!(log.contains("starting ssh (count 2 of 2)") && log.contains("max start count reached; exiting"), "{log}");
    let autossh = Autossh::new().with("AUTOSSH_MAXLIFETIME", "1");
    assert_eq!(autossh.start(&line).wait().code(), Some(0));
    assert!(autossh.log().contains("exceeded maximum time to live, shutting down"), "{}", autossh.log());
    let output = Autossh::new().command(&words("host -V")).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("autossh 1.4g"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn b4_signals_in_a_wait_prod_and_restart_and_do_not_kill() {
    // POLL 6000 makes the first wait, after the five fast starts, a minute or so long.
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let autossh = Autossh::new().with("AUTOSSH_POLL", "60000").with("AUTOSSH_LOGLEVEL", "7");
    let line = format!("-M 0 -N -q {} -L {port}:127.0.0.1:{} {}", options(&sshd), echo.port, host());
    let mut running = autossh.start(&words(&line));
    carries(port);
    sshd.crash();
    autossh.wait_log("sleeping for grace time 200 secs");
    for harmless in [Signal::SIGUSR2, Signal::SIGALRM] {
        running.signal(harmless);
    }
    running.signal(Signal::SIGHUP);
    autossh.wait_log("sleeping for grace time 800 secs");
    sshd.launch();
    running.signal(Signal::SIGUSR1);
    carries(port);
    assert!(autossh.log().contains("signalled to kill and restart ssh"));
    sshd.crash();
    autossh.wait_log("sleeping for grace time 1800 secs");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait().code(), Some(1));
    assert!(autossh.log().contains("signalled to exit"));
}

#[test]
fn an_echo_service_is_asked_over_and_over_and_its_silence_restarts_the_session() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let autossh = Autossh::new().with("AUTOSSH_POLL", "1").with("AUTOSSH_LOGLEVEL", "7");
    let line = |echo| format!("-M {port}:{echo} -N {} -D {} {}", options(&sshd), free_port(), host());
    let mut running = autossh.start(&words(&line(echo.port)));
    autossh.wait_log("connection ok");
    assert!(!autossh.log().contains("port down"));
    running.signal(Signal::SIGTERM);
    running.wait();
    let _running = autossh.start(&words(&line(Target::start(Service::Reset).port)));
    autossh.wait_log("port down, restarting ssh");
    autossh.wait_log("starting ssh (count 2)");
}

#[test]
fn ready_is_said_when_the_tunnel_is() {
    let (sshd, echo, port, notify) = (Sshd::start(), Target::start(Service::Echo), free_port(), Notify::bind());
    let autossh = Autossh::new().with("NOTIFY_SOCKET", &notify.path());
    let line = format!("-M 0 -N {} -R {port}:127.0.0.1:{} {}", options(&sshd), echo.port, host());
    let _running = autossh.start(&words(&line));
    notify.until("READY=1");
    carries(port);
}

/// Recipes of tests/autossh/recipes.toml with one of these forwards are run as they are, on ports of the kernel's choice.
#[test]
fn recipes_run_unchanged() {
    #[derive(serde::Deserialize)]
    struct Table {
        recipe: Vec<Recipe>,
    }
    #[derive(serde::Deserialize)]
    struct Recipe {
        name: String,
        form: String,
        text: String,
        outcome: String,
    }
    const UNFIT: [&str; 9] =
        [" -M 20000", " -p ", " -i ", "UserKnownHostsFile", "_LOGFILE", "-J ", "ssh://", "|", "-E "];
    let table: Table = toml::from_str(include_str!("../autossh/recipes.toml")).expect("the table is TOML");
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let mut run = 0;
    for recipe in table.recipe {
        let simple = ["2222:localhost:22", "8080:localhost:80"].iter().any(|known| recipe.text.contains(known));
        let shell = ["shell", "environment"].contains(&recipe.form.as_str());
        if recipe.outcome != "tunnel" || !shell || !simple || UNFIT.iter().any(|unfit| recipe.text.contains(unfit)) {
            continue;
        }
        let port = free_port();
        let forward = format!("{port}:127.0.0.1:{}", echo.port);
        let text = recipe.text.replace("2222:localhost:22", &forward).replace("8080:localhost:80", &forward);
        let text = text.replace("user@relay.example", "relay").replace("relay.example", "relay").replace('"', "'");
        let mut autossh = Autossh::new();
        let config = format!(
            "Host relay\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n IdentityAgent none\n UserKnownHostsFile {}\n",
            sshd.port,
            keys::user(),
            sshd.user_key.display(),
            sshd.known_hosts.display()
        );
        std::fs::write(autossh.dir().join("config"), config).expect("a config");
        let mut line = words(&text);
        let Some(at) = line.iter().position(|word| word == "autossh") else { continue };
        // A line that needs more than assignments in front (nohup, sudo) is another program's.
        if !line[..at].iter().all(|word| word.contains('=')) {
            continue;
        }
        for assignment in line.drain(..=at).filter(|word| word != "autossh") {
            let (name, value) = assignment.split_once('=').expect("an assignment");
            autossh = autossh.with(name, value);
        }
        line.splice(0..0, ["-F".to_owned(), "config".to_owned()]);
        let _running = autossh.start(&line);
        eventually(&recipe.name, || echoes(port).then_some(()));
        run += 1;
    }
    assert!(run >= 8, "only {run} recipes were run");
}
