//! A confined daemon (`confine`) does all that its config asks for, and reaches nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use support::daemon::{said, tunneld};
use support::net::{Service, Target, echoes, free_port};
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};
use tempfile::TempDir;

/// A tunnel of which every file is in folders of its own.
struct House {
    sshd: Sshd,
    echo: Target,
    files: TempDir,
    port: u16,
}

impl House {
    fn new() -> Self {
        let house = Self {
            sshd: Sshd::start(),
            echo: Target::start(Service::Echo),
            files: tempfile::tempdir().expect("a folder"),
            port: free_port(),
        };
        for folder in ["keys", "conf.d", "sockets", "elsewhere"] {
            fs::create_dir(house.path(folder)).expect("a folder");
        }
        house.put_key(&house.sshd.user_key);
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// As `mv` puts a new key in the place of the old one.
    fn put_key(&self, key: &Path) {
        let (fresh, place) = (self.path("keys/fresh"), self.path("keys/id"));
        fs::copy(key, &fresh).and_then(|_| fs::rename(fresh, place)).expect("the key");
    }

    fn config(&self, global: &str, tunnel: &str) -> String {
        let (files, echo) = (self.files.path().display(), self.echo.port);
        format!(
            "state_directory = '{files}/state'\npid_file = '{files}/sockets/pid'\ninclude = '{files}/conf.d/*.toml'\n\
             {global}\n[[tunnel]]\nname = 't'\nhost = '127.0.0.1'\nport = {}\nuser = '{}'\nidentity_file = '{files}/keys/id'\n\
             user_known_hosts_file = '{files}/ssh/known_hosts'\nstrict_host_key_checking = 'accept-new'\n\
             local_forward = ['{}:127.0.0.1:{echo}', '{files}/sockets/app:127.0.0.1:{echo}']\n{tunnel}\n",
            self.sshd.port,
            keys::user(),
            self.port,
        )
    }

    fn carries(&self) -> bool {
        echoes(self.port)
    }
}

#[test]
fn confined_daemon_does_all_that_its_config_asks_for() {
    let house = House::new();
    let mut daemon = Daemon::start(&house.config("confine = 'on'", ""));
    daemon.wait_ready("t");
    assert!(daemon.log().contains("confined: reads "), "{}", daemon.log());
    assert!(house.carries());
    let known = fs::read_to_string(house.path("ssh/known_hosts")).expect("it has learnt the host key");
    assert!(known.contains("ssh-"), "{known}");
    assert!(house.path("state/history.jsonl").exists(), "its state directory");
    assert!(UnixStream::connect(house.path("sockets/app")).is_ok());

    // Another key in the place of the first, by a rename: it is read again for the next login.
    let key = keys::generate(&house.path("elsewhere"), "new", &[]);
    house.sshd.authorize_only(&keys::public(&key));
    house.put_key(&key);
    let starts = |tunnel: &serde_json::Value| tunnel["starts"].as_u64().unwrap_or_default();
    let before = starts(&daemon.wait_ready("t"));
    house.sshd.kill_sessions();
    daemon.wait_for("t", "ready again", |tunnel| starts(tunnel) > before && tunnel["ready"] == true);
    assert!(house.carries());

    // Another config in the place of the first, and an included file more.
    let fresh = house.path("elsewhere/config");
    fs::write(
        &fresh,
        format!(
            "control_socket = \"{}/control.sock\"\n{}",
            daemon.dir().display(),
            house.config("confine = 'on'\nstop_timeout = 1", "max_connections = 7")
        ),
    )
    .expect("a config");
    fs::rename(&fresh, daemon.config()).expect("the config");
    let more = tunnel_toml("more", &house.sshd, &format!("identity_file = '{}'", house.path("keys/id").display()));
    let more = more
        .lines()
        .filter(|line| !line.starts_with("identity_file = \"") && !line.starts_with("user_known"))
        .collect::<Vec<_>>()
        .join("\n");
    fs::write(
        house.path("conf.d/more.toml"),
        format!(
            "{more}\nuser_known_hosts_file = '{}'\ndynamic_forward = '{}'\n",
            house.path("ssh/known_hosts").display(),
            free_port()
        ),
    )
    .expect("a file");
    let reloaded = daemon.cli(&["reload"]);
    assert!(reloaded.status.success(), "{}", said(&reloaded));
    daemon.wait_ready("more");

    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    for name in ["sockets/pid", "sockets/app"] {
        assert!(!house.path(name).exists(), "{name} is left");
    }
}

#[test]
fn confined_daemon_reaches_nothing_else_and_says_so() {
    let house = House::new();
    let daemon = Daemon::start(&house.config("confine = 'on'", ""));
    daemon.wait_ready("t");
    let outside = house.path("elsewhere/id");
    fs::copy(&house.sshd.user_key, &outside).expect("a key");

    // A reload that names more than there was at the start changes nothing, and says what to do.
    daemon.write_config(&house.config("confine = 'on'", &format!("certificate_file = '{}'", outside.display())));
    let refused = daemon.cli(&["reload"]);
    assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
    for words in [&*outside.display().to_string(), "tunnel `t` names it", "may not read it", "restart tunneld"] {
        assert!(said(&refused).contains(words), "{words}: {}", said(&refused));
    }

    // A link of which the config says nothing: the kernel refuses what this user could read.
    let linked = house.path("elsewhere/linked.toml");
    fs::write(&linked, "").expect("a file");
    symlink(&linked, house.path("conf.d/linked.toml")).expect("a link");
    daemon.write_config(&house.config("confine = 'on'", ""));
    assert!(tunneld(&["check", "--config", &daemon.config().display().to_string()]).status.success());
    let refused = daemon.cli(&["reload"]);
    assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
    for words in ["linked.toml` cannot be read: Permission denied", "confined to since its start (restart it then)"] {
        assert!(said(&refused).contains(words), "{words}: {}", said(&refused));
    }
    assert!(house.carries(), "nothing has changed");

    fs::remove_file(house.path("keys/id")).and_then(|()| symlink(&outside, house.path("keys/id"))).expect("a link");
    house.sshd.kill_sessions();
    let blocked = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
    assert_eq!(blocked["last_failure"]["kind"], "identity_unreadable", "{blocked}");
    let message = blocked["last_failure"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("confined to since its start"), "{message}");
    house.put_key(&house.sshd.user_key);
    eventually("it carries again", || house.carries().then_some(()));
}

#[test]
fn programs_of_a_config_are_not_confined() {
    let house = House::new();
    let daemon = Daemon::start(&house.config("confine = 'auto'", "on_change = 'true'"));
    daemon.wait_ready("t");
    assert!(daemon.log().contains("not confined: `on_change` of tunnel `t` runs a program"), "{}", daemon.log());
    drop(daemon);

    let mut refused = Daemon::launch(&house.config("confine = 'on'", "on_change = 'true'"), &[]);
    assert_eq!(refused.wait().code(), Some(78));

    let daemon = Daemon::start(&house.config("confine = 'on'", ""));
    daemon.write_config(&house.config("confine = 'auto'", "on_change = 'true'"));
    let reloaded = daemon.cli(&["reload"]);
    assert_eq!(reloaded.status.code(), Some(78), "{}", said(&reloaded));
    assert!(said(&reloaded).contains("`on_change` of tunnel `t` runs a program"), "{}", said(&reloaded));
}

#[test]
fn environment_confines_where_the_config_says_nothing() {
    let house = House::new();
    let confined = |config: &str| {
        let daemon = Daemon::with_environment(&house.config(config, ""), &[("TUNNELD_CONFINE", "auto")]);
        daemon.log().contains("confined: reads ")
    };
    assert!(confined(""));
    assert!(!confined("confine = 'off'"));
}
