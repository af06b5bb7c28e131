//! What ssh itself would say, beside autossh's log: as much as `-q`, `-v` and LogLevel ask for, to standard error or to
//! `-E`'s file. And `TUNNELD_AUTOSSH=fast`.

use std::io::{Read, Write};

use nix::sys::signal::Signal;
use support::autossh::{Autossh, carries, host, options, words};
use support::net::{Service, Target, connect, free_port};
use support::{Sshd, eventually, keys};

/// What a start that is refused says on the terminal.
fn refused(more: &str, config: &str) -> String {
    let autossh = Autossh::new().with("AUTOSSH_GATETIME", "30");
    std::fs::write(autossh.dir().join("config"), config).expect("a config");
    let line = format!("-M 0 -N {more} -F config -p {} -L {}:127.0.0.1:9 127.0.0.1", free_port(), free_port());
    let output = autossh.command(&words(&line)).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_failure_is_told_unless_ssh_would_be_quiet() {
    for (more, config) in [
        ("", ""),
        ("-v", ""),
        ("-qv", ""),
        ("-o LogLevel=ERROR", ""),
        ("", "LogLevel VERBOSE"),
        ("-v", "LogLevel QUIET"),
    ] {
        assert!(refused(more, config).contains("refused the connection"), "{more} {config}");
    }
    for (more, config) in [("-q", ""), ("-o LogLevel=QUIET", ""), ("", "LogLevel quiet"), ("-q", "LogLevel DEBUG3")] {
        assert_eq!(refused(more, config), "", "{more} {config}");
    }
}

#[test]
fn options_that_ssh_dropped_are_told_in_its_own_words() {
    let autossh = Autossh::new().with("AUTOSSH_GATETIME", "30");
    let file = autossh.dir().join("config");
    std::fs::write(
        &file,
        "IgnoreUnknown Foo\nFoo x\nHost other\nRSAAuthentication yes\nCipher 3des\nProtocol 2\nMatch final\n",
    )
    .expect("a config");
    let absolute = file.display().to_string();
    for (more, named) in [("", absolute.as_str()), ("-v", "config"), ("-q", "config")] {
        let about = |text: &[u8]| {
            let text = String::from_utf8_lossy(text).into_owned();
            let lines = text.lines().filter(|line| line.contains(" option \"")).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        let mut ssh = std::process::Command::new("ssh");
        let ssh = ssh.args(more.split_whitespace()).args(["-F", named, "-G", "127.0.0.1"]).current_dir(autossh.dir());
        let theirs = about(&ssh.output().expect("ssh runs").stderr);
        let line = format!("-M 0 -N {more} -F {named} -p {} -D {} 127.0.0.1", free_port(), free_port());
        let ours = about(&autossh.command(&words(&line)).output().expect("it runs").stderr);
        assert_eq!(ours, theirs, "{more}");
        assert_eq!(theirs.is_empty(), more == "-q", "{more}: {theirs:?}");
    }
}

#[test]
fn a_busy_remote_port_is_told_without_keys_of_a_config() {
    let (sshd, port) = (Sshd::start(), free_port());
    let _holder = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let _other_family = std::net::TcpListener::bind(("::1", port)).expect("the port is free");
    let autossh = Autossh::new();
    let _running = autossh.start(&words(&format!("-M 0 -N {} -R {port}:127.0.0.1:9 {}", options(&sshd), host())));
    eventually("told", || autossh.said().contains("hint: ").then_some(()));
    autossh.wait_log("hint: ");
    let said = autossh.said() + &autossh.log();
    assert!(said.contains(&format!("refused to listen on {port}\n")), "{said}");
    assert!(!said.contains("on_remote_port_busy") && !said.contains("key options"), "{said}");
}

#[test]
fn port_that_the_server_chose_is_told_in_sshs_words() {
    let sshd = Sshd::start();
    let autossh = Autossh::new();
    let _running = autossh.start(&words(&format!("-M 0 -N {} -R 0:localhost:9 {}", options(&sshd), host())));
    let is_told =
        |line: &str| line.starts_with("Allocated port ") && line.ends_with(" for remote forward to localhost:9");
    eventually("told", || autossh.said().lines().any(is_told).then_some(()));
    autossh.wait_log("Allocated port ");
}

#[test]
fn words_of_others_are_told_as_they_are() {
    let autossh = Autossh::new().with("AUTOSSH_GATETIME", "30");
    let words_of_others = "a = true, connect_timeout";
    let script = autossh.dir().join(words_of_others);
    std::fs::write(&script, format!("echo 'said {words_of_others} = \"x\"' >&2\n")).expect("a script");
    let config = format!("ProxyCommand sh '{}'\n", script.display());
    std::fs::write(autossh.dir().join("config"), config).expect("a config");
    let line = format!("-M 0 -N -F config -D {} 127.0.0.1", free_port());
    let output = autossh.command(&words(&line)).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &autossh.log();
    assert_eq!(said.matches("the ProxyCommand for `").count(), 2, "{said}");
    assert_eq!(said.matches("`said a = true, connect_timeout = \"x\"`").count(), 2, "{said}");
}

#[test]
fn login_that_takes_too_long_has_a_hint_about_that() {
    let silent = Target::start(Service::Count);
    let autossh = Autossh::new().with("AUTOSSH_GATETIME", "30");
    let line = format!("-M 0 -N -F none -o ConnectTimeout=1 -p {} -D {} 127.0.0.1", silent.port, free_port());
    let output = autossh.command(&words(&line)).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &autossh.log();
    assert_eq!(said.matches("raise ConnectTimeout if it is only slow").count(), 2, "{said}");
}

#[test]
fn a_log_that_is_not_read_holds_up_neither_forwards_nor_the_end() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    for (variable, value) in [("AUTOSSH_LOGFILE", "/dev/stdout"), ("AUTOSSH_DEBUG", "1")] {
        let port = free_port();
        let autossh = Autossh::new().without("AUTOSSH_LOGFILE").with(variable, value);
        let (_reader, writer) = full_pipe();
        let line = format!("-M 0 -N {} -L {port}:127.0.0.1:{} {}", options(&sshd), echo.port, host());
        let mut command = autossh.command(&words(&line));
        command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
        let mut process = support::process::Process::spawn(&mut command);
        carries(port);
        process.signal(Signal::SIGTERM);
        assert_eq!(process.wait().code(), Some(1), "{variable}");
    }
}

/// A pipe without room for a line.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let room = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETPIPE_SZ).expect("its size");
    writer.write_all(&vec![b'x'; usize::try_from(room).expect("a size")]).expect("as much as it holds");
    (reader, writer)
}

#[test]
fn files_that_cannot_be_followed_are_refused_by_name() {
    use std::os::unix::ffi::OsStrExt;
    let autossh = Autossh::new();
    let link = autossh.dir().join("link");
    std::os::unix::fs::symlink("elsewhere", &link).expect("a link");
    let odd = std::ffi::OsStr::from_bytes(b"l\xf6g");
    for (variable, value, want) in [
        ("AUTOSSH_LOGFILE", odd, "AUTOSSH_LOGFILE is not UTF-8"),
        ("AUTOSSH_PIDFILE", odd, "AUTOSSH_PIDFILE is not UTF-8"),
        ("AUTOSSH_PIDFILE", link.as_os_str(), "it is a symbolic link"),
    ] {
        let line = format!("-M 0 -N -F none -D {} 127.0.0.1", free_port());
        let output = autossh.command(&words(&line)).env(variable, value).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(want), "{said}");
    }
}

#[test]
fn of_two_local_forwards_on_one_address_the_first_is_made() {
    let (sshd, first, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let line = |more: &str| {
        let forwards = format!("-L {port}:127.0.0.1:{} -L {port}:127.0.0.1:{}", first.port, free_port());
        words(&format!("-M 0 -N {more} {} {forwards} {}", options(&sshd), host()))
    };
    let autossh = Autossh::new();
    let mut running = autossh.start(&line(""));
    carries(port);
    autossh.wait_log("is not made: ");
    running.signal(Signal::SIGTERM);
    running.wait();
    let output = autossh.command(&line("-o ExitOnForwardFailure=yes")).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("is not made: "), "{said}");
}

#[test]
fn each_v_says_more_as_does_log_level() {
    let (one, two) = (refused("-v", ""), refused("-vvv", ""));
    assert!(refused("", "").len() < one.len() && one.len() < two.len(), "{one}\n\n{two}");
    let config = refused("", "LogLevel DEBUG");
    assert_eq!(config.lines().count(), one.lines().count(), "{config}\n\n{one}");
}

#[test]
fn a_host_key_that_is_new_is_news_below_errors() {
    for (level, told) in [("INFO", true), ("ERROR", false)] {
        let sshd = Sshd::start();
        std::fs::remove_file(&sshd.known_hosts).expect("known_hosts");
        let (echo, port, autossh) = (Target::start(Service::Echo), free_port(), Autossh::new());
        let line = format!(
            "-M 0 -N -o StrictHostKeyChecking=accept-new -o LogLevel={level} {} -L {port}:127.0.0.1:{} {}",
            options(&sshd),
            echo.port,
            host()
        );
        let mut running = autossh.start(&words(&line));
        carries(port);
        running.signal(Signal::SIGTERM);
        running.wait();
        assert_eq!(autossh.said().contains("new host key"), told, "{level}: {}", autossh.said());
    }
}

#[test]
fn a_file_of_e_gets_it_instead_of_standard_error_in_the_background_too() {
    let autossh = Autossh::new().with("AUTOSSH_MAXSTART", "1");
    let line = format!("-E ssh.log -M 0 -N -F none -p {} -L {}:127.0.0.1:9 127.0.0.1", free_port(), free_port());
    let output = autossh.command(&words(&line)).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = || std::fs::read_to_string(autossh.dir().join("ssh.log")).unwrap_or_default();
    assert!(text().contains("refused the connection"), "{}", text());
    let before = text().len();
    assert_eq!(autossh.start(&words(&format!("-f {line}"))).wait().code(), Some(0));
    eventually("more in the file", || (text().len() > before).then_some(()));
    let cannot = autossh.command(&words("-E /nonexistent/log -M 0 -N -F none -D 1 h")).output().expect("it runs");
    assert_eq!(cannot.status.code(), Some(1));
}

#[test]
fn fast_holds_the_listener_and_who_comes_meanwhile_and_is_back_at_once() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let line = format!("-M 0 -N {} -L {port}:127.0.0.1:{} {}", options(&sshd), echo.port, host());
    let autossh = Autossh::new().with_all(&[("TUNNELD_AUTOSSH", "fast"), ("AUTOSSH_LOGLEVEL", "7")]);
    let mut running = autossh.start(&words(&line));
    carries(port);
    sshd.kill_sessions();
    autossh.wait_log("starting ssh (count 2)");
    carries(port);
    let log = autossh.log();
    assert!(!log.contains("sleeping for grace time"), "the first redial does not wait: {log}");
    // The server is away: who connects is not refused, and is served when it is back.
    sshd.crash();
    autossh.wait_log("starting ssh (count 3)");
    let mut waiting = connect(port).expect("the listener is held");
    waiting.write_all(b"held").expect("bytes are taken");
    sshd.launch();
    let mut back = [0; 4];
    waiting.read_exact(&mut back).expect("an answer");
    assert_eq!(&back, b"held");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait().code(), Some(1));
}

#[test]
fn without_fast_the_listener_is_gone_with_the_session_as_ssh_has_it() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let line = format!("-M 0 -N {} -L {port}:127.0.0.1:{} {}", options(&sshd), echo.port, host());
    let autossh = Autossh::new().with_all(&[("AUTOSSH_POLL", "60000"), ("AUTOSSH_LOGLEVEL", "7")]);
    let _running = autossh.start(&words(&line));
    carries(port);
    sshd.crash();
    autossh.wait_log("sleeping for grace time");
    assert!(connect(port).is_err());
    assert!(!keys::user().is_empty());
}
