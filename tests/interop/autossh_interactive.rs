//! A user at a terminal: asked for what ssh would ask for, in the words that scripts wait for, and for nothing else.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::autossh::{Autossh, carries, host, options, words};
use support::net::{Service, Target, free_port};
use support::process::wrapped;
use support::pty::Terminal;
use support::{Sshd, eventually, keys};
use tunnel_engine::demo_server::Server;

const PASSPHRASE: &str = "a long passphrase";
const PASSWORD: &str = "a long password";
const SURE: &str = "Are you sure you want to continue connecting (yes/no/[fingerprint])? ";

/// A server whose key no file knows yet, and a tunnel through it.
struct Stranger {
    sshd: Sshd,
    echo: Target,
    port: u16,
}

impl Stranger {
    fn new() -> Self {
        let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
        std::fs::remove_file(&sshd.known_hosts).expect("known_hosts");
        Self { sshd, echo, port }
    }

    fn line(&self, more: &str) -> Vec<String> {
        let forward = format!("-L {}:127.0.0.1:{}", self.port, self.echo.port);
        words(&format!("-M 0 -N {more} {} {forward} {}", options(&self.sshd), host()))
    }

    /// What known_hosts says by now.
    fn known(&self) -> String {
        std::fs::read_to_string(&self.sshd.known_hosts).unwrap_or_default()
    }

    /// Its host key.
    fn key(&self) -> String {
        keys::public(&self.sshd.dir().join("host_key"))
    }

    /// `SHA256:…`, by ssh-keygen.
    fn fingerprint(&self) -> String {
        let mut command = std::process::Command::new("ssh-keygen");
        let output = command.arg("-lf").arg(self.sshd.dir().join("host_key.pub")).output().expect("ssh-keygen runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    }
}

/// With a gate time: what is refused ends it.
fn gated() -> Autossh {
    Autossh::new().with("AUTOSSH_GATETIME", "30")
}

#[test]
fn a_passphrase_is_asked_for_once_and_kept_for_the_next_session() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let key = keys::generate(sshd.dir(), "locked", &["-N", PASSPHRASE]);
    sshd.authorize(&keys::public(&key));
    let question = format!("Enter passphrase for key '{}': ", key.display());
    let line = |port: u16| {
        let options = options(&sshd).replace(&sshd.user_key.display().to_string(), &key.display().to_string());
        words(&format!("-M 0 -N {options} -L {port}:127.0.0.1:{} {}", echo.port, host()))
    };
    // The real one puts the same question; programs that type for people wait for it.
    let theirs = Autossh::original();
    let mut terminal = Terminal::run(&theirs.command(&line(free_port())));
    terminal.shows(&question, 1);
    terminal.signal(Signal::SIGTERM);
    terminal.wait();

    let autossh = Autossh::new();
    let mut terminal = Terminal::run(&autossh.command(&line(port)));
    terminal.answers(&question, 1, "a guess");
    terminal.answers(&question, 2, PASSPHRASE);
    carries(port);
    sshd.kill_sessions();
    autossh.wait_log("starting ssh (count 2)");
    carries(port);
    let screen = terminal.screen();
    assert_eq!(screen.matches(&question).count(), 2, "{screen}");
    assert!(!screen.contains("guess") && !screen.contains(PASSPHRASE), "{screen}");
    terminal.signal(Signal::SIGTERM);
    assert_eq!(terminal.wait().code(), Some(1));
}

#[test]
fn the_terminal_of_other_programs_is_left_alone_at_the_end() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    // With job control a command in the background may not change the terminal: it would be stopped.
    for flags in ["-c", "-mc"] {
        let (autossh, port) = (Autossh::new(), free_port());
        let line = format!("-M 0 -N {} -L {port}:127.0.0.1:{} {}", options(&sshd), echo.port, host());
        let script = r#""$@" & read go; stty -echo; kill $!; wait $!; echo "ended with $?"; read end"#;
        let mut terminal = Terminal::run(&wrapped(&autossh.command(&words(&line)), "sh", &[flags, script, "sh"]));
        carries(port);
        terminal.types("go");
        terminal.shows("ended with 1", 1);
        assert!(!terminal.is_cooked(), "{flags}: what a program has set is undone");
        terminal.types("end");
        terminal.wait();
    }
}

/// A server of ours that takes a password, and the tunnel's line to it.
async fn asking(interactive: bool) -> (Server, Autossh, String, u16) {
    let builder = Server::builder();
    let builder = match interactive {
        true => builder.accept_interactive("me", PASSWORD),
        false => builder.accept_password("me", PASSWORD),
    };
    let server = builder.start_tcp().await.expect("a server");
    let ssh = server.address().expect("an address").port();
    let autossh = Autossh::new();
    let known = server.known_hosts("127.0.0.1", ssh).expect("its keys");
    std::fs::write(autossh.dir().join("known_hosts"), known).expect("known_hosts");
    let port = free_port();
    let line = format!(
        "-M 0 -N -F none -p {ssh} -o IdentityAgent=none -o IdentityFile=none -o UserKnownHostsFile=known_hosts \
         -L {port}:127.0.0.1:{} me@127.0.0.1",
        Target::start(Service::Echo).port
    );
    (server, autossh, line, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_three_times_and_kept() {
    let (server, autossh, line, port) = asking(false).await;
    let mut terminal = Terminal::run(&autossh.command(&words(&line)));
    let question = "me@127.0.0.1's password: ";
    terminal.answers(question, 1, "wrong");
    terminal.shows("Permission denied, please try again.", 1);
    terminal.answers(question, 2, PASSWORD);
    carries(port);
    server.cut();
    autossh.wait_log("starting ssh (count 2)");
    carries(port);
    let screen = terminal.screen();
    assert_eq!(screen.matches(question).count(), 2, "{screen}");
    assert!(!screen.contains("wrong") && !screen.contains(PASSWORD), "{screen}");
    terminal.signal(Signal::SIGTERM);
    terminal.wait();

    let autossh = autossh.with("AUTOSSH_GATETIME", "30");
    let mut terminal = Terminal::run(&autossh.command(&words(&line)));
    for times in 1..=3 {
        terminal.answers(question, times, "wrong");
    }
    assert_eq!(terminal.wait().code(), Some(1));
    assert_eq!(terminal.screen().matches(question).count(), 3, "{}", terminal.screen());
    assert!(autossh.log().contains("ssh exited prematurely with status 255"), "{}", autossh.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_the_server_is_asked_as_it_is_put() {
    let (_server, autossh, line, port) = asking(true).await;
    let mut terminal = Terminal::run(&autossh.command(&words(&line)));
    terminal.answers("(me@127.0.0.1) Password: ", 1, PASSWORD);
    carries(port);
    assert!(!terminal.screen().contains(PASSWORD));
    terminal.signal(Signal::SIGTERM);
    terminal.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_often_a_password_is_asked_for_is_said_by_number_of_password_prompts() {
    let (_server, autossh, line, _) = asking(false).await;
    let autossh = autossh.with("AUTOSSH_GATETIME", "30");
    let question = "me@127.0.0.1's password: ";
    let mut terminal = Terminal::run(&autossh.command(&words(&format!("-o NumberOfPasswordPrompts=1 {line}"))));
    terminal.answers(question, 1, "wrong");
    assert_eq!(terminal.wait().code(), Some(1));
    assert_eq!(terminal.screen().matches(question).count(), 1, "{}", terminal.screen());
    for none in ["-o PasswordAuthentication=no", "-o PreferredAuthentications=publickey", "-o BatchMode=yes"] {
        let mut terminal = Terminal::run(&autossh.command(&words(&format!("{none} {line}"))));
        assert_eq!(terminal.wait().code(), Some(1), "{none}");
        assert!(!terminal.screen().contains(question), "{none}: {}", terminal.screen());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_instead_of_an_answer_ends_it() {
    let (_server, autossh, line, _) = asking(false).await;
    let mut terminal = Terminal::run(&autossh.command(&words(&line)));
    terminal.answers("password: ", 1, "\u{3}");
    assert_eq!(terminal.wait().code(), Some(1));
    assert!(autossh.log().contains("received signal to exit (2)"), "{}", autossh.log());
}

#[test]
fn an_unknown_host_key_is_believed_by_yes_and_written_down() {
    let stranger = Stranger::new();
    // The real one ends its question in the same words.
    let theirs = Autossh::original();
    let mut terminal = Terminal::run(&theirs.command(&stranger.line("")));
    terminal.shows(SURE.trim_end(), 1);
    terminal.signal(Signal::SIGTERM);
    terminal.wait();
    assert_eq!(stranger.known(), "");

    let autossh = Autossh::new();
    let mut terminal = Terminal::run(&autossh.command(&stranger.line("-o StrictHostKeyChecking=ask")));
    terminal.answers(SURE, 1, "perhaps");
    terminal.answers(SURE, 2, "yes");
    carries(stranger.port);
    assert!(terminal.screen().contains(&stranger.fingerprint()), "{}", terminal.screen());
    assert_eq!(stranger.known(), format!("[127.0.0.1]:{} {}\n", stranger.sshd.port, stranger.key()));
    stranger.sshd.kill_sessions();
    autossh.wait_log("starting ssh (count 2)");
    carries(stranger.port);
    assert_eq!(terminal.screen().matches(SURE).count(), 2, "known by now");
    terminal.signal(Signal::SIGTERM);
    terminal.wait();
}

#[test]
fn an_unknown_host_key_is_believed_by_its_fingerprint() {
    let (stranger, autossh) = (Stranger::new(), Autossh::new());
    let mut terminal = Terminal::run(&autossh.command(&stranger.line("")));
    terminal.answers(SURE, 1, &stranger.fingerprint());
    carries(stranger.port);
    assert!(stranger.known().contains(&stranger.key()));
    terminal.signal(Signal::SIGTERM);
    terminal.wait();
}

#[test]
fn an_unknown_host_key_is_refused_by_no() {
    let (stranger, autossh) = (Stranger::new(), gated());
    let mut terminal = Terminal::run(&autossh.command(&stranger.line("")));
    terminal.answers(SURE, 1, "no");
    assert_eq!(terminal.wait().code(), Some(1));
    assert_eq!(stranger.known(), "");
    assert!(autossh.log().contains("ssh exited prematurely with status 255"), "{}", autossh.log());
}

#[test]
fn nobody_is_asked_where_the_line_or_ssh_config_says_what_to_do() {
    let stranger = Stranger::new();
    let autossh = gated();
    let config = |line: &str| std::fs::write(autossh.dir().join("config"), line).expect("a config");
    for (text, options) in [
        ("", "-o StrictHostKeyChecking=yes"),
        ("", "-o BatchMode=yes"),
        ("StrictHostKeyChecking yes\n", ""),
        ("BatchMode yes\n", ""),
        ("Match all\n  BatchMode true\n", "-o StrictHostKeyChecking=ask"),
    ] {
        config(text);
        let mut line = stranger.line(options);
        line.iter_mut().filter(|word| *word == "none").for_each(|word| "config".clone_into(word));
        let mut terminal = Terminal::run(&autossh.command(&line));
        assert_eq!(terminal.wait().code(), Some(1), "{text} {options}");
        assert!(!terminal.screen().contains(SURE.trim_end()), "{text} {options}: {}", terminal.screen());
        assert_eq!(stranger.known(), "");
    }
    for trusting in ["accept-new", "no"] {
        let _ = std::fs::remove_file(&stranger.sshd.known_hosts);
        let line = stranger.line(&format!("-o StrictHostKeyChecking={trusting}"));
        let mut terminal = Terminal::run(&autossh.command(&line));
        carries(stranger.port);
        assert!(stranger.known().contains(&stranger.key()), "{trusting}");
        assert!(!terminal.screen().contains(SURE.trim_end()), "{trusting}: {}", terminal.screen());
        terminal.signal(Signal::SIGTERM);
        terminal.wait();
    }
}

/// In a shell, which says how it ended and goes on: a terminal that closes would end what has just gone to the
/// background.
fn typed(command: &std::process::Command) -> Terminal {
    let shell = ["-c", "\"$@\"; echo \"code $?\"; read line", "sh"];
    Terminal::run(&wrapped(command, "sh", &shell))
}

/// The real one goes on for ever, six times at once and then at growing distances, without a word about the reason.
#[test]
fn in_the_background_nobody_is_asked_and_the_log_says_what_is_missing() {
    let stranger = Stranger::new();
    let [theirs, ours] = [Autossh::original(), Autossh::new()].map(|autossh| {
        let terminal = typed(&autossh.command(&stranger.line("-f")));
        terminal.shows("code 0", 1);
        autossh.wait_log("ssh exited with error status 255; restarting ssh");
        assert!(!terminal.screen().contains(SURE.trim_end()), "{}", terminal.screen());
        autossh
    });
    assert!(!theirs.log().contains("known_hosts"));
    ours.wait_log("trying again in 300 secs, or when a key, known_hosts or the agent changes");
    let log = ours.log();
    let reason = log.lines().find(|line| line.contains("]: ssh: ")).unwrap_or_default();
    assert!(reason.contains("known_hosts") && reason.contains(&stranger.fingerprint()), "{log}");
    // And it does: the key is added by hand, the tunnel comes up.
    let line = format!("[127.0.0.1]:{} {}\n", stranger.sshd.port, stranger.key());
    kill(Pid::from_raw(theirs.pid().cast_signed()), Signal::SIGTERM).expect("it lives");
    eventually("the real one has ended", || (!theirs.dir().join("pid").exists()).then_some(()));
    std::fs::write(&stranger.sshd.known_hosts, line).expect("known_hosts");
    carries(stranger.port);
}

#[test]
fn in_the_background_a_locked_key_is_said_to_be_one() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let key = keys::generate(sshd.dir(), "locked", &["-N", PASSPHRASE]);
    sshd.authorize(&keys::public(&key));
    let options = options(&sshd).replace(&sshd.user_key.display().to_string(), &key.display().to_string());
    let line = format!("-f -M 0 -N {options} -L {}:127.0.0.1:{} {}", free_port(), echo.port, host());
    let autossh = Autossh::new();
    let terminal = typed(&autossh.command(&words(&line)));
    terminal.shows("code 0", 1);
    autossh.wait_log("it is encrypted");
    let log = autossh.log();
    assert!(log.contains(&key.display().to_string()) && log.contains("load the key into ssh-agent"), "{log}");
}
