//! Servers that mean harm before a login: each costs an attempt and bounded memory, is told by its name in
//! `status`, and disturbs no other tunnel.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use support::cost::{descriptors, memory_kib};
use support::net::{Service, Target, echoes, free_port};
use support::patience::{PATIENCE, within};
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// What all of them together may cost, in KiB: each may send as much as it can. Measured with a debug build: 2984 before, 7728 at most.
const MAX_GROWTH: u64 = 24 * 1024;

/// A server that goes on for ever stops after this: a client that took it all would have kept it somewhere.
const ENDLESS: usize = 64 << 20;

const BANNER: &[u8] = b"SSH-2.0-hostile\r\n";

/// Name, what is sent, what is repeated behind it, and whether the connection is closed then.
struct Hostile {
    name: &'static str,
    sends: Vec<u8>,
    repeats: Vec<u8>,
    closes: bool,
    /// The failure that `status` names.
    kind: &'static str,
}

fn all() -> Vec<Hostile> {
    let hostile = |name, sends: &[&[u8]], repeats: &[u8], closes, kind| Hostile {
        name,
        sends: sends.concat(),
        repeats: repeats.to_vec(),
        closes,
        kind,
    };
    let strong = packet(&kexinit(["curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com", "hmac-sha2-256"]));
    let weak = packet(&kexinit(["diffie-hellman-group1-sha1", "ssh-dss", "3des-cbc", "hmac-md5"]));
    let long = packet(&kexinit([&"a,".repeat(16_000), "ssh-ed25519", "aes128-ctr", "hmac-sha2-256"]));
    let ignore = packet(&[&[2, 0, 0, 0x40, 0][..], &[b'x'; 0x4000]].concat());
    vec![
        hostile("silent", &[], b"", false, "connect_timeout"),
        hostile("half-banner", &[b"SSH-2.0-hos"], b"", false, "connect_timeout"),
        hostile("endless-line", &[], b"xxxxxxxxxxxxxxxx", false, "protocol"),
        hostile("endless-lines", &[], b"welcome\r\n", false, "protocol"),
        hostile("banner-only", &[BANNER], b"", false, "connect_timeout"),
        hostile("oversize", &[BANNER, &[0xff; 4]], b"xxxxxxxxxxxxxxxx", false, "protocol"),
        hostile("no-length", &[BANNER], &[0; 16], false, "protocol"),
        hostile("truncated", &[BANNER, &strong[..strong.len() / 2]], b"", true, "closed_by_server"),
        hostile("ignore", &[BANNER], &ignore, false, "connect_timeout"),
        hostile("stops", &[BANNER, &strong], b"", false, "connect_timeout"),
        hostile("long-lists", &[BANNER, &long], b"", false, "no_common_algorithm"),
        hostile("weak", &[BANNER, &weak], b"", false, "no_common_algorithm"),
    ]
}

#[test]
fn hostile_servers_cost_an_attempt_each_and_bounded_memory() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let good = tunnel_toml("good", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port));
    let daemon = Daemon::start(&good);
    daemon.wait_ready("good");
    assert!(echoes(port));
    let (before, open) = (memory_kib(daemon.pid()), descriptors(daemon.pid()));

    let hostile = all();
    let tunnels = hostile.iter().map(|server| {
        format!(
            "[[tunnel]]\nname = \"{}\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"u\"\nconnect_timeout = 3\n\
             identity_agent = \"none\"\nidentity_file = []\nuser_known_hosts_file = \"none\"\nremote_forward = [\"0:127.0.0.1:1\"]\n",
            server.name,
            start(server),
        )
    });
    daemon.write_config(&format!("{good}{}", tunnels.collect::<String>()));
    assert!(daemon.cli(&["reload"]).status.success(), "{}", daemon.log());

    let mut most = before;
    let told = within(2 * PATIENCE, || {
        most = most.max(memory_kib(daemon.pid()));
        let status = daemon.status()?;
        let failed = |name: &str| {
            let tunnels = status["tunnels"].as_array().expect("tunnels");
            let tunnel = tunnels.iter().find(|tunnel| tunnel["name"] == name).expect("each is there");
            tunnel["last_failure"]["kind"].as_str().map(str::to_owned)
        };
        hostile.iter().map(|server| Some((server.name, failed(server.name)?))).collect::<Option<Vec<_>>>()
    });
    let told = told.unwrap_or_else(|| panic!("not all have failed\n{}", daemon.log()));
    let expected: Vec<_> = hostile.iter().map(|server| (server.name, server.kind.to_owned())).collect();
    assert_eq!(told, expected, "{}", daemon.log());
    assert!(echoes(port), "another tunnel is disturbed");
    // Some more attempts.
    let tries = |name: &str| daemon.tunnel(name).and_then(|tunnel| tunnel["starts"].as_u64()).unwrap_or_default();
    eventually("it is tried again", || {
        most = most.max(memory_kib(daemon.pid()));
        (tries("oversize") > 2 && tries("endless-line") > 2).then_some(())
    });
    assert!(most < before + MAX_GROWTH, "{before} KiB before, {most} KiB at most");

    daemon.write_config(&good);
    assert!(daemon.cli(&["reload"]).status.success(), "{}", daemon.log());
    // A thread that serves long key exchanges stays, with three of its own.
    let closed = within(PATIENCE, || (descriptors(daemon.pid()) <= open + 5).then_some(()));
    let links = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it lives").flatten();
    let left: Vec<_> = links().filter_map(|link| std::fs::read_link(link.path()).ok()).collect();
    assert!(closed.is_some(), "{open} descriptors before, and now {left:?}");
    assert!(echoes(port), "{}", daemon.log());
}

/// A server on a port of its own, for any number of connections.
fn start(hostile: &Hostile) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let (sends, closes) = (hostile.sends.clone(), hostile.closes);
    let block = hostile.repeats.repeat(if hostile.repeats.is_empty() { 0 } else { (1 << 18) / hostile.repeats.len() });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (sends, block) = (sends.clone(), block.clone());
            thread::spawn(move || {
                let sent = serve(&mut stream, &sends, &block, closes);
                // Until the client has gone.
                sent.and_then(|()| std::io::copy(&mut stream, &mut std::io::sink()))
            });
        }
    });
    port
}

fn serve(stream: &mut TcpStream, sends: &[u8], block: &[u8], closes: bool) -> std::io::Result<()> {
    stream.write_all(sends)?;
    if !block.is_empty() {
        // What the client says is read, so that it never waits for us.
        let mut reader = stream.try_clone()?;
        thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        for _ in 0..ENDLESS / block.len() {
            stream.write_all(block)?;
        }
    }
    if closes {
        let _ = stream.read(&mut [0; 256])?;
        stream.shutdown(std::net::Shutdown::Both)?;
    }
    Ok(())
}

/// RFC 4253 section 6, before there are keys.
fn packet(content: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (content.len() + 5 + 4) % 8) % 8;
    let length = u32::try_from(content.len() + 1 + padding).expect("short");
    let padding_length = u8::try_from(padding).expect("short");
    [&length.to_be_bytes()[..], &[padding_length], content, &vec![0; padding]].concat()
}

/// SSH_MSG_KEXINIT (RFC 4253 section 7.1) with one list of each kind.
fn kexinit([kex, host_key, cipher, mac]: [&str; 4]) -> Vec<u8> {
    let lists = [kex, host_key, cipher, cipher, mac, mac, "none", "none", "", ""];
    let list = |names: &str| [&u32::try_from(names.len()).expect("short").to_be_bytes()[..], names.as_bytes()].concat();
    let lists: Vec<u8> = lists.into_iter().flat_map(list).collect();
    [&[20][..], &[7; 16], &lists, &[0; 5]].concat()
}
