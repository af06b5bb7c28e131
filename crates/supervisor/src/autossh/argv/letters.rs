//! Every option letter of ssh(1) and of autossh(1), and what becomes of it here. One table: the parser walks it, the
//! import prints from it, docs/autossh.md shows it. Nothing is ignored in silence.

use tunnel_engine::spec::ForwardKind;

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Read by the parser itself.
    Own,
    /// An ssh_config keyword that takes the argument.
    Keyword(&'static str),
    /// An ssh_config keyword with this value.
    Fixed(&'static str, &'static str),
    /// A forward.
    Forward(ForwardKind),
    /// A tunnel device.
    Device,
    /// Asks for what is the case anyway.
    Granted,
    /// About a shell, a terminal or another program: a tunnel has none of these. Told in a note.
    NoEffect(&'static str),
    /// Would change what the line does, and cannot be done.
    Refused(&'static str),
}

/// One option letter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) letter: char,
    pub(super) argument: bool,
    pub(super) fate: Fate,
}

const fn flag(letter: char, fate: Fate) -> Letter {
    Letter { letter, argument: false, fate }
}

const fn with(letter: char, fate: Fate) -> Letter {
    Letter { letter, argument: true, fate }
}

const NO_SHELL: &str = "no shell is opened on the server";
/// Why master connections are left alone.
const NO_MASTER: &str = "the session is this process's own: no master connection is used or made";

/// ssh 10's letters with its real arities, and autossh's `-M` and `-f`.
pub(super) const LETTERS: &[Letter] = &[
    flag('1', Fate::Refused("protocol version 1 is gone from SSH")),
    flag('2', Fate::Granted),
    flag('4', Fate::Fixed("AddressFamily", "inet")),
    flag('6', Fate::Fixed("AddressFamily", "inet6")),
    flag('A', Fate::NoEffect(NO_SHELL)),
    flag('a', Fate::Granted),
    with('B', Fate::Keyword("BindInterface")),
    with('b', Fate::Keyword("BindAddress")),
    flag('C', Fate::Fixed("Compression", "yes")),
    with('c', Fate::Keyword("Ciphers")),
    with('D', Fate::Forward(ForwardKind::Dynamic)),
    with('E', Fate::Own),
    with('e', Fate::NoEffect("there is no terminal to escape from")),
    with('F', Fate::Own),
    flag('f', Fate::Own),
    flag(
        'G',
        Fate::Refused("it prints a configuration: `tunneld import autossh -- …` prints what the line means here"),
    ),
    flag('g', Fate::Fixed("GatewayPorts", "yes")),
    with('I', Fate::Refused("PKCS#11 modules are not loaded: load the key into ssh-agent with `ssh-add -s`")),
    with('i', Fate::Keyword("IdentityFile")),
    with('J', Fate::Keyword("ProxyJump")),
    flag('K', Fate::NoEffect("GSSAPI is not spoken: keys, certificates, the agent and passwords are")),
    flag('k', Fate::Granted),
    with('L', Fate::Forward(ForwardKind::Local)),
    with('l', Fate::Keyword("User")),
    with('M', Fate::Own),
    with('m', Fate::Keyword("MACs")),
    flag('N', Fate::Own),
    flag('n', Fate::Granted),
    with('O', Fate::Refused("there is no master connection to control")),
    with('o', Fate::Own),
    with('P', Fate::Keyword("Tag")),
    with('p', Fate::Keyword("Port")),
    with('Q', Fate::Refused("it lists algorithms and opens no tunnel")),
    flag('q', Fate::Own),
    with('R', Fate::Forward(ForwardKind::Remote)),
    with('S', Fate::NoEffect(NO_MASTER)),
    flag('s', Fate::Refused("a subsystem is not a tunnel")),
    flag('T', Fate::Granted),
    flag('t', Fate::Own),
    flag('V', Fate::Own),
    flag('v', Fate::Own),
    with('W', Fate::Refused("standard input and output are not forwarded: use `-L port:host:port`")),
    with('w', Fate::Device),
    flag('X', Fate::NoEffect(NO_SHELL)),
    flag('x', Fate::Granted),
    flag('Y', Fate::NoEffect(NO_SHELL)),
    flag('y', Fate::Granted),
];

/// `-M` of ssh: a master connection.
pub(super) const MASTER: Letter = flag('M', Fate::NoEffect(NO_MASTER));

/// A letter of the table.
pub(super) fn find(letter: char) -> Option<&'static Letter> {
    LETTERS.iter().find(|one| one.letter == letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_and_their_arities_are_those_of_ssh() {
        // ssh.c of OpenSSH 10, with autossh's M.
        const SSH: &str = "1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:M:NO:P:Q:R:S:TVw:W:XYy";
        let mut rest = SSH.chars().peekable();
        let mut count = 0;
        while let Some(letter) = rest.next() {
            let argument = rest.next_if_eq(&':').is_some();
            assert_eq!(find(letter).map(|one| one.argument), Some(argument), "-{letter}");
            count += 1;
        }
        assert_eq!(LETTERS.len(), count);
    }
}
