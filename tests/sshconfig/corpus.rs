//! Configs made by a die with a fixed seed.

use std::fmt::Write;
use std::path::Path;

use crate::oracle::{differences, ours, ssh};

const CONFIGS: usize = 250;
pub(crate) const HOSTS: &[&str] = &["web", "db1", "db2.example.com", "WEB", "bastion", "10.0.0.5", "::1"];

/// A linear congruential die: the corpus is the same on every machine.
pub(crate) struct Die(u64);

impl Die {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

const OPTIONS: &[(&str, &[&str])] = &[
    ("Hostname", &["relay.example.com", "%h.example.net", "192.0.2.7", "2001:DB8::1", "RELAY", "a%%b"]),
    ("Port", &["22", "2222", "443"]),
    ("User", &["alice", "bob", "svc-tunnel", "a.b"]),
    ("IdentityFile", &["~/.ssh/id_%h", "/keys/%r@%n:%p", "${KEYS}/k", "none", "/k/%u-%i-%L", "/k/%k", "%d/x%%"]),
    ("CertificateFile", &["~/.ssh/c-cert.pub", "/c/%h-cert.pub"]),
    ("IdentityAgent", &["none", "SSH_AUTH_SOCK", "~/agent.%p", "${AGENT}", "/run/%r.sock", "$AGENT"]),
    ("IdentitiesOnly", &["yes", "no", "TRUE"]),
    ("StrictHostKeyChecking", &["yes", "no", "ask", "accept-new", "off", "true", "false"]),
    (
        "UserKnownHostsFile",
        &["/dev/null", "~/.ssh/known_hosts", "~/.ssh/kh_%h /x/${TUNNEL_PORT}", "none", "/kh/%k /kh/%u%%"],
    ),
    ("GlobalKnownHostsFile", &["/etc/kh1 /etc/kh2", "none"]),
    ("RevokedHostKeys", &["/etc/revoked", "~/.ssh/revoked-%h", "none", "${KEYS}/krl"]),
    ("KnownHostsCommand", &["/bin/keys %H", "none", "/bin/keys -u %r '%h:%p' %%%K"]),
    ("UpdateHostKeys", &["yes", "no", "ask", "true", "FALSE"]),
    ("VerifyHostKeyDNS", &["no", "ask"]),
    ("NoHostAuthenticationForLocalhost", &["yes", "no"]),
    ("CASignatureAlgorithms", &["ssh-ed25519,rsa-sha2-512", "+ssh-rsa", "-rsa*", "-ecdsa-sha2-nistp256"]),
    ("HashKnownHosts", &["yes", "no"]),
    ("HostKeyAlias", &["Alias", "web-%", "gate"]),
    ("Ciphers", &["aes256-gcm@openssh.com,aes128-ctr", "+3des-cbc", "^aes256-ctr", "-*cbc*", "aes128-ctr,3des-cbc"]),
    ("KexAlgorithms", &["curve25519-sha256", "-diffie*", "^ecdh-sha2-nistp256", "+diffie-hellman-group14-sha1"]),
    ("MACs", &["hmac-sha2-256", "-umac-64*", "^hmac-sha2-512"]),
    ("HostKeyAlgorithms", &["ssh-ed25519", "+ssh-rsa", "^rsa-sha2-512", "-ecdsa*"]),
    ("PubkeyAcceptedAlgorithms", &["ssh-ed25519", "-ecdsa-sha2-nistp256", "+ssh-rsa", "^rsa-sha2-512"]),
    ("RequiredRSASize", &["2048", "1024", "4096"]),
    ("ConnectTimeout", &["10", "1m30s", "none", "0", "2h"]),
    ("ServerAliveInterval", &["30", "1m", "0", "none"]),
    ("ServerAliveCountMax", &["0", "3", "5"]),
    ("TCPKeepAlive", &["yes", "no"]),
    ("ExitOnForwardFailure", &["yes", "no"]),
    ("GatewayPorts", &["yes", "no"]),
    ("AddressFamily", &["any", "inet", "inet6", "INET"]),
    ("BindAddress", &["192.0.2.9", "::1", "source.example.com"]),
    ("BindInterface", &["wg0", "lo"]),
    ("ConnectionAttempts", &["1", "5"]),
    ("Compression", &["yes", "no"]),
    ("RekeyLimit", &["1G 1h", "500M 30m", "0 0", "1.5G 90", "16 1m", "default 1w"]),
    ("IPQoS", &["none", "lowdelay throughput", "af21 cs1", "EF", "0x10"]),
    (
        "LocalForward",
        &[
            "8080 web:80",
            "127.0.0.1:8081 [::1]:81",
            "*:8082 h:82",
            "8083 /run/%r.sock",
            "/tmp/%h.sock db:5432",
            "[::1]:${TUNNEL_PORT} x:1",
            ":8084 y:2",
        ],
    ),
    (
        "RemoteForward",
        &["2222 localhost:22", "0 h:1", "9000", "127.0.0.1:9001 x:2", "/r/%u.sock /l/%h.sock", "*:9002 z:3"],
    ),
    ("DynamicForward", &["1080", "127.0.0.1:1081", "[::1]:1082", "*:1083"]),
    ("Tunnel", &["yes", "no", "point-to-point", "ethernet", "false", "TRUE"]),
    ("TunnelDevice", &["any:any", "0", "any", "3:4", "ANY:7"]),
    ("PermitRemoteOpen", &["any", "none", "db:5432 *:443", "[::1]:22 10.0.0.1:*"]),
    ("StreamLocalBindUnlink", &["yes", "no"]),
    ("ClearAllForwardings", &["no", "no", "no", "yes"]),
    ("PreferredAuthentications", &["publickey", "publickey,password", "password"]),
    ("PubkeyAuthentication", &["yes", "no"]),
    ("ProxyCommand", &["nc %h %p", "none", "proxy -u %r %n '%%' # all of it", "ssh -W [%h]:%p gate"]),
    // What changes nothing, among it.
    ("ControlMaster", &["auto"]),
    ("ControlPath", &["~/.ssh/cm-%C"]),
    ("ForwardAgent", &["yes"]),
    ("SendEnv", &["LANG LC_*"]),
    ("LogLevel", &["QUIET", "DEBUG3"]),
    ("RequestTTY", &["no"]),
    ("AddKeysToAgent", &["yes", "confirm 5m"]),
    ("SetEnv", &["A=b"]),
];

const JUMPS: &[&str] =
    &["bastion", "carol@bastion:2200", "hop1,hop2:2201", "ssh://dave@hop1:22", "[::1]:2202", "none", "u@10.0.0.5"];
const PATTERNS: &[&str] =
    &["*", "web", "db?", "db*", "!db2*", "*.example.com", "bastion", "10.*", "W*", "hop*", "!web", "relay*"];
const CRITERIA: &[&str] = &[
    "all",
    "host web",
    "host *.example.com,db1",
    "host=web",
    "originalhost db*,!db1",
    "user root",
    "user alice,bob",
    "!user alice host *",
    "localuser root",
    "localuser !root,*",
    "!host web",
    "exec \"true\"",
    "exec \"false\"",
    "exec \"test %h = web\" user root",
    "!exec \"test %n = web\"",
    "exec \"test %p = 2222 -o %r = alice\"",
    "final",
    "final host *.example.com",
    "canonical",
    "!canonical host relay*",
];

fn option(die: &mut Die, text: &mut String, jumps: bool) {
    let (keyword, value) = if jumps && die.chance(8) {
        ("ProxyJump", die.one(JUMPS))
    } else {
        let (keyword, values) = OPTIONS[die.below(OPTIONS.len())];
        (keyword, die.one(values))
    };
    let keyword = match die.below(4) {
        0 => keyword.to_lowercase(),
        1 => keyword.to_uppercase(),
        _ => keyword.to_owned(),
    };
    let raw = matches!(keyword.to_lowercase().as_str(), "proxycommand" | "proxyjump" | "knownhostscommand");
    let value = match die.below(6) {
        0 if !raw && !value.contains(' ') => format!("\"{value}\""),
        1 if !raw && !value.contains(' ') => format!("'{value}'"),
        2 if !raw => format!("{value} # a comment"),
        _ => value.to_owned(),
    };
    let between = die.one(&[" ", " ", " ", "=", " = ", "\t"]);
    let indent = die.one(&["", "  ", "\t"]);
    let end = die.one(&["", "", "", "  ", "\r"]);
    let _ = writeln!(text, "{indent}{keyword}{between}{value}{end}");
}

fn header(die: &mut Die, text: &mut String) -> bool {
    if die.chance(2) {
        let _ = writeln!(text, "Match {}", die.one(CRITERIA));
        return false;
    }
    let patterns: Vec<&str> = (0..=die.below(3)).map(|_| die.one(PATTERNS)).collect();
    let _ = writeln!(text, "Host {}", patterns.join(" "));
    // A jump host under `Host *` is one for itself too.
    patterns.iter().all(|pattern| matches!(*pattern, "web" | "db?" | "db*" | "W*" | "*.example.com"))
}

fn write_file(die: &mut Die, folder: &Path, index: usize, last: usize) {
    let mut text = String::new();
    for _ in 0..die.below(3) {
        option(die, &mut text, false);
    }
    for _ in 0..=die.below(4) {
        let jumps = header(die, &mut text);
        for _ in 0..=die.below(6) {
            option(die, &mut text, jumps);
        }
        if index < last && die.chance(3) {
            let file = format!("{}/f{}", folder.display(), index + 1 + die.below(last - index));
            let pattern = if die.chance(3) { format!("{}/f[{}-{last}]", folder.display(), index + 1) } else { file };
            let _ = writeln!(text, "  Include {pattern}");
        }
        if die.chance(4) {
            text.push_str("\n  # between\n\n");
        }
    }
    std::fs::write(folder.join(format!("f{index}")), text).expect("a config");
}

/// Writes the files of one config; the first is the one to name.
pub(crate) fn make(folder: &Path, seed: u64) {
    let mut die = Die::new(seed);
    let last = die.below(4);
    for index in 0..=last {
        write_file(&mut die, folder, index, last);
    }
}

#[test]
fn a_corpus_of_configs_comes_to_what_ssh_says() {
    let mut agreed = 0;
    let mut both_refuse = 0;
    let mut chains_cut = 0;
    for seed in 0..CONFIGS as u64 {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path(), seed);
        let file = folder.path().join("f0");
        let mut die = Die::new(seed + 1_000_000);
        for _ in 0..3 {
            let host = HOSTS[die.below(HOSTS.len())];
            let text = || {
                let mut files: Vec<_> =
                    std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.path()).collect();
                files.sort();
                files
                    .iter()
                    .map(|f| format!("--- {}\n{}", f.display(), std::fs::read_to_string(f).expect("a file")))
                    .collect::<String>()
            };
            match (ssh(&file, &[], host), ours(&file, host)) {
                (Ok(values), Ok(resolved)) => {
                    let differences = differences(&file, &resolved, &values);
                    assert!(
                        differences.is_empty(),
                        "config {seed}, host {host}:\n{}\n{}",
                        differences.join("\n"),
                        text()
                    );
                    agreed += 1;
                }
                (Err(_), Err(_)) => both_refuse += 1,
                // ssh -G does not follow the chain of jump hosts; ssh itself would.
                (Ok(_), Err(errors)) if errors.iter().all(|(_, text)| text.contains("jump host")) => chains_cut += 1,
                (theirs, ours) => panic!(
                    "config {seed}, host {host}: ssh {:?}, we {:?}\n{}",
                    theirs.map(drop),
                    ours.map(drop),
                    text()
                ),
            }
        }
    }
    let counts = format!("{agreed} agreed, {both_refuse} refused by both, {chains_cut} chains cut");
    assert!(agreed > CONFIGS * 5 / 2 && both_refuse + chains_cut < CONFIGS / 2, "{counts}");
}
