//! What each keyword of ssh_config(5), OpenSSH 9.2 to 10.5 with Debian's and Red Hat's additions, comes to. A keyword that
//! is in no list here, or in another class than its list, fails the test.

use crate::spec::settings::{Field, keys_of_ssh_config};
use crate::sshconfig::keyword::{Dropped, KeywordLookup, Meaning, find};
use crate::sshconfig::table::{ALIASES, DROPPED, KEYWORDS};

/// Beside those that set a key of a tunnel by its row.
const FOLLOWED: &str = "ClearAllForwardings DynamicForward Hostname IgnoreUnknown LocalForward Port PreferredAuthentications \
    ProxyCommand ProxyJump PubkeyAuthentication RefuseConnection RemoteForward Tag Tunnel TunnelDevice User";

/// Of the person at a terminal (the autossh frontend follows what is theirs), of a shell on the server, of a log that is not
/// ssh's, or of a keyword that is refused.
const NO_CONCERN: &str = "BatchMode CanonicalDomains CanonicalizeFallbackLocal CanonicalizeMaxDots \
    EnableEscapeCommandline EnableSSHKeysign EscapeChar ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted \
    GSSAPIClientIdentity GSSAPIDelegateCredentials GSSAPIKexAlgorithms GSSAPIRenewalForcesRekey GSSAPIServerIdentity \
    GSSAPITrustDNS HostbasedAcceptedAlgorithms LogLevel LogVerbose NumberOfPasswordPrompts \
    ObscureKeystrokeTiming PasswordAuthentication RequestTTY SendEnv SetEnv StdinNull SyslogFacility \
    VisualHostKey WarnWeakCrypto XAuthLocation";

const NOTED: &str = "AddKeysToAgent ControlMaster ControlPath ControlPersist FingerprintHash ForkAfterAuthentication \
    GSSAPIAuthentication GSSAPIKeyExchange KbdInteractiveDevices RemoteCommand SecurityKeyProvider SessionType \
    VersionAddendum";

const REFUSED: &str = "CanonicalizeHostname CanonicalizePermittedCNAMEs ChannelTimeout CheckHostIP \
    HostbasedAuthentication LocalCommand PKCS11Provider PermitLocalCommand ProxyUseFdpass VerifyHostKeyDNS";

/// With the line of ssh's own: none, `Deprecated`, `Unsupported`.
const DROPPED_BY_SSH: [(&str, Dropped); 3] = [
    ("protocol", Dropped::Silent),
    (
        "cipher fallbacktorsh globalknownhostsfile2 rhostsauthentication useprivilegedport userknownhostsfile2 \
         useroaming usersh",
        Dropped::Deprecated,
    ),
    (
        "afstokenpassing compressionlevel kerberosauthentication kerberostgtpassing rhostsrsaauthentication \
         rsaauthentication",
        Dropped::Unsupported,
    ),
];

#[test]
fn every_keyword_of_ssh_config_has_its_class() {
    let of_keys = keys_of_ssh_config().filter(|(key, _)| !matches!(key.field, Field::Apart)).map(|(_, name)| name);
    let followed = [&of_keys.collect::<Vec<_>>().join(" "), FOLLOWED].join(" ");
    let mut listed = Vec::new();
    for (class, names) in
        [("followed", followed.as_str()), ("no concern", NO_CONCERN), ("noted", NOTED), ("refused", REFUSED)]
    {
        for name in names.split_whitespace() {
            let KeywordLookup::Keyword(keyword) = find(&name.to_lowercase()) else { panic!("`{name}` is unknown") };
            let found = match keyword.meaning {
                Meaning::Followed => "followed",
                Meaning::Harmless => "no concern",
                Meaning::Noted { .. } => "noted",
                Meaning::Refused { .. } => "refused",
                Meaning::Combined if NOTED.split(' ').any(|noted| noted == name) => "noted",
                Meaning::Combined => "refused",
            };
            assert_eq!((keyword.name, found), (name, class));
            listed.push(name);
        }
    }
    let unlisted: Vec<_> = KEYWORDS.iter().map(|keyword| keyword.name).filter(|name| !listed.contains(name)).collect();
    assert!(unlisted.is_empty() && listed.len() == KEYWORDS.len(), "{unlisted:?}");
}

#[test]
fn keywords_that_ssh_dropped_and_older_names_are_known() {
    let dropped: Vec<_> =
        DROPPED_BY_SSH.iter().flat_map(|(names, kind)| names.split(' ').map(|name| (name, *kind))).collect();
    for (name, kind) in &dropped {
        assert!(matches!(find(name), KeywordLookup::Dropped(found) if found == *kind), "{name}");
    }
    assert_eq!(dropped.len(), DROPPED.len());
    for (alias, name) in ALIASES {
        assert!(matches!(find(alias), KeywordLookup::Keyword(keyword) if keyword.name == *name), "{alias}");
    }
}
