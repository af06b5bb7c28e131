//! Config files that are not what they should be: named at once, never waited for.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use support::daemon::{command, said, tunneld};
use support::net::free_port;
use support::{Daemon, eventually};

/// Far above what an answer takes, and far below what a wait for a FIFO takes.
const AT_ONCE: Duration = Duration::from_secs(20);

fn tunnel(name: &str) -> String {
    format!(
        "[[tunnel]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = 1\nuser = \"nobody\"\nidentity_agent = \"none\"\n\
         local_forward = [\"{}:127.0.0.1:1\"]\n",
        free_port()
    )
}

fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
}

/// The verb's answer is 78, at once, and says this.
#[track_caller]
fn refused(arguments: &[&str], words: &str) {
    let begun = Instant::now();
    let output = tunneld(arguments);
    assert_eq!(output.status.code(), Some(78), "{arguments:?}: {}", said(&output));
    assert!(said(&output).contains(words), "{arguments:?} does not say `{words}`: {}", said(&output));
    assert!(begun.elapsed() < AT_ONCE, "{arguments:?}");
}

/// In a folder: a FIFO, a folder, a device, a file of 100 MiB, and one without an end, each with what is said of it.
fn oddities(dir: &Path) -> Vec<(String, &'static str)> {
    fifo(&dir.join("fifo"));
    std::fs::create_dir(dir.join("folder")).expect("a folder");
    symlink("/dev/zero", dir.join("zero")).expect("a link");
    File::create(dir.join("huge")).and_then(|file| file.set_len(100 << 20)).expect("a file");
    let names = [("fifo", "pipe"), ("folder", "it is a folder"), ("zero", "it is a device"), ("huge", "larger than")];
    names.map(|(name, what)| (dir.join(name).display().to_string(), what)).to_vec()
}

#[test]
fn config_that_is_no_regular_file_is_named_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    for (path, what) in oddities(dir.path()) {
        refused(&["check", "--config", &path], what);
        refused(&["--config", &path], what);
        // A client takes only the place of the socket from it.
        let output = tunneld(&["status", "--config", &path, "--control-socket", "/nonexistent/s"]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let begun = Instant::now();
        tunneld(&["status", "--config", &path]);
        assert!(begun.elapsed() < AT_ONCE, "{path}");
    }
}

#[test]
fn included_file_that_is_no_regular_one_is_named_at_its_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("t.toml");
    for (path, what) in oddities(dir.path()) {
        std::fs::write(&config, format!("include = [\"{path}\"]\n{}", tunnel("t"))).expect("a config");
        let config = config.display().to_string();
        refused(&["check", "--config", &config], &format!("{config}:1:12: error: `{path}` cannot be read"));
        refused(&["check", "--config", &config], what);
        let ssh = format!("ssh_config = \"{path}\"\n");
        std::fs::write(&config, tunnel("t") + &ssh).expect("a config");
        refused(&["check", "--config", &config], what);
    }
}

#[test]
fn reload_of_a_pipe_is_refused_and_the_next_one_works() {
    let daemon = Daemon::start(&tunnel("one"));
    let good = std::fs::read_to_string(daemon.config()).expect("its config");
    std::fs::remove_file(daemon.config()).expect("it can be removed");
    fifo(&daemon.config());
    let output = daemon.cli(&["reload"]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("it is a pipe that holds nothing"), "{}", said(&output));
    std::fs::remove_file(daemon.config()).expect("it can be removed");
    std::fs::write(daemon.config(), good + &tunnel("two")).expect("a config");
    let output = daemon.cli(&["reload"]);
    assert!(output.status.success(), "{}", said(&output));
    eventually("the second tunnel is there", || daemon.tunnel("two"));
}

fn check_of_stdin(text: &str, path: &str) -> Output {
    let mut child = command()
        .args(["check", "--config", path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tunneld runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn config_from_a_pipe_is_read_to_its_end() {
    for path in ["/dev/stdin", "/proc/self/fd/0"] {
        let output = check_of_stdin(&tunnel("piped"), path);
        assert!(output.status.success() && said(&output).contains("piped"), "{}", said(&output));
    }
}

#[test]
fn huge_key_costs_nothing_and_its_line_is_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("t.toml");
    std::fs::write(&config, format!("{} = 1\n{}", "k".repeat(2 << 20), tunnel("t"))).expect("a config");
    let begun = Instant::now();
    let output = tunneld(&["check", "--config", &config.display().to_string()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(begun.elapsed() < AT_ONCE);
    assert!(output.stderr.len() < 10_000, "{} bytes", output.stderr.len());
    assert!(said(&output).contains("\n  ^^"), "{}", said(&output));
}

#[test]
fn root_refuses_a_config_that_others_can_write() {
    if !nix::unistd::geteuid().is_root() {
        // For another user, ssh's rule for its own config does not hold: nothing runs with more rights than the writer's.
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let parts = dir.path().join("parts");
    std::fs::create_dir(&parts).expect("a folder");
    let (config, part) = (dir.path().join("t.toml"), parts.join("a.toml"));
    std::fs::write(&config, "include = [\"parts/*.toml\"]\n").expect("a config");
    std::fs::write(&part, tunnel("t")).expect("a config");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    let name = config.display().to_string();
    let check = || tunneld(&["check", "--config", &name]);
    assert!(check().status.success(), "{}", said(&check()));
    for (path, bad, good) in [(&config, 0o666, 0o644), (&part, 0o602, 0o600), (&parts, 0o777, 0o755)] {
        mode(path, bad);
        let shown = path.display();
        refused(&["check", "--config", &name], &format!("others than root can write `{shown}`: its mode is {bad:04o}"));
        refused(&["check", "--config", &name], &format!("chmod go-w {shown}"));
        mode(path, good);
    }
    std::os::unix::fs::chown(&config, Some(65534), None).expect("root may");
    refused(&["check", "--config", &name], &format!("`{name}` belongs to user id 65534"));
}

#[test]
fn command_of_ssh_config_that_hangs_is_named_and_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ssh_config, config) = (dir.path().join("ssh_config"), dir.path().join("t.toml"));
    std::fs::write(&ssh_config, "Match exec \"sleep 1000\"\n Port 1\n").expect("ssh_config");
    let text = tunnel("t").replace("port = 1\n", &format!("ssh_config = \"{}\"\n", ssh_config.display()));
    std::fs::write(&config, text).expect("a config");
    refused(
        &["check", "--config", &config.display().to_string()],
        "`sleep 1000` cannot be run: it did not end within 10 s",
    );
}

#[test]
fn unit_that_is_no_regular_file_is_named_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    for (path, what) in oddities(dir.path()) {
        let begun = Instant::now();
        let said = said(&tunneld(&["import", "unit", &path]));
        assert!(said.contains(what), "{path}: {said}");
        assert!(begun.elapsed() < AT_ONCE, "{path}");
    }
}
