//! `-M port` needs two hosts: the same port is listened on here and there.

use nix::sys::signal::Signal;
use support::autossh::{Autossh, words};
use support::netlab::Netlab;
use support::{eventually, keys};

#[test]
fn the_monitors_loop_goes_round_and_a_swallowed_line_restarts_the_session() {
    let Some(lab) = Netlab::start() else { return };
    let autossh = Autossh::new().with("AUTOSSH_POLL", "2").with("AUTOSSH_LOGLEVEL", "7");
    let dir = lab.dir().display().to_string();
    let line = format!(
        "-M 20000 -N -F none -o IdentityAgent=none -o UserKnownHostsFile={dir}/known_hosts -i {dir}/user_key \
         -D 1080 {}@{}",
        keys::user(),
        Netlab::SERVER
    );
    let mut running = lab.client.run(|| autossh.start(&words(&line)));
    autossh.wait_log("connection ok");
    let listening = |host: &support::netlab::Host, port: u16| {
        host.run(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
    };
    // Other tools see the forwards: ours, and the server's.
    assert!(listening(&lab.client, 20000) && listening(&lab.server, 20000));
    assert!(!autossh.log().contains("port down"), "{}", autossh.log());
    lab.drop_all();
    autossh.wait_log("port down, restarting ssh");
    // Which of them depends on whether the path was in doubt already.
    let said =
        ["timeout polling to accept read connection", "timeout on io poll", "error on poll", "not what I sent: "];
    assert!(said.iter().any(|words| autossh.log().contains(words)), "{}", autossh.log());
    lab.undrop();
    eventually("the loop goes round again", || {
        let log = autossh.log();
        let (_, after) = log.rsplit_once("port down")?;
        after.contains("connection ok").then_some(())
    });
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait().code(), Some(1));
}

/// The real one and ours, with the loop over both hosts, and a session that the server kills.
#[test]
fn the_loop_is_told_as_the_real_one_tells_it() {
    let Some(lab) = Netlab::start() else { return };
    let dir = lab.dir().display().to_string();
    let stories = [Autossh::original(), Autossh::new()].map(|autossh| {
        let autossh = autossh.with_all(&[("AUTOSSH_POLL", "5"), ("AUTOSSH_LOGLEVEL", "7")]);
        let line = format!(
            "-M 20000 -N -F none -o IdentityAgent=none -o UserKnownHostsFile={dir}/known_hosts -i {dir}/user_key \
             -D 1080 {}@{}",
            keys::user(),
            Netlab::SERVER
        );
        let mut running = lab.client.run(|| autossh.start(&words(&line)));
        autossh.wait_log("connection ok");
        lab.kill_sessions();
        autossh.wait_log("starting ssh (count 2)");
        eventually("the loop goes round again", || (autossh.log().matches("connection ok").count() > 1).then_some(()));
        running.signal(Signal::SIGTERM);
        assert_eq!(running.wait().code(), Some(1));
        let log = autossh.log();
        let texts = log.lines().filter_map(|line| line.split_once("]: ")).map(|(_, text)| text);
        let both = texts.filter(|text| COMMON.iter().any(|common| text.contains(common)));
        let mut story: Vec<String> = both.map(str::to_owned).collect();
        story.dedup();
        story
    });
    assert_eq!(stories[1], stories[0], "ours on the left");
    assert!(stories[0].len() >= 9, "{stories:?}");
}

/// What both tell of it; the rest is about the child and its clock, or about ssh's reasons.
const COMMON: [&str; 9] = [
    "short poll time",
    "checking for grace",
    "starting ssh",
    "connection ok",
    "ssh exited",
    "port down",
    "timeout",
    "not what I sent",
    "received signal to exit",
];

/// B14 (b): another client has the monitor's port on the server. The session is fine, and the real one takes it down with
/// every test.
#[test]
fn b14_a_monitor_port_that_is_taken_on_the_server_does_not_cost_the_session() {
    let Some(lab) = Netlab::start() else { return };
    // Of both families: sshd is content with one.
    let taken = lab.server.run(|| ["127.0.0.1", "::1"].map(|own| std::net::TcpListener::bind((own, 20000))));
    assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    let dir = lab.dir().display().to_string();
    let line = format!(
        "-M 20000 -N -F none -o IdentityAgent=none -o UserKnownHostsFile={dir}/known_hosts -i {dir}/user_key -D 1080 \
         {}@{}",
        keys::user(),
        Netlab::SERVER
    );
    let wishes = [("AUTOSSH_POLL", "5"), ("AUTOSSH_LOGLEVEL", "7")];
    let theirs = Autossh::original().with_all(&wishes);
    let mut running = lab.client.run(|| theirs.start(&words(&line)));
    theirs.wait_log("port down, restarting ssh");
    running.signal(Signal::SIGTERM);
    running.wait();

    let autossh = Autossh::new().with_all(&wishes);
    let _running = lab.client.run(|| autossh.start(&words(&line)));
    let no_line = "the monitor's own forwards are not in place, so no line is sent";
    autossh.wait_log(no_line);
    assert!(!autossh.log().contains("port down") && !autossh.log().contains("count 2"), "{}", autossh.log());
    // Free again, it is taken by the session that waits for it.
    drop(taken);
    autossh.wait_log("connection ok");
    let log = autossh.log();
    assert!(!log.contains("count 2") && log.matches(no_line).count() == 1, "{log}");
}
