//! `-M port:echo_port`: what goes over the wire, and what follows when it does not come back. The loop over two ports
//! needs two hosts (tests/netns).

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::Signal;
use support::autossh::{Autossh, host, options};
use support::net::{Service, Target, free_port};
use support::{Sshd, eventually};

use super::{same, same_but, start};

/// Long enough for a first session on a busy machine.
const POLL: [(&str, &str); 1] = [("AUTOSSH_POLL", "5")];

fn line(sshd: &Sshd, echo: u16) -> String {
    format!("-M {}:{echo} -N {} -D {} {}", free_port(), options(sshd), free_port(), host())
}

#[test]
fn an_echo_is_a_session_that_carries() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let story = same(&POLL, |autossh| {
        let mut running = start(autossh, &line(&sshd, echo.port));
        autossh.wait_log("connection ok");
        running.signal(Signal::SIGTERM);
        running.wait().code()
    });
    assert_eq!(story[0], "short poll time: adjusting net timeouts to 2500");
    assert_eq!(story[story.len() - 2..], ["connection ok", "received signal to exit (15)"]);
}

#[test]
fn a_reset_instead_of_an_echo_is_a_port_that_is_down() {
    let (sshd, reset) = (Sshd::start(), Target::start(Service::Reset));
    // Whether sshd hands the reset on as one or as an end is a matter of moments, for the real one, too.
    let seen = ["error on poll: Connection reset by peer", "not what I sent", "tried connection 3 times and failed"];
    let story = same_but(&seen, &POLL, |autossh| {
        let mut running = start(autossh, &line(&sshd, reset.port));
        autossh.wait_log("ssh child pid is ");
        autossh.wait_log("starting ssh (count 2)");
        eventually("the second child", || (autossh.log().matches("ssh child pid is").count() == 2).then_some(()));
        running.signal(Signal::SIGTERM);
        running.wait().code()
    });
    assert!(story.iter().any(|line| line == "port down, restarting ssh"), "{story:?}");
}

/// An echo service that remembers what it heard.
fn listening_echo() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
    let port = listener.local_addr().expect("an address").port();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let lines = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = stream.write_all(line.as_bytes());
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    (port, heard)
}

#[test]
fn the_line_on_the_wire_is_autosshs() {
    let sshd = Sshd::start();
    let lines = [Autossh::original(), Autossh::new()].map(|autossh| {
        let (echo, heard) = listening_echo();
        let autossh =
            autossh.with_all(&POLL).with_all(&[("AUTOSSH_MESSAGE", "hello  world"), ("AUTOSSH_LOGLEVEL", "7")]);
        let running = start(&autossh, &line(&sshd, echo));
        autossh.wait_log("connection ok");
        let line = heard.lock().unwrap_or_else(PoisonError::into_inner)[0].clone();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[2], running.pid().to_string(), "{line:?}");
        assert!(words[3].parse::<u32>().is_ok(), "{line:?}");
        [&words[..2], &words[4..]].concat().join(" ")
    });
    assert_eq!(lines[1], lines[0], "ours on the left");
    assert!(lines[0].ends_with(" autossh hello  world\r\n"), "{lines:?}");
}
