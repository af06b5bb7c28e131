//! Every variable, right and wrong.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<AutosshEnvironment, Vec<String>> {
    let variable = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    AutosshEnvironment::read(&variable).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn error(name: &str, value: &str) -> String {
    read(&[(name, value)]).unwrap_err().join("; ")
}

#[test]
fn without_variables_everything_is_autosshs_default() {
    let environment = read(&[]).unwrap();
    assert_eq!((environment.poll, environment.first_poll), (AutosshEnvironment::POLL, AutosshEnvironment::POLL));
    assert_eq!((environment.gate_time, environment.net_timeout), (GATE_TIME, NET_TIMEOUT));
    assert_eq!((environment.max_start, environment.max_lifetime, environment.port), (None, None, None));
    assert_eq!(environment.log, LogOptions { level: 6, debug: false, file: None });
    assert!(!environment.fast && environment.notes.is_empty());
}

#[test]
fn every_variable_counts() {
    let environment = read(&[
        ("AUTOSSH_DEBUG", ""),
        ("AUTOSSH_LOGLEVEL", "3"),
        ("AUTOSSH_LOGFILE", "/l"),
        ("AUTOSSH_POLL", "0x3c"),
        ("AUTOSSH_FIRST_POLL", "5"),
        ("AUTOSSH_GATETIME", "0"),
        ("AUTOSSH_MAXSTART", "3"),
        ("AUTOSSH_MAXLIFETIME", "3600"),
        ("AUTOSSH_MESSAGE", "hello world"),
        ("AUTOSSH_PORT", "20000"),
        ("AUTOSSH_PIDFILE", "/p"),
        ("AUTOSSH_PATH", "/usr/bin/ssh"),
        ("AUTOSSH_NTSERVICE", "yes"),
        ("TUNNELD_AUTOSSH", "fast"),
    ])
    .unwrap();
    assert_eq!(environment.log, LogOptions { level: 7, debug: true, file: Some("/l".into()) });
    assert_eq!((environment.poll.as_secs(), environment.first_poll.as_secs()), (60, 5));
    assert_eq!((environment.gate_time, environment.max_start), (Duration::ZERO, Some(3)));
    assert_eq!(environment.max_lifetime, Some(Duration::from_secs(3600)));
    assert_eq!(environment.message, "hello world");
    assert_eq!(environment.port, Some(MonitorPort::Loop { port: 20000 }));
    assert_eq!(environment.pid_file, Some("/p".into()));
    assert!(environment.fast);
}

#[test]
fn what_is_wrong_is_said_in_autosshs_words() {
    for (name, value, want) in [
        ("AUTOSSH_POLL", "0", "invalid poll time \"0\""),
        ("AUTOSSH_POLL", "", "invalid poll time \"\""),
        ("AUTOSSH_POLL", "-5", "invalid poll time \"-5\""),
        ("AUTOSSH_POLL", "1m", "invalid poll time \"1m\""),
        ("AUTOSSH_FIRST_POLL", "x", "invalid first poll time \"x\""),
        ("AUTOSSH_GATETIME", "1.5", "invalid gate time \"1.5\""),
        ("AUTOSSH_GATETIME", "-1", "invalid gate time \"-1\""),
        ("AUTOSSH_MAXSTART", "-2", "invalid max start number \"-2\""),
        ("AUTOSSH_MAXLIFETIME", "-1", "invalid max lifetime \"-1\""),
        ("AUTOSSH_LOGLEVEL", "abc", "invalid log level \"abc\""),
        ("AUTOSSH_LOGLEVEL", "8", "invalid log level \"8\""),
        ("AUTOSSH_PORT", "65535", "monitor port (65535) out of range"),
        ("AUTOSSH_LOGFILE", "", "cannot open log file \"\": it has no name"),
    ] {
        assert_eq!(error(name, value), want, "{name}={value:?}");
    }
    let long = "x".repeat(65);
    assert_eq!(error("AUTOSSH_MESSAGE", &long), "echo message may only be 64 bytes long");
    assert!(read(&[("AUTOSSH_MESSAGE", &long[1..])]).is_ok());
    assert!(error("AUTOSSH_PATH", "/opt/sshpass-wrapper").contains("no program is started"));
    assert!(error("TUNNELD_AUTOSSH", "quick").contains("\"fast\""));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let errors = read(&[("AUTOSSH_POLL", "x"), ("AUTOSSH_GATETIME", "y"), ("AUTOSSH_PORT", "z")]).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn empty_is_unset_where_autossh_has_it_so() {
    let environment = read(&[("AUTOSSH_PORT", ""), ("AUTOSSH_PIDFILE", ""), ("AUTOSSH_MAXSTART", "-1")]).unwrap();
    assert_eq!((environment.port, environment.pid_file, environment.max_start), (None, None, None));
}

#[test]
fn a_short_life_and_a_short_poll_cut_what_follows_from_them() {
    let environment = read(&[("AUTOSSH_MAXLIFETIME", "20")]).unwrap();
    assert_eq!((environment.poll.as_secs(), environment.first_poll.as_secs()), (20, 20));
    assert_eq!(
        environment.notes,
        [
            "poll time is greater than lifetime, dropping poll time to 20",
            "first poll time is greater than lifetime, dropping first poll time to 20",
            "short poll time: adjusting net timeouts to 10000",
        ]
    );
    assert_eq!(read(&[("AUTOSSH_POLL", "10")]).unwrap().net_timeout, Duration::from_secs(5));
    assert_eq!(read(&[("AUTOSSH_POLL", "1")]).unwrap().net_timeout, Duration::from_millis(500));
}
