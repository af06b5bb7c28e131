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
    // Which of the two depends on whether the path was in doubt already.
    let said = ["timeout polling to accept read connection", "error on poll"];
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
