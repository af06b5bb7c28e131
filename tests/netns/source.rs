//! Where a tunnel's connection comes from, on a host with more than one address.

use support::Daemon;
use support::net::free_port;
use support::netlab::Netlab;

#[test]
fn a_tunnel_comes_from_the_interface_that_was_named_as_soon_as_it_is_there() {
    let Some(lab) = Netlab::start() else { return };
    let lines = format!("local_forward = [\"{}:127.0.0.1:22\"]\nbind_interface = \"second\"", free_port());
    let daemon = lab.client.run(|| Daemon::start(&lab.tunnel_toml(&lines)));
    let tunnel = daemon.wait_for("t", "waiting", |tunnel| tunnel["last_failure"]["kind"] == "unreachable");
    let message = tunnel["last_failure"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("there is no interface `second`"), "{message}");
    assert_eq!(tunnel["last_failure"]["permanent"], false);
    let address = lab.second_interface("second");
    daemon.wait_ready("t");
    let log = std::fs::read_to_string(lab.dir().join("sshd.log")).expect("sshd's log");
    assert!(log.contains(&format!(" from {address} port ")), "{log}");

    // As in ssh, an address goes before an interface; and it may be a name.
    daemon.write_config(&lab.tunnel_toml(&format!("{lines}\nbind_address = \"{}\"", Netlab::CLIENT)));
    assert!(daemon.cli(&["reload"]).status.success());
    support::eventually("the session is another one", || {
        let log = std::fs::read_to_string(lab.dir().join("sshd.log")).ok()?;
        log.contains(&format!(" from {} port ", Netlab::CLIENT)).then_some(())
    });
}
