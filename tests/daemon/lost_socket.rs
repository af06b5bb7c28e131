//! The control socket is not where a client asks: its file is removed or replaced while the daemon runs, by a cleaner of old
//! files or at logout, or the config names another one since.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use nix::sys::signal::Signal;
use support::daemon::{command, said};
use support::net::free_port;
use support::process::Process;
use support::{Daemon, eventually};

/// A tunnel to nowhere, which is enough to be asked about.
fn config() -> String {
    let [server, listen] = [(); 2].map(|()| free_port());
    format!(
        "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = {server}\nlocal_forward = [\"{listen}:127.0.0.1:1\"]\n"
    )
}

#[test]
fn removed_control_socket_is_bound_again() {
    let daemon = Daemon::start(&config());
    let path = daemon.dir().join("control.sock");
    for _ in 0..2 {
        std::fs::remove_file(&path).expect("the socket's file");
        eventually("it answers again", || daemon.status());
        assert_eq!(std::fs::metadata(&path).expect("the socket").mode() & 0o777, 0o600);
    }
    let second = command().arg("--config").arg(daemon.config()).arg("--control-socket").arg(&path).output();
    let second = second.expect("a second daemon");
    assert_eq!(second.status.code(), Some(69), "{}", said(&second));
    assert!(daemon.log().contains("no client can reach the control socket"), "{}", daemon.log());
}

#[test]
fn control_socket_comes_back_with_its_folder_and_is_removed_at_the_end() {
    let run = tempfile::tempdir().expect("a folder");
    let runtime = run.path().join("user");
    std::fs::create_dir(&runtime).expect("the user's runtime folder");
    let path = runtime.join("tunneld/control.sock");
    let file = run.path().join("tunneld.toml");
    std::fs::write(&file, format!("control_socket = \"{}\"\n{}", path.display(), config())).expect("a config");
    let mut command = command();
    command.arg("--config").arg(&file).env("XDG_RUNTIME_DIR", &runtime);
    let mut daemon = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("it listens", || path.exists().then_some(()));
    // The daemon may be putting another file there, and a folder that is not empty stays.
    eventually("a logout", || std::fs::remove_dir_all(&runtime).ok());
    std::fs::create_dir(&runtime).expect("a login");
    eventually("it listens again", || path.exists().then_some(()));
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    assert!(!path.exists());
}

#[test]
fn edited_socket_is_told_as_the_reason_for_no_answer() {
    let daemon = Daemon::start(&config());
    let file = daemon.config().display().to_string();
    let other = daemon.dir().join("other.sock");
    for (text, said_why) in [
        (format!("control_socket = \"{}\"\n", other.display()), "`control_socket` in"),
        (String::new(), "has no `control_socket`"),
    ] {
        std::fs::write(&file, text).expect("another config");
        for verb in ["reload", "plan", "status"] {
            let runtime = daemon.dir().join("nothing");
            let asked = command().args([verb, "--config", &file]).env("XDG_RUNTIME_DIR", runtime).output();
            let asked = asked.expect("tunneld runs");
            assert_eq!(asked.status.code(), Some(3), "{}", said(&asked));
            assert!(said(&asked).contains(said_why) && said(&asked).contains("keeps the socket"), "{}", said(&asked));
        }
    }
}

#[test]
fn reload_of_another_file_than_the_daemons_is_refused() {
    let daemon = Daemon::start(&config());
    let other = daemon.dir().join("other.toml");
    std::fs::write(&other, "nonsense").expect("another file");
    let link = daemon.dir().join("link.toml");
    std::os::unix::fs::symlink(daemon.config(), &link).expect("a link");
    let reload = |file: &std::path::Path| daemon.cli(&["reload", "--config", &file.display().to_string()]);
    let refused = reload(&other);
    assert_eq!(refused.status.code(), Some(64), "{}", said(&refused));
    assert!(said(&refused).contains("tunneld.toml") && said(&refused).contains("other.toml"), "{}", said(&refused));
    for same in [daemon.config(), link] {
        assert!(reload(&same).status.success());
    }
}

#[test]
fn empty_variable_is_as_one_that_is_not_set() {
    let daemon = Daemon::start(&config());
    let mut asked = command();
    for name in ["CONTROL_SOCKET", "PID_FILE", "LOG_LEVEL"] {
        asked.env(format!("TUNNELD_{name}"), "");
    }
    let asked = asked.args(["check", "--config"]).arg(daemon.config()).env("TUNNELD_CONFIG", "").output();
    let asked = asked.expect("tunneld runs");
    assert!(asked.status.success() && said(&asked).contains("control.sock"), "{}", said(&asked));
    let asked = command().arg("check").env("TUNNELD_CONFIG", "").env("HOME", "/nonexistent").output();
    assert_ne!(asked.expect("tunneld runs").status.code(), Some(64));
}

#[test]
fn socket_of_another_program_is_left_until_it_ends() {
    let mut daemon = Daemon::start(&config());
    let path = daemon.dir().join("control.sock");
    let other = daemon.dir().join("other.sock");
    let listener = UnixListener::bind(&other).expect("another program's socket");
    std::fs::rename(&other, &path).expect("in its place");
    let theirs = std::fs::metadata(&path).expect("a socket").ino();
    eventually("the log says so", || daemon.log().contains("another program has put its socket").then_some(()));
    eventually("it is not taken", || daemon.log().contains("another instance answers").then_some(()));
    assert_eq!(std::fs::metadata(&path).expect("a socket").ino(), theirs);
    drop(listener);
    eventually("it answers again", || daemon.status());
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    assert!(!path.exists());
}
