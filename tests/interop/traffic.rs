//! Bytes are never reordered, dropped or duplicated.

use support::net::{Service, Target, free_port};
use support::traffic::echo_intact;
use support::{Daemon, Sshd, tunnel_toml};

const EACH: usize = 32 << 20;

#[test]
fn eight_connections_carry_256_mib_each_way_intact() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (local, remote) = (free_port(), free_port());
    let lines = format!(
        "local_forward = [\"{local}:127.0.0.1:{0}\"]\nremote_forward = [\"{remote}:127.0.0.1:{0}\"]",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    echo_intact(local, 8, EACH);
    echo_intact(remote, 8, EACH);
    let tunnel = daemon.tunnel("t").expect("a status");
    for forward in tunnel["forwards"].as_array().expect("forwards") {
        assert_eq!(forward["bytes_in"], 8 * EACH, "{forward}");
        assert_eq!(forward["bytes_out"], 8 * EACH, "{forward}");
        assert_eq!(forward["opened"], 8);
        assert_eq!(forward["failed"], 0);
    }
}

#[test]
fn a_transfer_goes_on_through_many_rekeys() {
    let sshd = Sshd::with_config("RekeyLimit 4M\nLogLevel DEBUG1");
    let (echo, port) = (Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    echo_intact(port, 8, 8 << 20);
    let rekeys = sshd.log().matches("rekey in after").count();
    assert!(rekeys >= 8, "64 MiB came in, in steps of 4, and {rekeys} rekeys were made");
    let tunnel = daemon.tunnel("t").expect("a status");
    assert_eq!(tunnel["starts"], 1, "the session outlives its rekeys\n{}", daemon.log());
}
