//! The names of the tunnels, for a user who waits at the prompt: from the daemon if it answers at once, else from the config.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use crate::cli::args::GlobalArgs;
use crate::cli::daemon::DaemonAddress;
use crate::config;

/// A daemon answers in a millisecond or two; one that is busy must not hold up the keyboard.
const ANSWER_WITHIN: Duration = Duration::from_millis(40);

/// Takes the value of an option that says which daemon to ask, by clap's name.
pub(super) fn take(global: &mut GlobalArgs, option: &str, value: &str) {
    match option {
        "config" => global.config = Some(value.into()),
        "control_socket" => global.control_socket = Some(value.into()),
        _ => {}
    }
}

pub(super) fn of_tunnels(named: &GlobalArgs) -> Vec<String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut global = named.clone();
    global.config = global.config.or_else(|| variable("TUNNELD_CONFIG"));
    global.control_socket = global.control_socket.or_else(|| variable("TUNNELD_CONTROL_SOCKET"));
    let file = global.config_file();
    of_daemon(global).unwrap_or_else(|| config::names_in(&file))
}

fn of_daemon(global: GlobalArgs) -> Option<Vec<String>> {
    let (answer, answers) = sync_channel(1);
    // It is left behind when it is late: the process ends.
    thread::Builder::new()
        .spawn(move || {
            let status = DaemonAddress::find(&global).and_then(|daemon| daemon.status(Vec::new()));
            let names = status.map(|status| status.tunnels.into_iter().map(|tunnel| tunnel.name).collect());
            let _ = answer.send(names.ok());
        })
        .ok()?;
    answers.recv_timeout(ANSWER_WITHIN).ok().flatten()
}
