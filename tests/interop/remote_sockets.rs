//! Unix sockets that the server listens on. A stock sshd leaves the file behind at the end of each session, and does not
//! listen where a file is.

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::net::{Service, Target};
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// A path that needs quoting in any shell.
const NAME: &str = "it's$(a)\"b\";é*";

struct Fixture {
    sshd: Sshd,
    echo: Target,
    path: PathBuf,
}

impl Fixture {
    fn new(lines: &str) -> Self {
        let sshd = Sshd::with_config(lines);
        let path = sshd.dir().join(NAME);
        Self { sshd, echo: Target::start(Service::Echo), path }
    }

    fn config(&self, more: &str) -> String {
        let forward =
            format!("{{ listen = '''{}''', connect = \"127.0.0.1:{}\" }}", self.path.display(), self.echo.port);
        tunnel_toml("t", &self.sshd, &format!("remote_forward = [{forward}]\n{more}"))
    }

    fn taking_over(&self) -> String {
        self.config("on_remote_port_busy = \"takeover\"")
    }

    /// What a file that was left by an earlier session looks like.
    fn leave_stale(&self) {
        drop(UnixListener::bind(&self.path).expect("a socket"));
    }

    /// A daemon that says this of its forward, and is not ready.
    fn refused(&self, config: &str, words: &[&str]) -> Daemon {
        let daemon = Daemon::start(config);
        let said = |tunnel: &Value| {
            let message = tunnel["forwards"][0]["message"].as_str().unwrap_or_default();
            tunnel["ready"] == false && words.iter().all(|words| message.contains(words))
        };
        daemon.wait_for("t", &format!("told {words:?}"), said);
        daemon
    }
}

fn echoes(path: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(path) else { return false };
    let mut answer = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"hello"
}

#[test]
fn with_takeover_a_remote_socket_survives_every_end_of_its_session() {
    let fixture = Fixture::new("");
    let mut daemon = Daemon::start(&fixture.taking_over());
    daemon.wait_ready("t");
    assert!(echoes(&fixture.path));
    for end in ["restart", "kill of the session on the server", "kill of the daemon", "stop and start"] {
        match end {
            "restart" => assert!(daemon.cli(&["restart", "t"]).status.success()),
            "kill of the session on the server" => fixture.sshd.kill_sessions(),
            "kill of the daemon" => {
                daemon.kill();
                daemon = Daemon::start(&fixture.taking_over());
            }
            _ => {
                daemon.signal(Signal::SIGTERM);
                assert!(daemon.wait().success(), "{}", daemon.log());
                assert!(!fixture.path.exists(), "an orderly stop leaves no file");
                daemon = Daemon::start(&fixture.taking_over());
            }
        }
        eventually(&format!("bytes flow after {end}"), || echoes(&fixture.path).then_some(()));
        daemon.wait_ready("t");
    }
    let beside = std::fs::read_dir(fixture.sshd.dir()).expect("the directory").flatten();
    let odd: Vec<_> = beside.filter(|entry| entry.file_name().to_string_lossy().starts_with(".tunneld")).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

/// What release.sh runs besides the shell, and neither perl nor python.
const FEW_PROGRAMS: &[&str] = &["id", "ln", "ls", "mv", "rm", "sleep", "tr"];

#[test]
fn stale_socket_is_removed_on_a_server_with_few_programs() {
    let programs = tempfile::tempdir().expect("a folder");
    for name in FEW_PROGRAMS {
        symlink(Path::new("/usr/bin").join(name), programs.path().join(name)).expect("a link");
    }
    let fixture = Fixture::new(&format!("SetEnv PATH={}", programs.path().display()));
    fixture.leave_stale();
    let daemon = Daemon::start(&fixture.taking_over());
    daemon.wait_ready("t");
    assert!(echoes(&fixture.path), "{}", daemon.log());
    drop(daemon);
    std::fs::remove_file(&fixture.path).unwrap_or_default();
    let living = UnixListener::bind(&fixture.path).expect("a socket");
    drop(fixture.refused(&fixture.taking_over(), &["another path"]));
    assert!(UnixStream::connect(&fixture.path).is_ok(), "a living one is left alone");
    drop(living);
}

#[test]
fn with_takeover_the_session_of_a_client_that_is_gone_gives_its_socket_up() {
    let fixture = Fixture::new("");
    let gone = Daemon::start(&fixture.taking_over());
    gone.wait_ready("t");
    gone.signal(Signal::SIGSTOP);
    let daemon = Daemon::start(&fixture.taking_over());
    daemon.wait_ready("t");
    assert!(echoes(&fixture.path), "{}", daemon.log());
    gone.signal(Signal::SIGKILL);
}

#[test]
fn without_takeover_the_hint_names_the_file_that_was_left_and_its_removal_is_noticed() {
    let fixture = Fixture::new("");
    fixture.leave_stale();
    let file = format!("remove `{}` on the server", fixture.path.display());
    let words = [file.as_str(), "StreamLocalBindUnlink yes", "AllowStreamLocalForwarding", "takeover"];
    let daemon = fixture.refused(&fixture.config(""), &words);
    assert!(fixture.path.exists(), "nothing is removed without being asked for");
    std::fs::remove_file(&fixture.path).expect("removed by hand");
    daemon.wait_ready("t");
}

#[test]
fn a_living_socket_is_left_alone_and_its_program_hears_nothing() {
    let fixture = Fixture::new("");
    let living = UnixListener::bind(&fixture.path).expect("a socket");
    living.set_nonblocking(true).expect("no blocking");
    drop(fixture.refused(&fixture.config(""), &["AllowStreamLocalForwarding"]));
    let process = format!("process {}", std::process::id());
    let daemon = fixture.refused(&fixture.taking_over(), &[&process, "another path"]);
    assert!(living.accept().is_err(), "no connection was made to it");
    assert!(UnixStream::connect(&fixture.path).is_ok());
    drop(living);
    // No program has the file bound now; the look at it is repeated seldom, or when asked for.
    assert!(daemon.cli(&["restart", "t"]).status.success());
    daemon.wait_ready("t");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let fixture = Fixture::new("");
    std::fs::write(&fixture.path, "precious").expect("a file");
    drop(fixture.refused(&fixture.config(""), &["StreamLocalBindUnlink"]));
    drop(fixture.refused(&fixture.taking_over(), &["not a socket", "move it away"]));
    assert_eq!(std::fs::read(&fixture.path).expect("the file"), b"precious");
    std::fs::remove_file(&fixture.path).expect("removed");

    symlink("/nonexistent/socket", &fixture.path).expect("a link");
    drop(fixture.refused(&fixture.taking_over(), &["not a socket"]));
    // A link to a socket that no program has bound: neither is removed.
    let stale = fixture.sshd.dir().join("stale");
    drop(UnixListener::bind(&stale).expect("a socket"));
    std::fs::remove_file(&fixture.path).expect("removed");
    symlink(&stale, &fixture.path).expect("a link");
    drop(fixture.refused(&fixture.taking_over(), &["not a socket"]));
    assert!(std::fs::symlink_metadata(&fixture.path).expect("the link").is_symlink());
    assert!(std::fs::symlink_metadata(&stale).expect("the socket").file_type().is_socket());
}

#[test]
fn a_server_that_forbids_unix_sockets_is_told_to_do_so() {
    let fixture = Fixture::new("AllowStreamLocalForwarding no");
    drop(fixture.refused(&fixture.config(""), &["AllowStreamLocalForwarding"]));
    drop(fixture.refused(
        &fixture.taking_over(),
        &["Server has disabled streamlocal forwarding", "AllowStreamLocalForwarding"],
    ));
}

#[test]
fn a_directory_that_the_server_does_not_have_is_named() {
    let mut fixture = Fixture::new("");
    fixture.path = fixture.sshd.dir().join("missing").join("s");
    let daemon = fixture.refused(&fixture.taking_over(), &["directory does not exist", "create the directory"]);
    std::fs::create_dir(fixture.sshd.dir().join("missing")).expect("a directory");
    daemon.wait_ready("t");
}
