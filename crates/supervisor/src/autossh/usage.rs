//! What is printed where a command line cannot be parsed.

/// The usage text, on standard error.
pub(super) fn text(program: &str) -> String {
    format!(
        "\
usage: {program} [-V] [-M monitor_port[:echo_port]] [-f] [SSH_OPTIONS] [user@]host

    -M  watch the session through this port and the next one; 0, or nothing: off.
        With an echo port: through an echo service on the server. Wins over AUTOSSH_PORT.
    -f  run in the background
    -V  print the version and exit

    SSH_OPTIONS are ssh(1)'s, as far as they concern tunnels: -N -L -R -D -p -l -i -o -F -J and so on.
    No shell is opened and no command is run: docs/autossh.md has the table.

Environment:
    AUTOSSH_GATETIME     how long the first session must last to be one, in seconds [30; 0 with -f]
    AUTOSSH_POLL         seconds between two tests of the monitor; the backoff follows it [600]
    AUTOSSH_FIRST_POLL   seconds from a start to its first test [AUTOSSH_POLL]
    AUTOSSH_MAXSTART     how many starts to make at most [-1: no limit]
    AUTOSSH_MAXLIFETIME  how long to run at most, in seconds [0: no limit]
    AUTOSSH_MESSAGE      text to append to the monitor's line, at most 64 bytes
    AUTOSSH_PORT         monitor port, where -M does not say one
    AUTOSSH_PIDFILE      write the pid to this file
    AUTOSSH_LOGFILE      log to this file instead of syslog
    AUTOSSH_LOGLEVEL     0 to 7, as syslog counts [6]
    AUTOSSH_DEBUG        log everything, and to standard error too
    TUNNELD_AUTOSSH      \"fast\": hold listeners and retry as tunneld does, instead of autossh's timing
"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::autossh::environment::FAST;
    use crate::manual::{AUTOSSH, items, section};

    #[test]
    fn manual_has_every_variable_of_the_usage_text() {
        let text = text("autossh");
        let (_, environment) = text.split_once("Environment:").unwrap();
        let mut real: BTreeSet<&str> = environment.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(real.contains(FAST), "{real:?}");
        // Accepted so that old lines work, and of no use in new ones; and the service manager's own.
        real.extend(["AUTOSSH_PATH", "NOTIFY_SOCKET"]);
        assert_eq!(items(&section(AUTOSSH, "ENVIRONMENT"), "Ev").into_iter().collect::<BTreeSet<_>>(), real);
    }
}
