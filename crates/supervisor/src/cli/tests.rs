//! The command line as a whole.

mod manual;

use super::*;

fn autossh(line: &str) -> Option<Vec<OsString>> {
    as_autossh(line.split(' ').map(OsString::from)).map(|(_, words)| words)
}

#[test]
fn autossh_is_a_name_or_the_first_word() {
    let words = Some(vec![OsString::from("-M"), "0".into(), "--".into(), "-V".into()]);
    assert_eq!(autossh("autossh -M 0 -- -V"), words);
    assert_eq!(autossh("/usr/lib/autossh/autossh -M 0 -- -V"), words);
    assert_eq!(autossh("tunneld autossh -M 0 -- -V"), words);
    assert_eq!(autossh("/usr/bin/tunneld status autossh"), None);
    assert_eq!(autossh("my-autossh -M"), None);
}

#[test]
fn wrong_log_level_is_wrong_usage_unless_the_variable_has_it() {
    assert!(check_log_level(None, None).is_ok());
    assert!(check_log_level(Some("debug"), None).is_ok());
    assert!(check_log_level(Some("inof"), Some("inof")).is_ok(), "it is told with the config");
    let problem = check_log_level(Some("inof"), Some("info")).unwrap_err();
    assert!(matches!(&problem, Problem::Usage(text) if text.starts_with("--log-level: `inof`")), "{problem}");
}
