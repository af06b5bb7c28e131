//! Every keyword of OpenSSH's client, 9.2 to 10.5, Debian's and Red Hat's additions included, and what becomes of it.
//! What sets a key of a tunnel is in the table of keys (`spec::settings`).

use std::sync::LazyLock;

use super::interactive::LogLevel;
use super::keyword::{Dropped, Keyword, Meaning, Shape};
use crate::spec::settings::{Field, keys_of_ssh_config};

/// A flag that is off.
const NO: &[&str] = &["no", "false"];

const ASK: Shape = Shape::Choice(&["yes", "no", "true", "false", "ask"]);

/// All of them, in the order of the alphabet: those that set a key of a tunnel, by its row, and the others.
pub(super) static KEYWORDS: LazyLock<Vec<Keyword>> = LazyLock::new(|| {
    let of_keys = keys_of_ssh_config().filter_map(|(key, name)| Some(followed(name, shape(key.field)?)));
    let mut all: Vec<Keyword> = of_keys.chain(OTHERS.iter().copied()).collect();
    all.sort_by_key(|keyword| keyword.name.to_ascii_lowercase());
    all
});

/// The form that a value of this type has in ssh_config; `None` where it is in `OTHERS`, or ssh_config has no such
/// type.
const fn shape(field: Field) -> Option<Shape> {
    Some(match field {
        Field::Flag(_) => Shape::Flag,
        Field::Count(..) => Shape::Number,
        Field::Time(..) => Shape::Time,
        Field::Word(_)
        | Field::HostName(_)
        | Field::Certificates(_)
        | Field::Identities(_)
        | Field::Agent(_)
        | Field::Algorithms(..) => Shape::Word,
        Field::Paths(_) | Field::PermitRemoteOpen(_) => Shape::Words,
        Field::HostsCommand(_) => Shape::Command,
        Field::Strict(_) => Shape::Choice(&["yes", "no", "true", "false", "ask", "off", "accept-new"]),
        Field::UpdateHostKeys(_) => ASK,
        Field::Family(_) => Shape::Choice(&["any", "inet", "inet6"]),
        Field::IpQos(_) | Field::RekeyLimit(_) => Shape::Any,
        Field::Mask(_) => Shape::Mask,
        Field::Apart | Field::TomlOnly(_) => return None,
    })
}

/// Those that set no key by its row. `Host`, `Match` and `Include` are not values, and read by the walk.
const OTHERS: &[Keyword] = &[
    noted("AddKeysToAgent", Shape::Any, NO, "keys are not added to an agent"),
    // A daemon cannot ask a user; the autossh frontend can.
    harmless("BatchMode", Shape::Flag),
    harmless("CanonicalDomains", Shape::Any),
    harmless("CanonicalizeFallbackLocal", Shape::Flag),
    refused(
        "CanonicalizeHostname",
        Shape::Choice(&["yes", "no", "true", "false", "always"]),
        NO,
        "names are not canonicalised: write the full name in `Hostname`",
    ),
    harmless("CanonicalizeMaxDots", Shape::Number),
    refused(
        "CanonicalizePermittedCNAMEs",
        Shape::Any,
        &["none"],
        "aliases of the DNS are not followed: write the full name in `Hostname`",
    ),
    refused("ChannelTimeout", Shape::Any, &["none"], "idle connections are not closed: leave it to their ends"),
    refused("CheckHostIP", Shape::Flag, NO, "host keys are looked up by name only"),
    followed("ClearAllForwardings", Shape::Flag),
    // These three have one note together.
    combined("ControlMaster", Shape::Choice(&["yes", "no", "true", "false", "ask", "auto", "autoask"])),
    combined("ControlPath", Shape::Word),
    combined("ControlPersist", Shape::Word),
    followed("DynamicForward", Shape::Forward),
    harmless("EnableEscapeCommandline", Shape::Flag),
    harmless("EnableSSHKeysign", Shape::Flag),
    harmless("EscapeChar", Shape::Word),
    noted("FingerprintHash", Shape::Word, &["sha256"], "fingerprints are shown as SHA256"),
    noted("ForkAfterAuthentication", Shape::Flag, NO, "tunneld does not go into the background after a login"),
    // Without a shell on the server nothing could use an agent or a display.
    harmless("ForwardAgent", Shape::Word),
    harmless("ForwardX11", Shape::Flag),
    harmless("ForwardX11Timeout", Shape::Time),
    harmless("ForwardX11Trusted", Shape::Flag),
    noted("GSSAPIAuthentication", Shape::Flag, NO, "logins are by key or password only"),
    harmless("GSSAPIClientIdentity", Shape::Word),
    harmless("GSSAPIDelegateCredentials", Shape::Flag),
    harmless("GSSAPIKexAlgorithms", Shape::Word),
    noted("GSSAPIKeyExchange", Shape::Flag, NO, "a key exchange is proven by the host key only"),
    harmless("GSSAPIRenewalForcesRekey", Shape::Flag),
    harmless("GSSAPIServerIdentity", Shape::Word),
    harmless("GSSAPITrustDNS", Shape::Flag),
    harmless("HostbasedAcceptedAlgorithms", Shape::Word),
    refused("HostbasedAuthentication", Shape::Flag, NO, "logins are by key or password only"),
    followed("Hostname", Shape::Word),
    followed("IgnoreUnknown", Shape::Word),
    noted("KbdInteractiveDevices", Shape::Word, &[], "the server chooses what it asks"),
    combined("LocalCommand", Shape::Command),
    followed("LocalForward", Shape::Forward),
    harmless("LogLevel", Shape::Choice(LogLevel::WORDS)),
    harmless("LogVerbose", Shape::Words),
    harmless("NumberOfPasswordPrompts", Shape::Number),
    harmless("ObscureKeystrokeTiming", Shape::Word),
    refused("PKCS11Provider", Shape::Word, &["none"], "load the token into an agent, and name it with `IdentityAgent`"),
    // A password comes from `password_file` only.
    harmless("PasswordAuthentication", Shape::Flag),
    combined("PermitLocalCommand", Shape::Flag),
    followed("Port", Shape::Port),
    followed("PreferredAuthentications", Shape::Word),
    followed("ProxyCommand", Shape::Command),
    followed("ProxyJump", Shape::Jump),
    refused("ProxyUseFdpass", Shape::Flag, NO, "a proxy command must carry the bytes itself"),
    followed("PubkeyAuthentication", Shape::Choice(&["yes", "no", "true", "false", "unbound", "host-bound"])),
    followed("RefuseConnection", Shape::Any),
    combined("RemoteCommand", Shape::Command),
    followed("RemoteForward", Shape::Forward),
    harmless("RequestTTY", Shape::Word),
    noted("SecurityKeyProvider", Shape::Word, &["internal", "none"], "a security key signs only in an agent"),
    harmless("SendEnv", Shape::Any),
    noted(
        "SessionType",
        Shape::Choice(&["none", "subsystem", "default"]),
        &["none", "default"],
        "no subsystem is started on the server: only the forwards are kept, as with -N",
    ),
    harmless("SetEnv", Shape::Any),
    harmless("StdinNull", Shape::Flag),
    harmless("SyslogFacility", Shape::Word),
    followed("Tag", Shape::Word),
    followed("Tunnel", Shape::Choice(&["yes", "no", "true", "false", "point-to-point", "ethernet"])),
    followed("TunnelDevice", Shape::Device),
    followed("User", Shape::Word),
    // `ask` is the same as no: a daemon cannot ask a user.
    refused("VerifyHostKeyDNS", ASK, &["no", "false", "ask"], "host keys are looked up in files, not in the DNS"),
    noted("VersionAddendum", Shape::Any, &["none"], "the version that the server is told is tunneld's own"),
    harmless("VisualHostKey", Shape::Flag),
    harmless("WarnWeakCrypto", Shape::Any),
    harmless("XAuthLocation", Shape::Word),
];

/// Other names, in lower case: older ones, Debian's and Red Hat's.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("challengeresponseauthentication", "KbdInteractiveAuthentication"),
    ("dsaauthentication", "PubkeyAuthentication"),
    ("hostbasedkeytypes", "HostbasedAcceptedAlgorithms"),
    ("identityfile2", "IdentityFile"),
    ("keepalive", "TCPKeepAlive"),
    ("protocolkeepalives", "ServerAliveInterval"),
    ("pubkeyacceptedkeytypes", "PubkeyAcceptedAlgorithms"),
    ("rsaminsize", "RequiredRSASize"),
    ("setuptimeout", "ServerAliveInterval"),
    ("skeyauthentication", "KbdInteractiveAuthentication"),
    ("smartcarddevice", "PKCS11Provider"),
    ("tisauthentication", "KbdInteractiveAuthentication"),
];

/// What ssh once knew, and what it says of each.
pub(super) const DROPPED: &[(&str, Dropped)] = &[
    ("afstokenpassing", Dropped::Unsupported),
    ("cipher", Dropped::Deprecated),
    ("compressionlevel", Dropped::Unsupported),
    ("fallbacktorsh", Dropped::Deprecated),
    ("globalknownhostsfile2", Dropped::Deprecated),
    ("kerberosauthentication", Dropped::Unsupported),
    ("kerberostgtpassing", Dropped::Unsupported),
    ("protocol", Dropped::Silent),
    ("rhostsauthentication", Dropped::Deprecated),
    ("rhostsrsaauthentication", Dropped::Unsupported),
    ("rsaauthentication", Dropped::Unsupported),
    ("useprivilegedport", Dropped::Deprecated),
    ("userknownhostsfile2", Dropped::Deprecated),
    ("useroaming", Dropped::Deprecated),
    ("usersh", Dropped::Deprecated),
];

const fn followed(name: &'static str, shape: Shape) -> Keyword {
    Keyword { name, shape, meaning: Meaning::Followed }
}

const fn harmless(name: &'static str, shape: Shape) -> Keyword {
    Keyword { name, shape, meaning: Meaning::Harmless }
}

const fn refused(name: &'static str, shape: Shape, defaults: &'static [&'static str], why: &'static str) -> Keyword {
    Keyword { name, shape, meaning: Meaning::Refused { defaults, why } }
}

const fn noted(name: &'static str, shape: Shape, defaults: &'static [&'static str], why: &'static str) -> Keyword {
    Keyword { name, shape, meaning: Meaning::Noted { defaults, why } }
}

const fn combined(name: &'static str, shape: Shape) -> Keyword {
    Keyword { name, shape, meaning: Meaning::Combined }
}
