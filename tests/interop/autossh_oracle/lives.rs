//! Starts, ends, signals and limits.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::autossh::{Autossh, Running, carries, host, options, words};
use support::net::{Service, Target, free_port};
use support::{Sshd, eventually};

use super::{counts, same, same_but, start, story, to_its_end};

/// Nothing listens there.
fn closed() -> String {
    format!("-M 0 -N -F none -p {} -L {}:127.0.0.1:9 127.0.0.1", free_port(), free_port())
}

/// A tunnel through an sshd to an echo service.
struct Place {
    sshd: Sshd,
    echo: Target,
}

impl Place {
    fn new() -> Self {
        Self { sshd: Sshd::start(), echo: Target::start(Service::Echo) }
    }

    /// Starts it, and waits until it carries.
    fn up(&self, autossh: &Autossh) -> (Running, u16) {
        let port = free_port();
        let line = format!("-M 0 -N {} -L {port}:127.0.0.1:{} {}", options(&self.sshd), self.echo.port, host());
        let running = start(autossh, &line);
        carries(port);
        (running, port)
    }
}

#[track_caller]
fn ended_by(mut running: Running, signal: Signal) -> Option<i32> {
    running.signal(signal);
    running.wait().code()
}

#[test]
fn a_first_start_that_fails_within_the_gate_time_is_the_last() {
    let story = same(&[("AUTOSSH_GATETIME", "30")], |autossh| to_its_end(autossh, &closed()));
    assert_eq!(story.last().map(String::as_str), Some("ssh exited prematurely with status 255; autossh exiting"));
    let unset = [Autossh::original(), Autossh::new()].map(|autossh| {
        let autossh = autossh.without("AUTOSSH_GATETIME");
        (to_its_end(&autossh, &closed()), super::story(&autossh.log()))
    });
    assert_eq!(unset[1], unset[0], "ours on the left");
}

#[test]
fn a_limit_of_starts_ends_it_with_0() {
    let story = same(&[("AUTOSSH_MAXSTART", "3")], |autossh| to_its_end(autossh, &closed()));
    assert_eq!(counts(&story)["ssh exited with error status 255; restarting ssh"], 3, "{story:?}");
    assert_eq!(story[story.len() - 4], "starting ssh (count 3 of 3)", "{story:?}");
}

#[test]
fn waits_grow_by_the_same_numbers() {
    for (poll, last) in [("600", 8), ("60", 3), ("30", 1), ("1000", 3)] {
        let last = format!("sleeping for grace time {last} secs");
        let story = same(&[("AUTOSSH_POLL", poll)], |autossh| {
            let running = start(autossh, &closed());
            autossh.wait_log(&last);
            ended_by(running, Signal::SIGTERM)
        });
        assert!(story.contains(&last), "{poll}: {story:?}");
        // Interrupted in the middle of a wait, each in the same words.
        assert_eq!(story.last().map(String::as_str), Some("signalled to exit"), "{poll}");
    }
}

#[test]
fn a_session_that_the_server_kills_is_started_again() {
    let place = Place::new();
    let story = same(&[], |autossh| {
        let (running, port) = place.up(autossh);
        place.sshd.kill_sessions();
        autossh.wait_log("starting ssh (count 2)");
        carries(port);
        ended_by(running, Signal::SIGTERM)
    });
    assert_eq!(counts(&story)["ssh exited with error status 255; restarting ssh"], 1, "{story:?}");
    assert_eq!(story.last().map(String::as_str), Some("received signal to exit (15)"));
}

#[test]
fn usr1_makes_a_new_session() {
    let place = Place::new();
    // A restart that was asked for is none that failed: it does not count here.
    let story = same_but(&["checking for grace period"], &[], |autossh| {
        let (running, port) = place.up(autossh);
        running.signal(Signal::SIGUSR1);
        autossh.wait_log("starting ssh (count 2)");
        carries(port);
        ended_by(running, Signal::SIGTERM)
    });
    assert_eq!(counts(&story)["signalled to kill and restart ssh"], 1, "{story:?}");
}

#[test]
fn hup_usr2_and_alrm_do_nothing_to_a_session_and_int_ends_it_as_term_does() {
    let place = Place::new();
    let story = same(&[], |autossh| {
        let (running, port) = place.up(autossh);
        for signal in [Signal::SIGHUP, Signal::SIGUSR2, Signal::SIGALRM] {
            running.signal(signal);
            carries(port);
        }
        assert_eq!(place.sshd.sessions().len(), 1);
        ended_by(running, Signal::SIGINT)
    });
    assert_eq!(story.last().map(String::as_str), Some("received signal to exit (2)"));
}

#[test]
fn a_lifetime_ends_it_with_0() {
    let place = Place::new();
    let story = same(&[("AUTOSSH_MAXLIFETIME", "3")], |autossh| {
        let (mut running, _) = place.up(autossh);
        running.wait().code()
    });
    let last = story.last().map(String::as_str);
    assert_eq!(last, Some("exceeded maximum time to live, shutting down"), "{story:?}");
}

#[test]
fn in_the_background_the_parent_ends_with_0_and_pkill_ends_the_other() {
    let place = Place::new();
    // Gate time is off then, whatever the environment says.
    let story = same(&[("AUTOSSH_GATETIME", "30")], |autossh| {
        let port = free_port();
        let line = format!("-M 0 -f -N {} -L {port}:127.0.0.1:{} {}", options(&place.sshd), place.echo.port, host());
        let parent = to_its_end(autossh, &line);
        carries(port);
        let pid = autossh.pid();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("a process");
        assert_eq!(name.trim(), "autossh");
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM).expect("it lives");
        eventually("the pidfile is gone", || (!autossh.dir().join("pid").exists()).then_some(()));
        eventually("it has ended", || (!std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists()).then_some(()));
        parent
    });
    assert_eq!(story.last().map(String::as_str), Some("received signal to exit (15)"));
}

#[test]
fn in_the_background_a_start_that_fails_is_repeated_and_the_parent_does_not_know() {
    let story = same(&[("AUTOSSH_GATETIME", "30"), ("AUTOSSH_MAXSTART", "2")], |autossh| {
        let parent = to_its_end(autossh, &format!("-f {}", closed()));
        autossh.wait_log("max start count reached; exiting");
        eventually("the pidfile is gone", || (!autossh.dir().join("pid").exists()).then_some(()));
        parent
    });
    assert_eq!(counts(&story)["starting ssh (count 2 of 2)"], 1, "{story:?}");
}

#[test]
fn every_level_shows_the_same_lines() {
    let mut lines = Vec::new();
    for level in 0..=7 {
        let level = level.to_string();
        let refused = [("AUTOSSH_LOGLEVEL", level.as_str()), ("AUTOSSH_GATETIME", "30")];
        let story = same(&refused, |autossh| to_its_end(autossh, &closed()));
        // A wait that is cut short is told at another level than a session that is.
        let waits = [("AUTOSSH_LOGLEVEL", level.as_str()), ("AUTOSSH_MAXSTART", "2")];
        lines.push(story.len() + same(&waits, |autossh| to_its_end(autossh, &closed())).len());
    }
    assert!(
        lines.is_sorted() && lines[0] == 0 && lines[3] > 0 && lines[6] > lines[5] && lines[7] > lines[6],
        "{lines:?}"
    );
}

#[test]
fn debug_tells_standard_error_the_same_as_a_file_would_get() {
    let said = [Autossh::original(), Autossh::new()].map(|autossh| {
        let autossh =
            autossh.without("AUTOSSH_LOGFILE").with_all(&[("AUTOSSH_DEBUG", "0"), ("AUTOSSH_GATETIME", "30")]);
        assert_eq!(to_its_end(&autossh, &closed()), Some(1));
        // ssh's own words stand between.
        let said = autossh.said();
        let lines = said.lines().filter(|line| line.starts_with("autossh["));
        super::told(lines.filter_map(|line| line.split_once("]: ")).map(|(_, text)| text))
    });
    assert_eq!(said[1], said[0], "ours on the left");
    assert!(said[0].len() >= 4, "{said:?}");
}

#[test]
fn a_file_gets_everything_and_standard_error_nothing() {
    let autossh = Autossh::new().with_all(&[("AUTOSSH_DEBUG", "1"), ("AUTOSSH_GATETIME", "30")]);
    assert_eq!(to_its_end(&autossh, &format!("-q {}", closed())), Some(1));
    assert_eq!(autossh.said(), "");
    assert!(!story(&autossh.log()).is_empty());
    let both = same(&[("AUTOSSH_DEBUG", "1"), ("AUTOSSH_LOGLEVEL", "0"), ("AUTOSSH_GATETIME", "30")], |autossh| {
        to_its_end(autossh, &closed())
    });
    assert!(both.len() >= 4, "{both:?}");
}

#[test]
fn a_second_one_with_other_words_is_no_concern_of_the_first() {
    let place = Place::new();
    same(&[], |autossh| {
        let (running, port) = place.up(autossh);
        let code = to_its_end(&Autossh::new().with("AUTOSSH_MAXSTART", "1"), &closed());
        assert_eq!(code, Some(0));
        carries(port);
        ended_by(running, Signal::SIGTERM)
    });
    assert_eq!(words("a 'b c'"), ["a", "b c"]);
}
