//! The session: who we are, who the server is, and when it is dead.

use std::time::Duration;

use tunnel_engine::spec::AlgorithmKind::{CaSignature, Cipher, HostKey, Kex, Mac, PublicKey};

use super::Field::{
    Agent, Algorithms, Certificates, Count, Flag, HostName, HostsCommand, Identities, IpQos, Paths, RekeyLimit, Strict,
    Time, TomlOnly, UpdateHostKeys,
};
use super::Jump::{Inherited, Own};
use super::ReloadEffect::{NewSession, NextStart};
use super::SettingKey;
use super::TomlField::Secret;
use super::limits::{MAX_ALIVE_COUNT, MAX_ATTEMPTS, MAX_RSA_BITS, SHORTEST_CONNECT};

pub(super) const KEYS: &[SettingKey] = &[
    SettingKey::new("identity_file", Identities(|t| &mut t.session.auth.identities), Inherited, NewSession)
        .keyword("IdentityFile")
        .imported_where_set()
        .doc("Private keys in the order to try; \"none\" for none."),
    SettingKey::new("certificate_file", Certificates(|t| &mut t.session.auth.certificates), Inherited, NewSession)
        .keyword("CertificateFile")
        .default("\"none\"")
        .doc("Certificates beside the KEY-cert.pub that are found by themselves."),
    SettingKey::new("identity_agent", Agent(|t| &mut t.session.auth.agent), Inherited, NewSession)
        .keyword("IdentityAgent")
        .default("\"SSH_AUTH_SOCK\"")
        .imported_where_set()
        .doc("The agent's socket, or \"none\""),
    SettingKey::new("identities_only", Flag(|t| &mut t.session.auth.identities_only), Inherited, NewSession)
        .keyword("IdentitiesOnly")
        .default("false")
        .doc("true: keys of the agent are offered only where identity_file names them."),
    SettingKey::new(PublicKey.key(), Algorithms(PublicKey, |t| &mut t.session.auth.accepted), Inherited, NewSession)
        .keyword("PubkeyAcceptedAlgorithms")
        .doc("Which keys may be offered, by the algorithms they sign with"),
    SettingKey::new(
        "required_rsa_size",
        Count(0, MAX_RSA_BITS, |t| &mut t.session.auth.required_rsa_size),
        Inherited,
        NewSession,
    )
    .keyword("RequiredRSASize")
    .default("0")
    .doc("RSA keys of fewer bits are not offered, and a host key of fewer is not believed."),
    SettingKey::new("password_file", TomlOnly(Secret(|t| &mut t.session.auth.password)), Own, NewSession)
        .doc("The file whose first line is the password"),
    SettingKey::new("passphrase_file", TomlOnly(Secret(|t| &mut t.session.auth.passphrase)), Inherited, NewSession)
        .doc("The same for the passphrase of encrypted keys."),
    SettingKey::new("kbd_interactive_authentication", Flag(|t| &mut t.session.auth.interactive), Inherited, NewSession)
        .keyword("KbdInteractiveAuthentication")
        .default("true")
        .doc("false: questions that the server asks (keyboard-interactive) are not answered with the password."),
    SettingKey::new("strict_host_key_checking", Strict(|t| &mut t.session.host_key.strict), Inherited, NewSession)
        .keyword("StrictHostKeyChecking")
        .default("\"yes\"")
        .doc("yes: only keys that known_hosts holds."),
    SettingKey::new(
        "user_known_hosts_file",
        Paths(|t| &mut t.session.host_key.user_known_hosts),
        Inherited,
        NewSession,
    )
    .keyword("UserKnownHostsFile")
    .default("[\"~/.ssh/known_hosts\", \"~/.ssh/known_hosts2\"]")
    .imported_where_set()
    .doc("Files of known hosts; `accept-new` writes to the first."),
    SettingKey::new(
        "global_known_hosts_file",
        Paths(|t| &mut t.session.host_key.global_known_hosts),
        Inherited,
        NewSession,
    )
    .keyword("GlobalKnownHostsFile")
    .default("[\"/etc/ssh/ssh_known_hosts\", \"/etc/ssh/ssh_known_hosts2\"]")
    .imported_where_set()
    .doc("Files of known hosts for all users of the system."),
    SettingKey::new("host_key_alias", HostName(|t| &mut t.session.host_key.alias), Own, NewSession)
        .keyword("HostKeyAlias")
        .doc("The name to look up in them instead of the host."),
    SettingKey::new("revoked_host_keys", Paths(|t| &mut t.session.host_key.revoked), Inherited, NewSession)
        .keyword("RevokedHostKeys")
        .default("[]")
        .doc("Lists of keys that are never believed, text or KRL."),
    SettingKey::new("known_hosts_command", HostsCommand(|t| &mut t.session.host_key.command), Inherited, NewSession)
        .keyword("KnownHostsCommand")
        .default("\"none\"")
        .doc("A program that prints more lines of known hosts, and its arguments"),
    SettingKey::new("update_host_keys", UpdateHostKeys(|t| &mut t.session.host_key.update), Inherited, NewSession)
        .keyword("UpdateHostKeys")
        .default("false")
        .doc("true: known_hosts follows the keys that a known server proves to have, so that it may change them."),
    SettingKey::new("hash_known_hosts", Flag(|t| &mut t.session.host_key.hash_names), Inherited, NewSession)
        .keyword("HashKnownHosts")
        .default("false")
        .doc("true: a line that is added to known_hosts has the server's name as a hash"),
    SettingKey::new(
        "no_host_authentication_for_localhost",
        Flag(|t| &mut t.session.host_key.trust_loopback),
        Inherited,
        NewSession,
    )
    .keyword("NoHostAuthenticationForLocalhost")
    .default("false")
    .doc("true: a server on a loopback address is believed whatever its key."),
    SettingKey::new(Cipher.key(), Algorithms(Cipher, |t| &mut t.session.algorithms.ciphers), Inherited, NewSession)
        .keyword("Ciphers")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::new(Kex.key(), Algorithms(Kex, |t| &mut t.session.algorithms.kex), Inherited, NewSession)
        .keyword("KexAlgorithms")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::new(Mac.key(), Algorithms(Mac, |t| &mut t.session.algorithms.macs), Inherited, NewSession)
        .keyword("MACs")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::new(HostKey.key(), Algorithms(HostKey, |t| &mut t.session.algorithms.host_keys), Inherited, NewSession)
        .keyword("HostKeyAlgorithms")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::new("rekey_limit", RekeyLimit(|t| &mut t.session.rekey_limit), Inherited, NewSession)
        .keyword("RekeyLimit")
        .default("\"default none\"")
        .doc("Renew the session's keys after so many bytes in one direction, and after so much time if it is given"),
    SettingKey::new("compression", Flag(|t| &mut t.session.compression), Own, NewSession)
        .keyword("Compression")
        .default("false")
        .doc("true: compress all bytes of the session where the server can (zlib@openssh.com)."),
    SettingKey::new(
        CaSignature.key(),
        Algorithms(CaSignature, |t| &mut t.session.host_key.ca_signatures),
        Inherited,
        NewSession,
    )
    .keyword("CASignatureAlgorithms")
    .doc("Algorithms, as ssh_config writes them"),
    SettingKey::new(
        "connect_timeout",
        Time(SHORTEST_CONNECT, |t| &mut t.session.timing.connect_timeout),
        Inherited,
        NextStart,
    )
    .keyword("ConnectTimeout")
    .default("\"10s\"")
    .doc("From dial to authenticated."),
    SettingKey::new(
        "connection_attempts",
        Count(1, MAX_ATTEMPTS, |t| &mut t.session.dial.connection_attempts),
        Inherited,
        NextStart,
    )
    .keyword("ConnectionAttempts")
    .default("1")
    .doc("How often all addresses are tried, a second apart, before a start has failed"),
    SettingKey::new(
        "server_alive_interval",
        Time(Duration::ZERO, |t| &mut t.session.timing.server_alive_interval),
        Inherited,
        NewSession,
    )
    .keyword("ServerAliveInterval")
    .default("\"15s\"")
    .doc("Ask a server that answered nothing for so long"),
    SettingKey::new(
        "server_alive_count_max",
        Count(0, MAX_ALIVE_COUNT, |t| &mut t.session.timing.server_alive_count_max),
        Inherited,
        NewSession,
    )
    .keyword("ServerAliveCountMax")
    .default("3")
    .doc("give it up after (count max + 1) times that without an answer"),
    SettingKey::new("tcp_keep_alive", Flag(|t| &mut t.session.dial.tcp_keep_alive), Inherited, NewSession)
        .keyword("TCPKeepAlive")
        .default("true")
        .doc("The keepalive of TCP."),
    SettingKey::new("ip_qos", IpQos(|t| &mut t.session.dial.ip_qos), Inherited, NewSession)
        .keyword("IPQoS")
        .default("\"none\"")
        .doc("How routers are told to treat the packets"),
];
