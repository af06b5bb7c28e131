//! The network fails in ways of its own, and the tunnel is back after each.

use support::net::{Service, Target, ask, echoes};
use support::netlab::Netlab;
use support::{Daemon, eventually};

const LOCAL: u16 = 7100;
const REMOTE: u16 = 7200;

/// Waits that fit a test's patience. All else is as it comes.
const SOON: &str = "server_alive_interval = 1\nserver_alive_count_max = 2\n";

struct Fixture {
    lab: Netlab,
    daemon: Daemon,
}

/// A tunnel from the client to the server that echoes both ways; `None` where there can be no namespaces.
fn tunnel() -> Option<Fixture> {
    let lab = Netlab::start()?;
    let here = lab.client.run(|| Target::start(Service::Echo));
    let there = lab.server.run(|| Target::start(Service::Echo));
    let lines = format!(
        "{SOON}local_forward = [\"127.0.0.1:{LOCAL}:127.0.0.1:{}\"]\nremote_forward = [\"{REMOTE}:127.0.0.1:{}\"]",
        there.port, here.port
    );
    let daemon = lab.client.run(|| Daemon::start(&lab.tunnel_toml(&lines)));
    daemon.wait_ready("t");
    let fixture = Fixture { lab, daemon };
    assert!(fixture.local() && fixture.remote());
    Some(fixture)
}

impl Fixture {
    fn local(&self) -> bool {
        self.lab.client.run(|| echoes(LOCAL))
    }

    fn remote(&self) -> bool {
        self.lab.server.run(|| echoes(REMOTE))
    }

    #[track_caller]
    fn carries_both_ways(&self) {
        eventually("the local forward carries", || self.local().then_some(()));
        eventually("the remote forward carries", || self.remote().then_some(()));
        assert!(self.daemon.log().lines().all(|line| !line.contains("ERROR")), "{}", self.daemon.log());
    }

    fn waits_for_the_end_of_the_session(&self) {
        self.daemon.wait_for("t", "without its first session", |tunnel| {
            tunnel["session"].is_null() || tunnel["starts"].as_u64() > Some(1)
        });
    }
}

#[test]
fn a_path_that_went_silent_is_given_up_and_used_again_when_it_heals() {
    let Some(fixture) = tunnel() else { return };
    fixture.lab.drop_all();
    fixture.waits_for_the_end_of_the_session();
    fixture.lab.undrop();
    fixture.carries_both_ways();
}

#[test]
fn a_path_on_which_only_answers_are_lost_is_given_up_too() {
    let Some(fixture) = tunnel() else { return };
    fixture.lab.drop_answers();
    fixture.waits_for_the_end_of_the_session();
    fixture.lab.undrop();
    fixture.carries_both_ways();
}

#[test]
fn a_connection_made_while_the_link_is_down_is_served_when_it_is_up() {
    let Some(fixture) = tunnel() else { return };
    fixture.lab.link_down();
    fixture.waits_for_the_end_of_the_session();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| fixture.lab.client.run(|| ask(LOCAL, b"I can wait")));
        fixture.daemon.wait_for("t", "holding one", |tunnel| tunnel["forwards"][0]["held"] == 1);
        fixture.lab.link_up();
        assert_eq!(held.join().expect("the asker ends").expect("an answer"), b"I can wait");
    });
    fixture.carries_both_ways();
}

#[test]
fn a_client_whose_address_changed_logs_in_from_the_new_one() {
    let Some(fixture) = tunnel() else { return };
    fixture.lab.move_client();
    // The old session cannot: its address is gone. By a start, or by another session beside it.
    eventually("the local forward carries", || fixture.local().then_some(()));
}

#[test]
fn a_killed_session_is_replaced_and_its_remote_port_listens_again() {
    let Some(fixture) = tunnel() else { return };
    fixture.lab.kill_sessions();
    fixture.waits_for_the_end_of_the_session();
    fixture.carries_both_ways();
}
