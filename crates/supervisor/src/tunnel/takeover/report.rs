//! What the server's shell found out about the holder of a port or path, in people's words.

use tunnel_engine::spec::Listen;

/// The answer of `release.sh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tunnel) enum ReleaseReport {
    /// These processes were ended, and the port or path is free.
    Freed(String),
    /// A socket file that no program had bound is removed.
    Removed,
    /// No process listens there: it is free now, or the refusal has another reason.
    Free,
    /// This very session, or another living one of this tunnel, has it.
    Ours,
    /// No session of this user has it.
    NoSession,
    /// So many sessions could have it.
    Several(String),
    /// A program of this user: process and name.
    Program(String),
    /// A program has the socket bound that is at the path; which one cannot be seen.
    Living,
    /// A process of the user with this number; for a path, the file is this user's.
    Other(String),
    /// This session has it, and a user works in it.
    Busy(String),
    /// These were ended, and another process has it all the same.
    Still(String),
    /// The path is that of a file which is not a socket.
    NotSocket,
    NoDirectory,
    /// The login may not create or remove files in the path's directory.
    ReadOnly,
    /// The shell could not answer this time.
    Unanswered(String),
    /// The server has no shell, or is no Linux, or the shell said something else.
    Unsupported(String),
}

impl ReleaseReport {
    /// Reads the words after `tunneld: `.
    pub(super) fn read(line: &str) -> Self {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        // A server's words end in a terminal.
        let rest: String = rest.chars().filter(|c| !c.is_control()).take(80).collect();
        match word {
            "freed" => Self::Freed(rest),
            "removed" => Self::Removed,
            "free" => Self::Free,
            "ours" => Self::Ours,
            "nosession" => Self::NoSession,
            "several" => Self::Several(rest),
            "program" => Self::Program(rest),
            "living" => Self::Living,
            "other" => Self::Other(rest),
            "busy" => Self::Busy(rest),
            "still" => Self::Still(rest),
            "nosocket" => Self::NotSocket,
            "nodirectory" => Self::NoDirectory,
            "readonly" => Self::ReadOnly,
            "unsupported" => Self::Unsupported(rest),
            _ => Self::Unsupported(format!("its shell said `{}`", line.escape_debug())),
        }
    }

    /// Nothing is in the way any more.
    pub(in crate::tunnel) const fn is_done(&self) -> bool {
        matches!(self, Self::Freed(_) | Self::Removed)
    }

    /// Who did what about `asked`.
    pub(in crate::tunnel) fn words(&self, asked: &Listen) -> String {
        let is_path = matches!(asked, Listen::Unix(_));
        match self {
            Self::Freed(processes) => format!("ended the earlier session that held it (process {processes} there)"),
            Self::Removed => "removed the socket file that an earlier session left there".to_owned(),
            Self::Free if is_path => "no file is there, so the server's policy forbids it".to_owned(),
            Self::Free => "nothing listens there, so the server's policy forbids it".to_owned(),
            Self::Ours => "a living session of this tunnel has it".to_owned(),
            Self::NoSession => "no session of this user holds it".to_owned(),
            Self::Several(count) => format!("{count} sessions of this user could hold it, so none was ended"),
            Self::Program(which) => format!("a program of this user listens there (process {which})"),
            Self::Living => "a program listens there".to_owned(),
            Self::Other(user) if is_path => format!("the socket file there is another user's (uid {user})"),
            Self::Other(user) => format!("a process of another user (uid {user}) listens there"),
            Self::Busy(process) => format!("the session that holds it (process {process} there) is in use"),
            Self::Still(processes) => format!("process {processes} there was ended, and it is still held"),
            Self::NotSocket => "a file that is not a socket is there, and is left alone".to_owned(),
            Self::NoDirectory => "its directory does not exist there".to_owned(),
            Self::ReadOnly => "the login may not create or remove files in its directory".to_owned(),
            Self::Unanswered(why) | Self::Unsupported(why) => why.clone(),
        }
    }

    /// What to do about it, where there is something better than to wait.
    pub(in crate::tunnel) fn hint(&self, asked: &Listen) -> Option<&'static str> {
        let is_path = matches!(asked, Listen::Unix(_));
        match self {
            Self::Several(_) => Some(
                "end the old one there by hand, once; sessions that begin with takeover on are told apart by a mark",
            ),
            Self::Other(_) if is_path => Some("have its owner remove it, or choose another path"),
            Self::Program(_) | Self::Living | Self::Other(_) if is_path => Some("stop it, or choose another path"),
            Self::Program(_) | Self::Living | Self::Other(_) => Some("stop it, or choose another port"),
            Self::Busy(_) if is_path => Some("log out there, or choose another path"),
            Self::Busy(_) => Some("log out there, or choose another port"),
            Self::NotSocket => Some("move it away on the server, or choose another path"),
            Self::NoDirectory => Some("create the directory on the server, or choose another path"),
            Self::ReadOnly => {
                Some("let the login write to the directory on the server, or choose a path in one of its own")
            }
            Self::Free if is_path => Some(POLICY_OF_PATHS),
            Self::Free => Some(
                "allow it on the server: AllowTcpForwarding, PermitListen, and the key's options in authorized_keys; \
                 ports below 1024 need root there",
            ),
            Self::Freed(_)
            | Self::Removed
            | Self::Ours
            | Self::NoSession
            | Self::Still(_)
            | Self::Unanswered(_)
            | Self::Unsupported(_) => None,
        }
    }
}

/// What a server's administrator can forbid of unix sockets.
pub(in crate::tunnel) const POLICY_OF_PATHS: &str = "allow it on the server: AllowStreamLocalForwarding, \
    DisableForwarding, and the key's options in authorized_keys; then `tunneld restart` the tunnel, as sshd keeps for a \
    session what it had at its login";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_script_is_understood() {
        let script = super::super::remote_shell::RELEASE;
        let words: Vec<&str> =
            script.split("say ").skip(1).filter_map(|rest| rest.split([' ', ';', '\n']).next()).collect();
        assert!(words.len() > 9, "{words:?}");
        for word in words {
            let understood =
                !matches!(ReleaseReport::read(word), ReleaseReport::Unsupported(_)) || word == "unsupported";
            assert!(understood, "{word}");
        }
    }

    #[test]
    fn what_a_server_says_is_bounded_and_plain() {
        let asked = Listen::Unix("/s".into());
        let long = format!("program 7 \u{1b}[31m{}", "x".repeat(1000));
        let words = ReleaseReport::read(&long).words(&asked);
        assert!(words.len() < 200 && !words.contains('\u{1b}'));
        assert!(matches!(ReleaseReport::read("hello there"), ReleaseReport::Unsupported(_)));
    }
}
