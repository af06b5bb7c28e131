//! What holds a port or a path on the server, where the login may look: nothing is ended and nothing removed.

use tunnel_engine::session::Session;
use tunnel_engine::spec::Listen;

use super::held_address::{HeldAddress, octal};
use super::remote_shell;

/// What `look.sh` saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortHolder {
    /// Nothing listens there, and no file is in the way.
    Free,
    /// A program of this user: process and name.
    Program(String),
    /// An SSH session of this user; its process, where that can be seen.
    Session(String),
    /// A process of the user with this number.
    Other(String),
    /// Something has the socket bound that is at the path.
    Living,
    /// A socket file that nothing has bound.
    Stale,
    NotSocket,
    NoDirectory,
    /// The login may not write to it.
    ReadOnly,
}

/// Looks, by a shell of the login's.
///
/// # Errors
/// Why nothing could be seen: no shell, no Linux, a path that the shell cannot be told.
pub(crate) async fn inspect(session: &Session, listen: &Listen) -> Result<PortHolder, String> {
    let held = HeldAddress::of(listen).ok_or_else(|| "such an address cannot be looked for".to_owned())?;
    let (line, _) =
        remote_shell::tell(session, &held.to_string(), remote_shell::LOOK).await.map_err(|why| why.to_string())?;
    read(&line)
}

/// Removes the file of a remote unix socket that was listened on for a moment: sshd leaves it behind, and would not listen
/// there again. One that a program has bound is left alone.
pub(crate) async fn remove_socket_file(session: &Session, listen: &Listen) {
    let Some(HeldAddress::Path(path)) = HeldAddress::of(listen) else { return };
    // No session of a tunnel's is ended, so that no mark is looked for.
    let arguments = format!("file:{} none", octal(&path));
    if let Err(why) = remote_shell::tell(session, &arguments, remote_shell::RELEASE).await {
        tracing::debug!(%why, "the file of a remote socket is left behind");
    }
}

fn read(line: &str) -> Result<PortHolder, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    // A server's words end in a terminal.
    let rest: String = rest.chars().filter(|c| !c.is_control()).take(80).collect();
    Ok(match word {
        "free" => PortHolder::Free,
        "program" => PortHolder::Program(rest),
        "session" => PortHolder::Session(rest),
        "other" => PortHolder::Other(rest),
        "living" => PortHolder::Living,
        "stale" => PortHolder::Stale,
        "nosocket" => PortHolder::NotSocket,
        "nodirectory" => PortHolder::NoDirectory,
        "readonly" => PortHolder::ReadOnly,
        "unsupported" => return Err(rest),
        _ => return Err(format!("the login's shell said `{}`", line.escape_debug())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_script_is_understood() {
        let words: Vec<&str> = remote_shell::LOOK
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(|line| line.split("say ").skip(1))
            .filter_map(|rest| rest.split([' ', ';', '\n']).next())
            .collect();
        assert!(words.len() > 9, "{words:?}");
        for word in words {
            assert!(read(word).is_ok() || word == "unsupported", "{word}");
        }
        assert!(read("hello").is_err());
    }
}
