//! Where autossh's log goes by default: the real one's datagrams and ours, side by side, at /dev/log.

use support::autossh::{Autossh, words};
use support::syslog::Syslog;

/// `<14>Nov 21 17:34:22 autossh[7]: text`, with the digits of date and pid made one.
fn plain(message: &str) -> String {
    let (priority, rest) = message.split_once('>').expect("a priority");
    let (head, text) = rest.split_once(": ").expect("a head");
    let mut words: Vec<&str> = head.split_whitespace().collect();
    let tag = words.pop().expect("a tag");
    let shape: Vec<usize> = words.iter().map(|word| word.len()).collect();
    assert!(matches!(shape[..], [3, 1 | 2, 8]), "{message}");
    let tag = tag.trim_end_matches(']').trim_end_matches(|c: char| c.is_ascii_digit());
    let text = text.trim_end_matches(|c: char| c.is_ascii_digit());
    format!("{priority}> {tag}: {text}")
}

/// What both say at /dev/log, without the lines that only ours has.
#[track_caller]
fn both(environment: &[(&str, &str)], line: &str) -> Option<[Vec<String>; 2]> {
    let syslog = Syslog::start()?;
    Some([Autossh::original(), Autossh::new()].map(|autossh| {
        let autossh = autossh.without("AUTOSSH_LOGFILE").with_all(environment);
        let status = syslog.heard_by(&autossh.command(&words(line))).output().expect("it runs");
        let code = status.status.code();
        let said = syslog.rest().into_iter().map(|message| plain(&message));
        let mut said: Vec<String> = said.filter(|line| !line.contains(": ssh: ")).collect();
        said.push(format!("{code:?}"));
        said
    }))
}

#[test]
fn facility_level_name_and_text_are_those_of_the_real_one() {
    let line = "-M 0 -N -F none -p 1 -D 1 127.0.0.1";
    let Some([theirs, ours]) = both(&[("AUTOSSH_GATETIME", "30")], line) else { return };
    assert_eq!(ours, theirs, "ours on the left");
    let want = [
        "<14> autossh[: port set to 0, monitoring disabled",
        "<14> autossh[: starting ssh (count 1)",
        "<14> autossh[: ssh child pid is ",
        "<11> autossh[: ssh exited prematurely with status 255; autossh exiting",
        "Some(1)",
    ];
    assert_eq!(theirs, want);
}

#[test]
fn what_is_wrong_with_the_environment_is_there_in_the_same_words() {
    let long = "x".repeat(65);
    for (name, value) in [
        ("AUTOSSH_POLL", "0"),
        ("AUTOSSH_POLL", ""),
        ("AUTOSSH_POLL", "1m"),
        ("AUTOSSH_FIRST_POLL", "x"),
        ("AUTOSSH_GATETIME", "-1"),
        ("AUTOSSH_GATETIME", "1.5"),
        ("AUTOSSH_MAXSTART", "-2"),
        ("AUTOSSH_MAXLIFETIME", "1d"),
        ("AUTOSSH_LOGLEVEL", "8"),
        ("AUTOSSH_MESSAGE", &long),
    ] {
        let Some([theirs, ours]) = both(&[(name, value)], "-N -M 0 -F none -p 1 -D 1 127.0.0.1") else { return };
        // Its log is not open yet then: the pid is missing there.
        let [theirs, ours] = [theirs, ours].map(|lines| lines.join("\n").replace("autossh: ", "autossh[: "));
        assert_eq!(ours, theirs, "{name}={value}: ours on the left");
    }
}
