//! What a server does to a login, or leaves alone.

use std::io::{Read, Write};
use std::net::TcpListener;

use support::net::{connect, free_port};
use support::{Sshd, eventually, keys};

use super::{any_forward, examine, other_user, own_tunnel, tunnel};

#[test]
fn server_that_is_too_busy_is_told_by_its_words() {
    let sshd = Sshd::with_config("MaxStartups 1:100:1");
    // One login that has not begun. That of the test's own look at the port may count until the server notices its end.
    let _waiting = eventually("a connection that counts", || {
        let (mut waiting, mut banner) = (connect(sshd.port).ok()?, [0; 4]);
        waiting.read_exact(&mut banner).ok()?;
        (&banner == b"SSH-").then_some(waiting)
    });
    examine(&own_tunnel(&sshd, &any_forward(&sshd)))
        .fails_only("banner", &["Exceeded MaxStartups", "raise MaxStartups"]);
}

#[test]
fn penalty_for_an_address_is_told_by_its_words() {
    let sshd = Sshd::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"Not allowed at this time\r\n");
        }
    });
    let config =
        own_tunnel(&sshd, &any_forward(&sshd)).replace(&format!("port = {}\n", sshd.port), &format!("port = {port}\n"));
    examine(&config).fails_only("banner", &["Not allowed at this time", "PerSourcePenaltyExemptList"]);
}

#[test]
fn files_that_others_may_write_to_are_among_the_reasons_of_a_refused_key() {
    let sshd = Sshd::with_config("StrictModes yes");
    let path = sshd.dir().join("authorized_keys");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("a mode");
    let diagnosis = examine(&own_tunnel(&sshd, &any_forward(&sshd)));
    diagnosis.fails_only("auth", &["no other user may write to it", "chmod go-w"]);
    assert!(sshd.log().contains("bad ownership or modes"), "{}", sshd.log());
}

#[test]
fn servers_that_only_forward_are_fine() {
    let forwards =
        |sshd: &Sshd| format!("{}\nremote_forward = [\"{}:127.0.0.1:{}\"]", any_forward(sshd), free_port(), sshd.port);
    for lines in ["MaxSessions 0", "ForceCommand /bin/false", "PermitTTY no"] {
        let sshd = Sshd::with_config(lines);
        examine(&own_tunnel(&sshd, &forwards(&sshd))).is_fine();
    }
    let Some(user) = other_user() else { return };
    let sshd = Sshd::start();
    examine(&tunnel(&sshd, user, &sshd.user_key, &forwards(&sshd))).is_fine();
}

#[test]
fn lists_of_both_sides_are_told_when_they_have_nothing_in_common() {
    let sshd = Sshd::with_config("KexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-ctr");
    let diagnosis = examine(&own_tunnel(&sshd, &any_forward(&sshd)));
    diagnosis
        .fails_only("key_exchange", &["we offer `mlkem768x25519-sha256", "it offers `diffie-hellman-group14-sha1`"]);
    diagnosis.says("FAIL", "key_exchange", &["kex_algorithms = \"+diffie-hellman-group14-sha1\""]);
    diagnosis.says("PASS", "key_exchange", &["cipher", "aes128-ctr"]);
}

#[test]
fn each_login_on_the_way_is_told_by_itself() {
    let (jump, sshd) = (Sshd::start(), Sshd::start());
    let way = format!(
        "{}\nproxy_jump = {{ host = \"127.0.0.1\", port = {}, user = \"{}\", identity_file = \"{}\", user_known_hosts_file = \"{}\" }}",
        any_forward(&sshd),
        jump.port,
        keys::user(),
        jump.user_key.display(),
        jump.known_hosts.display()
    );
    let diagnosis = examine(&own_tunnel(&sshd, &way));
    diagnosis.is_fine();
    diagnosis.says("PASS", "connect", &[&format!("127.0.0.1:{}", jump.port)]);
    diagnosis.says("PASS", "jump", &[&format!("127.0.0.1:{}", sshd.port), &format!("127.0.0.1:{}", jump.port)]);
    for server in [&jump, &sshd] {
        diagnosis.says("PASS", "auth", &["logged in", &server.port.to_string()]);
    }
    let closed = free_port();
    let behind = own_tunnel(&sshd, &way).replacen(&format!("port = {}", sshd.port), &format!("port = {closed}"), 1);
    examine(&behind).fails_only("jump", &["no connection from there", &closed.to_string()]);
}
