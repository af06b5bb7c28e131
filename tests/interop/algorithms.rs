//! Every algorithm that a list may name, with servers that have it: bytes pass both ways while keys are renewed.

use support::daemon::Server;
use support::net::{Service, Target, free_port};
use support::traffic::echo_intact;
use support::{Daemon, Dropbear, Sshd, keys, tunnel_toml};

/// Each tunnel carries as much both ways, and renews its keys whenever so much has passed.
const BYTES: usize = 3 << 19;
const RENEWAL: &str = "rekey_limit = \"512K\"";

const KEX: &[&str] = &[
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
];
const AEADS: &[&str] = &["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];
const CIPHERS: &[&str] = &["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-cbc", "aes192-cbc", "aes256-cbc"];
const MACS: &[&str] = &[
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1",
];

/// One tunnel for each of these lines of config.
fn all_carry(server: &dyn Server, each: &[String]) -> Daemon {
    let echo = Target::start(Service::Echo);
    let ports: Vec<u16> = each.iter().map(|_| free_port()).collect();
    let tunnels = each.iter().zip(&ports).enumerate().map(|(number, (lines, port))| {
        let lines = format!("local_forward = [\"{port}:127.0.0.1:{}\"]\n{RENEWAL}\n{lines}", echo.port);
        tunnel_toml(&format!("t{number}"), server, &lines)
    });
    let daemon = Daemon::start(&tunnels.collect::<Vec<_>>().join("\n"));
    for (number, port) in ports.into_iter().enumerate() {
        daemon.wait_ready(&format!("t{number}"));
        echo_intact(port, 2, BYTES / 2);
        let tunnel = daemon.tunnel(&format!("t{number}")).expect("a status");
        assert_eq!(tunnel["starts"], 1, "{}: {}", each[number], daemon.log());
    }
    daemon
}

fn agreed(daemon: &Daemon, number: usize, what: &str) -> String {
    let tunnel = daemon.tunnel(&format!("t{number}")).expect("a status");
    tunnel["session"][what].as_str().expect("a session").to_owned()
}

fn sshd(lines: &str) -> Sshd {
    Sshd::with_config(&format!("LogLevel DEBUG1\nMaxStartups 100\nRekeyLimit 768K\n{lines}"))
}

/// Each session of `count` has renewed its keys twice, by sshd's log.
fn renewed(sshd: &Sshd, count: usize) {
    let log = sshd.log();
    let renewals = log.lines().filter(|line| line.contains("SSH2_MSG_KEXINIT received") && !line.contains("[preauth]"));
    assert!(renewals.count() >= 2 * count);
}

#[test]
fn openssh_and_every_key_exchange_method() {
    let sshd = sshd(&format!("KexAlgorithms {}", KEX.join(",")));
    let each: Vec<String> = KEX.iter().map(|kex| format!("kex_algorithms = \"{kex}\"")).collect();
    let daemon = all_carry(&sshd, &each);
    for (number, kex) in KEX.iter().enumerate() {
        assert_eq!(agreed(&daemon, number, "kex"), *kex);
        let tunnel = daemon.tunnel(&format!("t{number}")).expect("a status");
        assert_eq!(tunnel["session"]["post_quantum"], kex.starts_with("sntrup"), "{kex}");
    }
    renewed(&sshd, KEX.len());
}

/// Without a list, too, the exchange with a server of these years is post-quantum.
#[test]
fn openssh_9_gets_a_post_quantum_exchange_unasked() {
    let sshd = Sshd::start();
    let daemon = Daemon::start(&tunnel_toml("t0", &sshd, &support::daemon::any_forward(&sshd)));
    let tunnel = daemon.wait_ready("t0");
    assert_eq!(tunnel["session"]["post_quantum"], true, "{tunnel}");
}

#[test]
fn openssh_and_every_cipher_with_every_mac() {
    let all = [AEADS, CIPHERS].concat();
    let sshd = sshd(&format!("Ciphers {}\nMACs {}", all.join(","), MACS.join(",")));
    let with_mac = CIPHERS.iter().flat_map(|cipher| MACS.iter().map(move |mac| (*cipher, Some(*mac))));
    let pairs: Vec<(&str, Option<&str>)> = AEADS.iter().map(|cipher| (*cipher, None)).chain(with_mac).collect();
    let lines = |(cipher, mac): &(&str, Option<&str>)| {
        let mac = mac.map(|mac| format!("macs = \"{mac}\"")).unwrap_or_default();
        format!("ciphers = \"{cipher}\"\n{mac}")
    };
    let daemon = all_carry(&sshd, &pairs.iter().map(lines).collect::<Vec<_>>());
    for (number, (cipher, _)) in pairs.iter().enumerate() {
        assert_eq!(agreed(&daemon, number, "cipher"), *cipher);
    }
    renewed(&sshd, pairs.len());
}

#[test]
fn openssh_and_compression_with_each_kind_of_cipher() {
    let ciphers = ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes128-cbc"];
    let sshd = sshd(&format!("Ciphers {}", ciphers.join(",")));
    let each: Vec<String> =
        ciphers.iter().map(|cipher| format!("ciphers = \"{cipher}\"\ncompression = true")).collect();
    all_carry(&sshd, &each);
}

#[test]
fn openssh_and_every_host_key_algorithm() {
    for (kind, options, algorithms) in [
        ("ecdsa", &["-t", "ecdsa", "-b", "256"][..], &["ecdsa-sha2-nistp256"][..]),
        ("ecdsa", &["-t", "ecdsa", "-b", "384"], &["ecdsa-sha2-nistp384"]),
        ("ecdsa", &["-t", "ecdsa", "-b", "521"], &["ecdsa-sha2-nistp521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"], &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]),
    ] {
        let mut sshd = sshd("HostKeyAlgorithms +ssh-rsa");
        sshd.crash();
        for name in ["host_key", "host_key.pub"] {
            std::fs::remove_file(sshd.dir().join(name)).expect("the host key");
        }
        let host_key = keys::generate(sshd.dir(), "host_key", options);
        let line = format!("[127.0.0.1]:{} {}\n", sshd.port, keys::public(&host_key));
        std::fs::write(&sshd.known_hosts, line).expect("known_hosts");
        sshd.launch();
        let each: Vec<String> =
            algorithms.iter().map(|algorithm| format!("host_key_algorithms = \"{algorithm}\"")).collect();
        let daemon = all_carry(&sshd, &each);
        assert!(agreed(&daemon, 0, "host_key").contains(kind));
        renewed(&sshd, algorithms.len());
    }
}

#[test]
fn dropbear_and_what_it_has() {
    let kex = ["curve25519-sha256", "ecdh-sha2-nistp521", "diffie-hellman-group14-sha256"];
    let ciphers = ["chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"];
    let macs = ["hmac-sha2-256", "hmac-sha1"];
    let kex = kex.iter().map(|name| format!("kex_algorithms = \"{name}\""));
    let pairs = ciphers.iter().flat_map(|cipher| {
        macs.iter().map(move |mac| format!("ciphers = \"{cipher}\"\nmacs = \"{mac}\"\ncompression = true"))
    });
    all_carry(&Dropbear::start(), &kex.chain(pairs).collect::<Vec<_>>());
}
