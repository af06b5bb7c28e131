//! Stock OpenSSH.

use std::process::Command;

use support::{Daemon, Sshd, keys, tunnel_toml};

use super::{AEADS, CIPHERS, Cell, HOST_KEYS, KEX, MACS, all_carry, both, size};

/// The server begins exchanges, too.
fn sshd(lines: &str) -> Sshd {
    Sshd::with_config(&format!("MaxStartups 100\nRekeyLimit {}\n{lines}", size().of_server))
}

/// What its `-Q` says that it has.
fn has(what: &str) -> Vec<String> {
    let output = Command::new("ssh").args(["-Q", what]).output().expect("ssh runs");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn openssh_and_every_key_exchange_method() {
    let kex = both("OpenSSH", KEX, &has("kex"), 13);
    let sshd = sshd(&format!("KexAlgorithms {}", kex.join(",")));
    let cells: Vec<Cell> = kex.iter().map(|kex| Cell::kex(kex)).collect();
    all_carry("OpenSSH", &sshd, &cells);
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
    let ciphers = both("OpenSSH", &[AEADS, CIPHERS].concat(), &has("cipher"), 9);
    let macs = both("OpenSSH", MACS, &has("mac"), 6);
    let sshd = sshd(&format!("Ciphers {}\nMACs {}", ciphers.join(","), macs.join(",")));
    let pairs = ciphers.iter().flat_map(|cipher| match AEADS.contains(cipher) {
        true => vec![Cell::cipher(cipher, None)],
        false => macs.iter().map(|mac| Cell::cipher(cipher, Some(mac))).collect(),
    });
    all_carry("OpenSSH", &sshd, &pairs.collect::<Vec<_>>());
}

#[test]
fn openssh_and_compression_with_each_kind_of_cipher() {
    let ciphers = ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes128-cbc"];
    let sshd = sshd(&format!("Ciphers {}", ciphers.join(",")));
    let cells = ciphers.map(|cipher| Cell::cipher(cipher, None).compressed());
    all_carry("OpenSSH", &sshd, &cells);
}

#[test]
fn openssh_and_every_host_key_algorithm() {
    let algorithms = both("OpenSSH", HOST_KEYS, &has("HostKeyAlgorithms"), 7);
    let mut sshd = sshd("HostKeyAlgorithms +ssh-rsa");
    let (mut known, mut lines) = (String::new(), String::new());
    for (name, options) in [
        ("ec256", &["-t", "ecdsa", "-b", "256"]),
        ("ec384", &["-t", "ecdsa", "-b", "384"]),
        ("ec521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ] {
        let host_key = keys::generate(sshd.dir(), name, options);
        known.push_str(&format!("[127.0.0.1]:{} {}\n", sshd.port, keys::public(&host_key)));
        lines.push_str(&format!("HostKey {}\n", host_key.display()));
    }
    let first = std::fs::read_to_string(&sshd.known_hosts).expect("known_hosts");
    std::fs::write(&sshd.known_hosts, format!("{first}{known}")).expect("known_hosts");
    sshd.launch_with(&lines);
    all_carry("OpenSSH", &sshd, &algorithms.iter().map(|name| Cell::host_key(name)).collect::<Vec<_>>());
}
