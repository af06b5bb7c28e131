//! A password goes from its file to the server, and nowhere else.

use std::fs;
use std::path::Path;

use support::net::free_port;
use support::{Daemon, daemon, eventually, http, memory};
use tunnel_engine::demo_server::Server;

// Of each, the end is looked for: memory that was given back has the allocator's own words at its beginning.
const WORD: &str = "the password of the method password";
const ASKED: &str = "the password that is asked for in a prompt";
const WRONG: &str = "the password that the server refuses";
const END: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn passwords_go_to_the_server_and_nowhere_else() {
    let server = Server::builder().accept_password("word", WORD).accept_interactive("asked", ASKED);
    let server = server.start_tcp().await.expect("a server");
    let port = server.address().expect("an address").port();
    let own = tempfile::tempdir().expect("a temporary folder");
    let (known_hosts, state) = (own.path().join("known_hosts"), own.path().join("state"));
    fs::write(&known_hosts, server.known_hosts("127.0.0.1", port).expect("its keys")).expect("known_hosts");

    let tunnel = |name: &str, user: &str, password: &str| {
        let file = own.path().join(name);
        fs::write(&file, format!("{password}\n")).expect("a password file");
        format!(
            "[[tunnel]]\nname = '{name}'\nhost = '127.0.0.1'\nport = {port}\nuser = '{user}'\nidentity_agent = 'none'\n\
             identity_file = []\nuser_known_hosts_file = '{}'\npassword_file = '{}'\nprobe = 'off'\n\
             local_forward = '{}:127.0.0.1:9'\n",
            known_hosts.display(),
            file.display(),
            free_port()
        )
    };
    let metrics = free_port();
    let config = [
        format!("state_directory = '{}'\n[metrics]\nlisten = '127.0.0.1:{metrics}'\n", state.display()),
        tunnel("by-password", "word", WORD),
        tunnel("by-prompt", "asked", ASKED),
        tunnel("refused", "word", WRONG),
    ];
    let daemon = Daemon::with_environment(&config.concat(), &[("TUNNELD_LOG_LEVEL", "trace"), memory::KEPT]);
    for name in ["by-password", "by-prompt"] {
        daemon.wait_ready(name);
    }
    let refused = daemon.wait_for("refused", "blocked", |tunnel| tunnel["phase"] == "blocked");
    assert_eq!(refused["last_failure"]["kind"], "auth_rejected", "{refused}");

    is_told_by_nothing(&daemon, &state, metrics);
    leaves_the_memory(&daemon);
}

/// Not in the log, whatever its level; in an answer of the control socket; in the metrics; in the history; in what other users see
/// of the process.
fn is_told_by_nothing(daemon: &Daemon, state: &Path, metrics: u16) {
    let config = daemon.config().display().to_string();
    let verbs: &[&[&str]] = &[
        &["status"],
        &["status", "--json"],
        &["why", "by-password"],
        &["why", "by-prompt"],
        &["why", "refused"],
        &["events"],
        &["events", "--json"],
        &["reload"],
    ];
    let mut said: Vec<_> = verbs.iter().map(|verb| (verb.join(" "), daemon::said(&daemon.cli(verb)))).collect();
    let without: &[&[&str]] = &[&["check", "--config", &config], &["doctor", "--config", &config]];
    said.extend(without.iter().map(|verb| (verb.join(" "), daemon::said(&daemon::tunneld(verb)))));
    for path in ["/metrics", "/status", "/ready", "/"] {
        said.push((path.to_owned(), http::get(metrics, path).expect("an answer").body));
    }
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{file}", daemon.pid())).expect("the daemon runs");
        said.push((file.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    for entry in fs::read_dir(state).expect("the state folder").flatten() {
        said.push((entry.path().display().to_string(), fs::read_to_string(entry.path()).expect("its text")));
    }
    said.push(("log".to_owned(), daemon.log()));
    for (what, text) in &said {
        assert!(!text.is_empty(), "{what} says nothing");
        for password in [WORD, ASKED, WRONG] {
            assert!(!text.contains(password), "{what} tells a password: {text}");
        }
    }
}

/// But for the SSH library's packet of it (SECURITY.md): at most one copy each.
fn leaves_the_memory(daemon: &Daemon) {
    if !memory::may_be_read() {
        return;
    }
    let needles = [WORD, ASKED, WRONG].map(|password| password.as_bytes()[password.len() - END..].to_vec());
    eventually("at most one copy of each password is in the memory of tunneld", || {
        memory::copies(daemon, &needles).iter().all(|copies| *copies <= 1).then_some(())
    });
}
