//! Servers of other makes: what each says that it has. Each cipher and each MAC is met once.

use support::daemon::Server;
use support::{Dropbear, InProcess, PythonServer};

use super::{AEADS, CIPHERS, Cell, HOST_KEYS, KEX, MACS, all_carry, both, offer};

/// At least so many algorithms of ours a server has, so that nothing is left out in silence.
struct Least {
    kex: usize,
    ciphers: usize,
    macs: usize,
    host_keys: usize,
    /// Methods with which it computes for so long in its one thread that connections give up.
    too_slow: &'static [&'static str],
}

fn all(what: &str, server: &dyn Server, least: &Least) {
    let theirs = offer(server.port());
    let mut kex = both(what, KEX, &theirs.kex, least.kex);
    kex.retain(|name| !least.too_slow.contains(name));
    let ciphers = both(what, &[AEADS, CIPHERS].concat(), &theirs.ciphers, least.ciphers);
    let macs = both(what, MACS, &theirs.macs, least.macs);
    // dropbear offers algorithms of keys, too, that it has not.
    let known = std::fs::read_to_string(server.known_hosts()).expect("known_hosts");
    let has_key = |name: &&'static str| known.contains(if name.starts_with("rsa") { "ssh-rsa" } else { name });
    let host_keys = both(what, HOST_KEYS, &theirs.host_keys, least.host_keys);
    let host_keys: Vec<_> = host_keys.into_iter().filter(has_key).collect();
    let mut rest = macs.iter().cycle();
    let mut cells: Vec<Cell> = kex.iter().map(|name| Cell::kex(name)).collect();
    cells.extend(ciphers.iter().map(|cipher| match AEADS.contains(cipher) {
        true => Cell::cipher(cipher, None),
        false => Cell::cipher(cipher, rest.next().copied()),
    }));
    cells.extend(host_keys.iter().map(|name| Cell::host_key(name)));
    all_carry(what, server, &cells);
}

#[test]
fn dropbear_and_what_it_has() {
    let dropbear = Dropbear::start();
    all("dropbear", &dropbear, &Least { kex: 6, ciphers: 3, macs: 2, host_keys: 1, too_slow: &[] });
    let compressed = Cell::cipher("aes128-ctr", Some("hmac-sha2-256")).compressed();
    all_carry("dropbear", &dropbear, &[compressed]);
}

#[test]
fn in_process_server_and_what_it_has() {
    all("russh", &InProcess::start(), &Least { kex: 15, ciphers: 9, macs: 6, host_keys: 7, too_slow: &[] });
}

#[test]
fn asyncssh_and_what_it_has() {
    let server = PythonServer::asyncssh();
    all(
        "asyncssh",
        &server,
        &Least { kex: 14, ciphers: 9, macs: 6, host_keys: 7, too_slow: &["diffie-hellman-group18-sha512"] },
    );
    let compressed = Cell::cipher("chacha20-poly1305@openssh.com", None).compressed();
    all_carry("asyncssh", &server, &[compressed]);
}

#[test]
fn paramiko_and_what_it_has() {
    all("paramiko", &PythonServer::paramiko(), &Least { kex: 10, ciphers: 6, macs: 5, host_keys: 7, too_slow: &[] });
}
