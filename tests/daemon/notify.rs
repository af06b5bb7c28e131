//! systemd's words: READY, STATUS, RELOADING, WATCHDOG, STOPPING.

use nix::sys::signal::Signal;
use support::daemon::any_forward;
use support::net::free_port;
use support::notify::Notify;
use support::{Daemon, Sshd, tunnel_toml};

fn start(notify: &Notify, config: &str) -> Daemon {
    Daemon::with_environment(config, &[("NOTIFY_SOCKET", &notify.path()), ("WATCHDOG_USEC", "1000000")])
}

#[test]
fn ready_does_not_wait_for_the_network_and_status_names_the_first_problem() {
    let notify = Notify::bind();
    let nowhere = free_port();
    let config = format!(
        "[[tunnel]]\nname = \"far\"\nhost = \"127.0.0.1\"\nport = {nowhere}\nlocal_forward = [\"{}:127.0.0.1:1\"]\n",
        free_port()
    );
    let _daemon = start(&notify, &config);
    notify.until("READY=1");
    notify.until("STATUS=0/1 ready; far: backoff: connect_refused: ");
}

#[test]
fn a_reload_is_framed_by_reloading_with_its_time_and_ready() {
    let (notify, sshd) = (Notify::bind(), Sshd::start());
    let config = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let daemon = start(&notify, &config);
    notify.until("READY=1");
    daemon.signal(Signal::SIGHUP);
    let lines = notify.until("RELOADING=1");
    assert!(lines.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{lines:?}");
    notify.until("READY=1");
    daemon.write_config("[[tunnel]]\nnonsense = 1\n");
    daemon.signal(Signal::SIGHUP);
    notify.until("RELOADING=1");
    notify.until("READY=1");
    assert!(daemon.tunnel("t").is_some(), "a refused config changes nothing");
}

#[test]
fn the_watchdog_is_fed_while_all_is_well_and_stopping_is_said() {
    let (notify, sshd) = (Notify::bind(), Sshd::start());
    let config = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let mut daemon = start(&notify, &config);
    daemon.wait_ready("t");
    notify.until("WATCHDOG=1");
    notify.until("WATCHDOG=1");
    daemon.signal(Signal::SIGTERM);
    notify.until("STOPPING=1");
    assert!(daemon.wait().success());
}
