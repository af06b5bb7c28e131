//! Reload: what did not change keeps its session and its connections; what is wrong changes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;
use support::daemon::said;
use support::net::{Service, Target, connect, echoes, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};

fn says_back(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).expect("an old connection takes bytes");
    let mut answer = vec![0; word.len()];
    stream.read_exact(&mut answer).expect("an old connection gives bytes");
    assert_eq!(answer, word);
}

#[test]
fn forwards_are_added_removed_and_changed_while_another_one_carries_traffic() {
    let (sshd, echo, count) = (Sshd::start(), Target::start(Service::Echo), Target::start(Service::Count));
    let [kept, removed, changed, added, remote] = [(); 5].map(|()| free_port());
    let forward = |listen: u16, target: &Target| format!("\"{listen}:127.0.0.1:{}\"", target.port);
    let before = format!(
        "local_forward = [{}, {}, {}]",
        forward(kept, &echo),
        forward(removed, &echo),
        forward(changed, &count)
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &before));
    daemon.wait_ready("t");
    let mut old = connect(kept).expect("the kept forward accepts");
    says_back(&mut old, b"before");

    let after = format!(
        "local_forward = [{}, {}, {}]\nremote_forward = [{}]",
        forward(kept, &echo),
        forward(changed, &echo),
        forward(added, &echo),
        forward(remote, &echo)
    );
    daemon.write_config(&tunnel_toml("t", &sshd, &after));
    let plan = daemon.cli(&["plan", "--config", &daemon.config().display().to_string()]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains(&added.to_string()) && plan.contains(&removed.to_string()), "{plan}");
    assert!(TcpStream::connect(("127.0.0.1", added)).is_err(), "a plan changes nothing");
    let reload = daemon.cli(&["reload"]);
    assert!(reload.status.success(), "{reload:?}");

    eventually("the added forwards carry", || (echoes(added) && echoes(remote)).then_some(()));
    eventually("the changed forward goes to its new target", || echoes(changed).then_some(()));
    eventually("the removed forward is closed", || TcpStream::connect(("127.0.0.1", removed)).is_err().then_some(()));
    says_back(&mut old, b"after");
    let without = daemon.dir().join("without.toml");
    let others = format!("local_forward = [{}]", forward(added, &echo));
    std::fs::write(&without, tunnel_toml("t", &sshd, &others)).expect("another config");
    let plan = daemon.cli(&["plan", "--config", &without.display().to_string()]);
    assert!(said(&plan).contains("would end") && said(&plan).contains("1 live connection"), "{}", said(&plan));
    says_back(&mut old, b"planned");
    let tunnel = daemon.wait_ready("t");
    assert_eq!(tunnel["starts"], 1, "no new login");
    assert_eq!(sshd.sessions().len(), 1);
}

#[test]
fn empty_file_stops_no_tunnel_and_a_config_without_tunnels_does() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let good = tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port));
    let daemon = Daemon::start(&good);
    daemon.wait_ready("t");
    let mut old = connect(port).expect("the forward accepts");
    std::fs::write(daemon.config(), "# nothing\n").expect("a write that broke off");
    for verb in ["plan", "reload"] {
        let refused = daemon.cli(&[verb]);
        assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
        assert!(said(&refused).contains("`tunnel = []`"), "{}", said(&refused));
    }
    std::fs::write(daemon.config(), "").expect("another one");
    daemon.signal(Signal::SIGHUP);
    eventually("the refusal is logged", || {
        (daemon.log().matches("the config was refused, nothing has changed").count() == 2).then_some(())
    });
    says_back(&mut old, b"still");
    assert_eq!(daemon.cli(&["status"]).status.code(), Some(0));
    daemon.write_config("");
    let reload = daemon.cli(&["reload"]);
    assert!(reload.status.success(), "{}", said(&reload));
    assert!(daemon.log().contains("WARN no tunnel is left"), "{}", daemon.log());
    eventually("the tunnel is gone", || connect(port).is_err().then_some(()));
}

#[test]
fn a_broken_config_changes_nothing_and_says_every_error() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let good = tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port));
    let daemon = Daemon::start(&good);
    daemon.wait_ready("t");
    daemon.write_config(&format!("{good}[[tunnel]]\nname = \"x\"\nhostt = \"q\"\nlocal_forward = [\"99999:a:b\"]\n"));
    let reload = daemon.cli(&["reload"]);
    assert_eq!(reload.status.code(), Some(78));
    let said = said(&reload);
    assert!(said.contains("hostt") && said.contains("99999"), "{said}");
    assert!(said.contains(&format!("{}:", daemon.config().display())), "{said}");
    daemon.signal(Signal::SIGHUP);
    eventually("the refused reload is logged", || daemon.log().contains("hostt").then_some(()));
    assert!(echoes(port));
    assert_eq!(daemon.status().expect("a status")["generation"], 1);
}

#[test]
fn tunnels_come_and_go_and_the_rest_keeps_its_session() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let [a, b, c] = [(); 3].map(|()| free_port());
    let tunnel = |name: &str, port: u16| {
        tunnel_toml(name, &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port))
    };
    let daemon = Daemon::start(&format!("{}{}", tunnel("a", a), tunnel("b", b)));
    daemon.wait_ready("a");
    daemon.wait_ready("b");
    let mut old = connect(a).expect("a accepts");
    says_back(&mut old, b"1");
    daemon.write_config(&format!("{}{}", tunnel("a", a), tunnel("c", c)));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_ready("c");
    eventually("b is gone", || {
        (daemon.tunnel("b").is_none() && TcpStream::connect(("127.0.0.1", b)).is_err()).then_some(())
    });
    says_back(&mut old, b"2");
    assert!(echoes(c));
    assert_eq!(daemon.tunnel("a").expect("a status")["starts"], 1);
    assert_eq!(daemon.status().expect("a status")["generation"], 2);
}

#[test]
fn a_changed_server_replaces_the_session_without_refusing_a_connection() {
    let (first, second, echo, port) = (Sshd::start(), Sshd::start(), Target::start(Service::Echo), free_port());
    let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &first, &forward));
    daemon.wait_ready("t");
    daemon.write_config(&tunnel_toml("t", &second, &forward));
    assert!(daemon.cli(&["reload"]).status.success());
    eventually("the new server serves", || {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "the listener is never closed");
        (second.sessions().len() == 1 && first.sessions().is_empty()).then_some(())
    });
    assert!(echoes(port));
}
