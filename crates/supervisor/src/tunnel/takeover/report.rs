//! What the server's shell found out about the holder of a port, in people's words.

/// The answer of `release.sh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tunnel) enum Report {
    /// These processes were ended, and the port is free.
    Freed(String),
    /// Nobody listens there: it is free now, or it was never the holder's fault.
    Free,
    /// This very session, or another living one of this tunnel, has it.
    Ours,
    /// No session of this user has it.
    Nobody,
    /// So many sessions could have it.
    Several(String),
    /// A program of this user: process and name.
    Program(String),
    /// A process of the user with this number.
    Other(String),
    /// This session has it, and somebody works in it.
    Busy(String),
    /// These were ended, and somebody has it all the same.
    Still(String),
    /// The server has no shell, or is no Linux, or the shell said something else.
    Unsupported(String),
}

impl Report {
    /// Reads the words after `tunneld: `.
    pub(super) fn read(line: &str) -> Self {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        // A server's words end in a terminal.
        let rest: String = rest.chars().filter(|c| !c.is_control()).take(80).collect();
        match word {
            "freed" => Self::Freed(rest),
            "free" => Self::Free,
            "ours" => Self::Ours,
            "nobody" => Self::Nobody,
            "several" => Self::Several(rest),
            "program" => Self::Program(rest),
            "other" => Self::Other(rest),
            "busy" => Self::Busy(rest),
            "still" => Self::Still(rest),
            "unsupported" => Self::Unsupported(rest),
            _ => Self::Unsupported(format!("its shell said `{}`", line.escape_debug())),
        }
    }

    /// The holder was ended.
    pub(in crate::tunnel) const fn is_done(&self) -> bool {
        matches!(self, Self::Freed(_))
    }

    /// Who did what.
    pub(in crate::tunnel) fn words(&self) -> String {
        match self {
            Self::Freed(processes) => format!("ended the earlier session that held it (process {processes} there)"),
            Self::Free => "nobody listens there, so the server's policy forbids it".to_owned(),
            Self::Ours => "a living session of this tunnel has it".to_owned(),
            Self::Nobody => "no session of this user holds it".to_owned(),
            Self::Several(count) => format!("{count} sessions of this user could hold it, so none was ended"),
            Self::Program(which) => format!("a program of this user listens there (process {which})"),
            Self::Other(user) => format!("a process of another user (uid {user}) listens there"),
            Self::Busy(process) => format!("the session that holds it (process {process} there) is in use"),
            Self::Still(processes) => format!("process {processes} there was ended, and the port is still held"),
            Self::Unsupported(why) => why.clone(),
        }
    }

    /// What to do about it, where there is something better than to wait.
    pub(in crate::tunnel) const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Several(_) => Some(
                "end the old one there by hand, once; sessions that begin with takeover on are told apart by a mark",
            ),
            Self::Program(_) | Self::Other(_) => Some("stop it, or choose another port"),
            Self::Busy(_) => Some("log out there, or choose another port"),
            Self::Free => Some(
                "allow it on the server: AllowTcpForwarding, PermitListen, and the key's options in authorized_keys; \
                 ports below 1024 need root there",
            ),
            Self::Freed(_) | Self::Ours | Self::Nobody | Self::Still(_) | Self::Unsupported(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_script_is_understood() {
        let script = super::super::talk::RELEASE;
        let words: Vec<&str> =
            script.split("say ").skip(1).filter_map(|rest| rest.split([' ', ';', '\n']).next()).collect();
        assert!(words.len() > 9, "{words:?}");
        for word in words {
            let understood = !matches!(Report::read(word), Report::Unsupported(_)) || word == "unsupported";
            assert!(understood, "{word}");
        }
    }

    #[test]
    fn what_a_server_says_is_bounded_and_plain() {
        let long = format!("program 7 \u{1b}[31m{}", "x".repeat(1000));
        assert!(Report::read(&long).words().len() < 200 && !Report::read(&long).words().contains('\u{1b}'));
        assert!(matches!(Report::read("hello there"), Report::Unsupported(_)));
    }
}
