//! The session: who we are, who the server is, and when it is dead.

use std::time::Duration;

use tunnel_engine::spec::AlgorithmKind::{CaSignature, Cipher, HostKey, Kex, Mac, PublicKey};

use super::Field::{
    Agent, Algorithms, Certificates, Count, Flag, HostName, HostsCommand, Identities, IpQos, Paths, RekeyLimit, Strict,
    Time, TomlOnly, UpdateHostKeys,
};
use super::Jump::Own;
use super::ReloadEffect::NextStart;
use super::SettingKey;
use super::TomlField::Secret;
use super::limits::{MAX_ALIVE_COUNT, MAX_ATTEMPTS, MAX_RSA_BITS, SHORTEST_CONNECT};

pub(super) const KEYS: &[SettingKey] = &[
    SettingKey::of_session("identity_file", Identities(|t| &mut t.session.auth.identities))
        .keyword("IdentityFile")
        .imported_where_set()
        .doc("Private keys in the order to try; \"none\" for none."),
    SettingKey::of_session("certificate_file", Certificates(|t| &mut t.session.auth.certificates))
        .keyword("CertificateFile")
        .default("\"none\"")
        .doc("Certificates beside the KEY-cert.pub that are found by themselves."),
    SettingKey::of_session("identity_agent", Agent(|t| &mut t.session.auth.agent))
        .keyword("IdentityAgent")
        .default("\"SSH_AUTH_SOCK\"")
        .imported_where_set()
        .doc("The agent's socket, or \"none\""),
    SettingKey::of_session("identities_only", Flag(|t| &mut t.session.auth.identities_only))
        .keyword("IdentitiesOnly")
        .default("false")
        .doc("true: keys of the agent are offered only where identity_file names them."),
    SettingKey::of_session(PublicKey.key(), Algorithms(PublicKey, |t| &mut t.session.auth.accepted))
        .keyword("PubkeyAcceptedAlgorithms")
        .doc("Which keys may be offered, by the algorithms they sign with"),
    SettingKey::of_session("required_rsa_size", Count(0, MAX_RSA_BITS, |t| &mut t.session.auth.required_rsa_size))
        .keyword("RequiredRSASize")
        .default("0")
        .doc("RSA keys of fewer bits are not offered, and a host key of fewer is not believed."),
    SettingKey::of_session("password_file", TomlOnly(Secret(|t| &mut t.session.auth.password)))
        .jump(Own)
        .doc("The file whose first line is the password"),
    SettingKey::of_session("passphrase_file", TomlOnly(Secret(|t| &mut t.session.auth.passphrase)))
        .doc("The same for the passphrase of encrypted keys."),
    SettingKey::of_session("kbd_interactive_authentication", Flag(|t| &mut t.session.auth.interactive))
        .keyword("KbdInteractiveAuthentication")
        .default("true")
        .doc("false: questions that the server asks (keyboard-interactive) are not answered with the password."),
    SettingKey::of_session("strict_host_key_checking", Strict(|t| &mut t.session.host_key.strict))
        .keyword("StrictHostKeyChecking")
        .default("\"yes\"")
        .doc("yes: only keys that known_hosts holds."),
    SettingKey::of_session("user_known_hosts_file", Paths(|t| &mut t.session.host_key.user_known_hosts))
        .keyword("UserKnownHostsFile")
        .default("[\"~/.ssh/known_hosts\", \"~/.ssh/known_hosts2\"]")
        .imported_where_set()
        .doc("Files of known hosts; `accept-new` writes to the first."),
    SettingKey::of_session("global_known_hosts_file", Paths(|t| &mut t.session.host_key.global_known_hosts))
        .keyword("GlobalKnownHostsFile")
        .default("[\"/etc/ssh/ssh_known_hosts\", \"/etc/ssh/ssh_known_hosts2\"]")
        .imported_where_set()
        .doc("Files of known hosts for all users of the system."),
    SettingKey::of_session("host_key_alias", HostName(|t| &mut t.session.host_key.alias))
        .jump(Own)
        .keyword("HostKeyAlias")
        .doc("The name to look up in them instead of the host."),
    SettingKey::of_session("revoked_host_keys", Paths(|t| &mut t.session.host_key.revoked))
        .keyword("RevokedHostKeys")
        .default("[]")
        .doc("Lists of keys that are never believed, text or KRL."),
    SettingKey::of_session("known_hosts_command", HostsCommand(|t| &mut t.session.host_key.command))
        .keyword("KnownHostsCommand")
        .default("\"none\"")
        .doc("A program that prints more lines of known hosts, and its arguments"),
    SettingKey::of_session("update_host_keys", UpdateHostKeys(|t| &mut t.session.host_key.update))
        .keyword("UpdateHostKeys")
        .default("false")
        .doc("true: known_hosts follows the keys that a known server proves to have, so that it may change them."),
    SettingKey::of_session("hash_known_hosts", Flag(|t| &mut t.session.host_key.hash_names))
        .keyword("HashKnownHosts")
        .default("false")
        .doc("true: a line that is added to known_hosts has the server's name as a hash"),
    SettingKey::of_session("no_host_authentication_for_localhost", Flag(|t| &mut t.session.host_key.trust_loopback))
        .keyword("NoHostAuthenticationForLocalhost")
        .default("false")
        .doc("true: a server on a loopback address is believed whatever its key."),
    SettingKey::of_session(Cipher.key(), Algorithms(Cipher, |t| &mut t.session.algorithms.ciphers))
        .keyword("Ciphers")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::of_session(Kex.key(), Algorithms(Kex, |t| &mut t.session.algorithms.kex))
        .keyword("KexAlgorithms")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::of_session(Mac.key(), Algorithms(Mac, |t| &mut t.session.algorithms.macs))
        .keyword("MACs")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::of_session(HostKey.key(), Algorithms(HostKey, |t| &mut t.session.algorithms.host_keys))
        .keyword("HostKeyAlgorithms")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::of_session("rekey_limit", RekeyLimit(|t| &mut t.session.rekey_limit))
        .keyword("RekeyLimit")
        .default("\"default none\"")
        .doc("Renew the session's keys after so many bytes in one direction, and after so much time if it is given"),
    SettingKey::of_session("compression", Flag(|t| &mut t.session.compression))
        .jump(Own)
        .keyword("Compression")
        .default("false")
        .doc("true: compress all bytes of the session where the server can (zlib@openssh.com)."),
    SettingKey::of_session(CaSignature.key(), Algorithms(CaSignature, |t| &mut t.session.host_key.ca_signatures))
        .keyword("CASignatureAlgorithms")
        .doc("Algorithms, as ssh_config writes them"),
    SettingKey::of_session("connect_timeout", Time(SHORTEST_CONNECT, |t| &mut t.session.timing.connect_timeout))
        .reload(NextStart)
        .keyword("ConnectTimeout")
        .default("\"10s\"")
        .doc("From dial to authenticated."),
    SettingKey::of_session("connection_attempts", Count(1, MAX_ATTEMPTS, |t| &mut t.session.dial.connection_attempts))
        .reload(NextStart)
        .keyword("ConnectionAttempts")
        .default("1")
        .doc("How often all addresses are tried, a second apart, before a start has failed"),
    SettingKey::of_session(
        "server_alive_interval",
        Time(Duration::ZERO, |t| &mut t.session.timing.server_alive_interval),
    )
    .keyword("ServerAliveInterval")
    .default("\"15s\"")
    .doc("Ask a server that answered nothing for so long"),
    SettingKey::of_session(
        "server_alive_count_max",
        Count(0, MAX_ALIVE_COUNT, |t| &mut t.session.timing.server_alive_count_max),
    )
    .keyword("ServerAliveCountMax")
    .default("3")
    .doc("give it up after (count max + 1) times that without an answer"),
    SettingKey::of_session("tcp_keep_alive", Flag(|t| &mut t.session.dial.tcp_keep_alive))
        .keyword("TCPKeepAlive")
        .default("true")
        .doc("The keepalive of TCP."),
    SettingKey::of_session("ip_qos", IpQos(|t| &mut t.session.dial.ip_qos))
        .keyword("IPQoS")
        .default("\"none\"")
        .doc("How routers are told to treat the packets"),
];
