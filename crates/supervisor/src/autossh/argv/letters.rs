//! Every option letter of ssh(1) and of autossh(1), and what becomes of it here. One table: the parser walks it, the
//! import prints from it, docs/autossh.md shows it. Nothing is ignored in silence.

use tunnel_engine::spec::ForwardKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionHandling {
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
    pub(super) handling: OptionHandling,
}

const fn flag(letter: char, handling: OptionHandling) -> Letter {
    Letter { letter, argument: false, handling }
}

const fn with(letter: char, handling: OptionHandling) -> Letter {
    Letter { letter, argument: true, handling }
}

const NO_SHELL: &str = "no shell is opened on the server";
/// Why master connections are left alone.
const NO_MASTER: &str = "the session is this process's own: no master connection is used or made";

/// ssh 10's letters with its real arities, and autossh's `-M` and `-f`.
pub(super) const LETTERS: &[Letter] = &[
    flag('1', OptionHandling::Refused("protocol version 1 is gone from SSH")),
    flag('2', OptionHandling::Granted),
    flag('4', OptionHandling::Fixed("AddressFamily", "inet")),
    flag('6', OptionHandling::Fixed("AddressFamily", "inet6")),
    flag('A', OptionHandling::NoEffect(NO_SHELL)),
    flag('a', OptionHandling::Granted),
    with('B', OptionHandling::Keyword("BindInterface")),
    with('b', OptionHandling::Keyword("BindAddress")),
    flag('C', OptionHandling::Fixed("Compression", "yes")),
    with('c', OptionHandling::Keyword("Ciphers")),
    with('D', OptionHandling::Forward(ForwardKind::Dynamic)),
    with('E', OptionHandling::Own),
    with('e', OptionHandling::NoEffect("there is no terminal to escape from")),
    with('F', OptionHandling::Own),
    flag('f', OptionHandling::Own),
    flag(
        'G',
        OptionHandling::Refused(
            "it prints a configuration: `tunneld import autossh -- …` prints what the line means here",
        ),
    ),
    flag('g', OptionHandling::Fixed("GatewayPorts", "yes")),
    with('I', OptionHandling::Refused("PKCS#11 modules are not loaded: load the key into ssh-agent with `ssh-add -s`")),
    with('i', OptionHandling::Keyword("IdentityFile")),
    with('J', OptionHandling::Keyword("ProxyJump")),
    flag('K', OptionHandling::NoEffect("GSSAPI is not spoken: keys, certificates, the agent and passwords are")),
    flag('k', OptionHandling::Granted),
    with('L', OptionHandling::Forward(ForwardKind::Local)),
    with('l', OptionHandling::Keyword("User")),
    with('M', OptionHandling::Own),
    with('m', OptionHandling::Keyword("MACs")),
    flag('N', OptionHandling::Own),
    flag('n', OptionHandling::Granted),
    with('O', OptionHandling::Refused("there is no master connection to control")),
    with('o', OptionHandling::Own),
    with('P', OptionHandling::Keyword("Tag")),
    with('p', OptionHandling::Keyword("Port")),
    with('Q', OptionHandling::Refused("it lists algorithms and opens no tunnel")),
    flag('q', OptionHandling::Own),
    with('R', OptionHandling::Forward(ForwardKind::Remote)),
    with('S', OptionHandling::NoEffect(NO_MASTER)),
    flag('s', OptionHandling::Refused("a subsystem is not a tunnel")),
    flag('T', OptionHandling::Granted),
    flag('t', OptionHandling::Own),
    flag('V', OptionHandling::Own),
    flag('v', OptionHandling::Own),
    with('W', OptionHandling::Refused("standard input and output are not forwarded: use `-L port:host:port`")),
    with('w', OptionHandling::Device),
    flag('X', OptionHandling::NoEffect(NO_SHELL)),
    flag('x', OptionHandling::Granted),
    flag('Y', OptionHandling::NoEffect(NO_SHELL)),
    flag(
        'y',
        OptionHandling::NoEffect("ssh's messages go to standard error, or to the file of -E; the log is in syslog"),
    ),
];

/// `-M` of ssh: a master connection.
pub(super) const MASTER: Letter = flag('M', OptionHandling::NoEffect(NO_MASTER));

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
