//! Tunnel devices (ssh's `-w`) between two hosts: packets both ways, a device that stays, and servers that refuse.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use support::cost::Cost;
use support::netlab::{Host, Netlab};
use support::patience::within;
use support::{Daemon, eventually};

const HERE: &str = "10.99.0.1";
const THERE: &str = "10.99.0.2";
const MIB: usize = 1024 * 1024;

/// Gives a device its address, and takes it up.
fn set_up(host: &Host, device: &str, address: &str) {
    host.ip(&format!("address add {address}/30 dev {device}"));
    host.ip(&format!("link set {device} up"));
}

/// ICMP, as an operator would look.
fn pings(host: &Host, address: &str) -> bool {
    host.run(|| {
        let ping = Command::new("ping").args(["-c", "1", "-W", "2", address]).output().expect("ping runs");
        ping.status.success()
    })
}

/// So many bytes from one host to an address of the other, over one connection; each is compared.
fn carries(from: &Host, to: &Host, address: &str, bytes: usize) {
    let listener = to.run(|| TcpListener::bind((address, 0)).expect("a listener on the device's address"));
    let port = listener.local_addr().expect("its port").port();
    let pattern: Vec<u8> = (0..=250).cycle().take(251 * 1000).collect();
    let received = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let (mut buffer, mut at) = (vec![0; 64 * 1024], 0_usize);
            loop {
                let length = stream.read(&mut buffer).expect("bytes");
                if length == 0 {
                    return at;
                }
                let same = buffer[..length].iter().enumerate().all(|(i, byte)| usize::from(*byte) == (at + i) % 251);
                assert!(same, "another byte than was sent, near {at}");
                at += length;
            }
        });
        let mut stream = from.run(|| TcpStream::connect((address, port)).expect("a way through the devices"));
        let mut rest = bytes;
        while rest > 0 {
            let piece = rest.min(pattern.len());
            stream.write_all(&pattern[..piece]).expect("it is taken");
            rest -= piece;
        }
        drop(stream);
        receiver.join().expect("the receiver")
    });
    assert_eq!(received, bytes);
}

fn wait_up(daemon: &Daemon) {
    daemon.wait_for("t", "its device is up", |tunnel| tunnel["forwards"][0]["state"] == "up");
}

#[test]
fn packets_pass_both_ways_and_the_device_outlives_its_session() {
    let Some(lab) = Netlab::start_with("PermitTunnel point-to-point\nClientAliveInterval 1") else { return };
    // Made beforehand, the server's device keeps its address, too.
    lab.server.ip("tuntap add dev tun6 mode tun");
    set_up(&lab.server, "tun6", THERE);
    let daemon = lab.client.run(|| Daemon::start(&lab.tunnel_toml("tunnel_device = \"5:6\"")));
    wait_up(&daemon);
    set_up(&lab.client, "tun5", HERE);
    eventually("a ping to the server", || pings(&lab.client, THERE).then_some(()));
    assert!(pings(&lab.server, HERE), "and one back");
    carries(&lab.client, &lab.server, THERE, 64 * MIB);
    carries(&lab.server, &lab.client, HERE, 64 * MIB);
    let forward = daemon.tunnel("t").expect("it is known")["forwards"][0].clone();
    assert_eq!(
        (&forward["name"], &forward["kind"], &forward["listen"], &forward["connect"]),
        (&"-w 5:6".into(), &"tunnel_device".into(), &"tun5".into(), &"6".into())
    );
    let at_least = |count: &str| assert!(forward[count].as_u64() > Some(64 << 20), "{count} {forward:#}");
    at_least("bytes_in");
    at_least("bytes_out");

    lab.kill_sessions();
    daemon.wait_for("t", "another session", |tunnel| tunnel["starts"] == 2 && tunnel["ready"] == true);
    eventually("a ping without another word to either host", || pings(&lab.client, THERE).then_some(()));
    carries(&lab.server, &lab.client, HERE, MIB);

    // A stopped tunnel has none.
    assert!(daemon.cli(&["stop", "t"]).status.success());
    eventually("the device is gone", || {
        lab.client.run(|| (!std::path::Path::new("/proc/self/net/dev_snmp6/tun5").exists()).then_some(()))
    });
}

#[test]
fn removed_device_is_told_and_made_again() {
    let Some(lab) = Netlab::start_with("PermitTunnel yes") else { return };
    let daemon = lab.client.run(|| Daemon::start(&lab.tunnel_toml("tunnel_device = \"3:any\"")));
    wait_up(&daemon);
    lab.client.ip("link del tun3");
    daemon.wait_for("t", "it is told", |tunnel| {
        let message = tunnel["forwards"][0]["message"].as_str().unwrap_or_default();
        tunnel["ready"] == false && message.contains("`tun3` is gone")
    });
    wait_up(&daemon);
    lab.client.ip("link show tun3");
}

#[test]
fn frames_pass_between_devices_of_any_number() {
    let Some(lab) = Netlab::start_with("PermitTunnel yes") else { return };
    let daemon = lab.client.run(|| Daemon::start(&lab.tunnel_toml("tunnel_device = \"ethernet:any:any\"")));
    wait_up(&daemon);
    assert_eq!(daemon.tunnel("t").expect("it is known")["forwards"][0]["listen"], "tap0");
    set_up(&lab.client, "tap0", HERE);
    set_up(&lab.server, "tap0", THERE);
    eventually("a ping", || pings(&lab.client, THERE).then_some(()));
    carries(&lab.client, &lab.server, THERE, 4 * MIB);
}

#[test]
fn server_without_permit_tunnel_is_told_and_the_session_stays() {
    let Some(lab) = Netlab::start() else { return };
    let daemon = lab.client.run(|| Daemon::start(&lab.tunnel_toml("tunnel_device = \"any\"")));
    let tunnel = daemon.wait_for("t", "it is told", |tunnel| tunnel["forwards"][0]["state"] == "down");
    let message = tunnel["forwards"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("rejected tunnel device") && message.contains("PermitTunnel"), "{message}");
    assert_eq!(tunnel["last_failure"]["kind"], "remote_forward_denied");
    assert_eq!((&tunnel["phase"], &tunnel["ready"]), (&"up".into(), &false.into()));
}

#[test]
fn device_of_another_program_is_told_and_had_when_it_is_free() {
    let Some(lab) = Netlab::start_with("PermitTunnel yes") else { return };
    let first = lab.client.run(|| Daemon::start(&lab.tunnel_toml("tunnel_device = \"0:any\"")));
    wait_up(&first);
    let second = lab.client.run(|| Daemon::start(&lab.tunnel_toml("tunnel_device = \"0:any\"")));
    let tunnel = second.wait_for("t", "it is told", |tunnel| tunnel["forwards"][0]["state"] == "down");
    assert_eq!(tunnel["last_failure"]["kind"], "listen_in_use");
    drop(first);
    wait_up(&second);
}

#[test]
fn idle_device_costs_nothing() {
    let Some(lab) = Netlab::start_with("PermitTunnel yes") else { return };
    let daemon = lab.client.run(|| Daemon::start(&lab.tunnel_toml("tunnel_device = \"5:any\"")));
    wait_up(&daemon);
    let wait = |seconds| {
        let _ = within(Duration::from_secs(seconds), || None::<()>);
    };
    // Until what the start leaves behind has ended.
    wait(4);
    let before = Cost::of(daemon.pid());
    wait(8);
    let Cost { cpu, wakeups } = Cost::of(daemon.pid()) - before;
    assert!(cpu <= Duration::from_millis(100) && wakeups <= 400, "{cpu:?} on a processor, {wakeups} wakeups");
}
