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
