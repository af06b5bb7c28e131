//! What stands before the program in a line: assignments, whom it runs as, and what is neither. Pure.

use super::command_line::assignment;

/// Without a meaning for the tunnel.
const PLAIN: &[&str] = &["nohup", "setsid", "exec", "command", "--", "-", "-l", "--login"];

/// Programs that run a command as another account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UserSwitch {
    /// The account follows `-u`; without it, root.
    ByOption,
    /// The account is the first plain word, or follows `-u`.
    ByWord,
    /// `env`: as the same.
    Environment,
    /// The account follows `-c`, `-u`, `--chuid` or `--user`; the program's own options follow `--`.
    Starter,
}

fn switch(word: &str) -> Option<UserSwitch> {
    match word.rsplit('/').next()? {
        "sudo" | "doas" => Some(UserSwitch::ByOption),
        "su" | "runuser" | "gosu" | "su-exec" | "s6-setuidgid" => Some(UserSwitch::ByWord),
        "env" => Some(UserSwitch::Environment),
        "start-stop-daemon" => Some(UserSwitch::Starter),
        _ => None,
    }
}

#[derive(Default)]
pub(super) struct CommandWrappers {
    pub(super) environment: Vec<(String, String)>,
    pub(super) user: Option<String>,
    /// Named in a remark: it changes when, or where, the command runs.
    pub(super) around: Vec<String>,
    /// A first `--` behind the program is not the program's.
    pub(super) ends_with_dashes: bool,
}

impl CommandWrappers {
    pub(super) fn read(words: &[String]) -> Self {
        let mut before = Self::default();
        let mut active = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if let Some(pair) = assignment(word) {
                before.environment.push(pair);
            } else if let Some(found) = switch(word) {
                active = Some(found);
                before.switched(found, word);
            } else if active.is_some_and(|active| takes_user(active, word)) {
                before.user = words.next().cloned();
            } else if active.is_some_and(|active| takes_other(active, word)) {
                words.next();
            } else if let Some(user) =
                attached_user(word).filter(|_| active.is_some_and(|active| active != UserSwitch::Environment))
            {
                before.user = Some(user.to_owned());
            } else if active == Some(UserSwitch::ByWord) && before.user.is_none() && !word.starts_with('-') {
                before.user = Some(word.clone());
            } else if PLAIN.contains(&word.as_str()) || active.is_some_and(|active| is_flag_of(active, word)) {
                // Says nothing of the tunnel.
            } else {
                before.around.push(word.clone());
                active = active.filter(|active| *active == UserSwitch::Starter);
            }
        }
        before
    }

    fn switched(&mut self, switch: UserSwitch, word: &str) {
        match switch {
            UserSwitch::ByOption => self.user = Some("root".to_owned()),
            UserSwitch::ByWord | UserSwitch::Environment => {}
            UserSwitch::Starter => {
                self.ends_with_dashes = true;
                self.around.push(word.to_owned());
            }
        }
    }
}

/// An option about the terminal or the environment.
fn is_flag_of(active: UserSwitch, word: &str) -> bool {
    active != UserSwitch::Starter && word.starts_with('-')
}

/// Does the account follow this option?
fn takes_user(active: UserSwitch, word: &str) -> bool {
    match active {
        UserSwitch::ByOption | UserSwitch::ByWord => matches!(word, "-u" | "--user"),
        UserSwitch::Starter => matches!(word, "-c" | "-u" | "--chuid" | "--user"),
        UserSwitch::Environment => false,
    }
}

/// `su -s SHELL`, `env -u NAME`, `sudo -g GROUP`.
fn takes_other(active: UserSwitch, word: &str) -> bool {
    match active {
        UserSwitch::ByOption => matches!(word, "-g" | "-h" | "-p" | "-C" | "-T"),
        UserSwitch::ByWord => matches!(word, "-s" | "-g"),
        UserSwitch::Environment => matches!(word, "-u"),
        UserSwitch::Starter => false,
    }
}

/// `-utunnel`, `--user=tunnel`.
fn attached_user(word: &str) -> Option<&str> {
    let user = word.strip_prefix("--user=").or_else(|| word.strip_prefix("--chuid="));
    user.or_else(|| word.strip_prefix("-u")).filter(|user| !user.is_empty())
}
