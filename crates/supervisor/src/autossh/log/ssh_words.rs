//! What the program tells the owner of a config, told to the writer of an ssh command line, who has no config to set a
//! key in, and no daemon to give orders to.

use tunnel_engine::failure::FailureKind;

use crate::spec::settings::keys_of_ssh_config;

/// Distinguishes the hint about a remote unix socket from that about a port.
const UNLINK: &str = "StreamLocalBindUnlink";

/// Phrases about what a config has and ssh does not.
const PHRASES: [(&str, &str); 7] = [
    ("_file is set", " was given"),
    ("set password_file", "give the password on a terminal, without -f and BatchMode"),
    ("in tunnel_device", "in -w"),
    ("`tunneld restart` the tunnel", "send this process SIGUSR1"),
    (" = true", "=yes"),
    (" = \"", "="),
    ("\"`", "`"),
];

/// The hint of a failure: its own, which [`in_ssh_words`] has reworded, or one in its place.
pub(in crate::autossh) fn hint(kind: FailureKind, own: &str) -> String {
    let busy = kind == FailureKind::RemotePortBusy && own.contains("on_remote_port_busy");
    let told = if kind == FailureKind::PassphraseNeeded {
        "load the key into ssh-agent; on a terminal, without -f and BatchMode, the passphrase is asked for"
    } else if busy && own.contains(UNLINK) {
        "most likely an earlier session left its socket file on the server: remove it, or set `StreamLocalBindUnlink yes` \
         in its sshd_config; else AllowStreamLocalForwarding there forbids it"
    } else if busy {
        kind.hint()
    } else if kind == FailureKind::AgentUnavailable {
        "start the agent and set SSH_AUTH_SOCK, or name a key with -i"
    } else if kind == FailureKind::PasswordChangeRequired {
        "log in once with ssh and set a new password"
    } else {
        own
    };
    told.to_owned()
}

/// Our own text with the keywords of ssh_config(5) in the place of a config's keys.
pub(in crate::autossh) fn in_ssh_words(text: &str) -> String {
    let mut text = text.to_owned();
    if text.contains("` for this tunnel") {
        text = text.replace("` for this tunnel", "`").replace("set `", "use `-o ");
    }
    for (phrase, instead) in PHRASES {
        text = text.replace(phrase, instead);
    }
    // Other keys are English words, too.
    let distinct = |name: &str| name.contains('_') || matches!(name, "ciphers" | "macs");
    for (key, keyword) in keys_of_ssh_config().filter(|(key, _)| distinct(key.name)) {
        text = text.replace(key.name, keyword);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_config_are_keywords_of_ssh_config() {
        for (own, told) in [
            ("check the route and the firewall, or raise connect_timeout", "or raise ConnectTimeout"),
            ("cannot be updated, set `ciphers = \"+a@b\"` for this tunnel", "updated, use `-o Ciphers=+a@b`"),
            ("leave out the others, with identities_only = true for those of an agent", "with IdentitiesOnly=yes for"),
            ("set `PermitTunnel ethernet` in the server's sshd_config", "set `PermitTunnel ethernet` in the server's"),
            ("it is encrypted, and no passphrase_file is set", "and no passphrase was given"),
            ("is a key of 1024 bits, and required_rsa_size is 2048", "and RequiredRSASize is 2048"),
            ("name another number, or `any`, in tunnel_device", "or `any`, in -w"),
            ("updated, set `{} = \"+{}\"` for this tunnel", "updated, use `-o {}=+{}`"),
        ] {
            assert!(in_ssh_words(own).ends_with(told) || in_ssh_words(own).contains(told), "{}", in_ssh_words(own));
        }
    }

    #[test]
    fn no_hint_names_what_only_a_config_has() {
        for &kind in FailureKind::ALL.iter().filter(|kind| !super::super::phrases::OWN_RULES.contains(kind)) {
            for own in [kind.hint(), "the server takes only {}: set password_file, or allow keys there"] {
                let told = hint(kind, &in_ssh_words(own));
                let foreign = ["_file", "identity_", "connect_timeout", "tunneld restart", "on_remote_port_busy"];
                assert!(!foreign.iter().any(|key| told.contains(key)), "{kind}: {told}");
            }
        }
    }

    #[test]
    fn hint_about_a_busy_port_is_kept_where_no_config_is_needed() {
        let busy = |own| hint(FailureKind::RemotePortBusy, own);
        assert_eq!(busy("use a port above 1023"), "use a port above 1023");
        assert_eq!(busy("on_remote_port_busy = \"takeover\" ends it"), FailureKind::RemotePortBusy.hint());
        assert!(busy("set `StreamLocalBindUnlink yes`, or on_remote_port_busy = \"takeover\"").contains("sshd_config"));
    }
}
