//! From ssh_config to TOML, and back: the table that is printed comes to the session that ssh_config came to.

use std::fs;
use std::path::Path;

use super::{Invocation, hosts};
use crate::config::{Overrides, TunnelSpec, facts, load_text};
use crate::sshconfig::ConfigFiles;

impl Invocation {
    /// The value of a variable: the last one counts, as in a shell.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.environment.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

/// The table for `host` of this ssh_config.
fn import(file: &Path, host: &str) -> String {
    hosts(&[host.to_owned()], &ConfigFiles::One(file.to_owned()), &facts()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn load(text: &str) -> TunnelSpec {
    let desired = load_text(Path::new("/etc/tunneld.toml"), text, &Overrides::default());
    desired.unwrap_or_else(|errors| panic!("{text}\n{errors}")).tunnels.remove(0)
}

fn with_hosts<T>(hosts: &str, test: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    fs::write(&path, hosts).unwrap();
    test(&path)
}

/// Imported, and read with `ssh_config`, the tunnel is the same.
fn round_trip(hosts: &str) -> String {
    with_hosts(hosts, |path| {
        let table = import(path, "a");
        let direct = format!("[[tunnel]]\nname = 'a'\nhost = 'a'\nssh_config = '{}'\n", path.display());
        let mut direct = load(&direct);
        assert_eq!(std::mem::take(&mut direct.ssh_config_files), [path]);
        direct.ssh_config_notes.clear();
        assert_eq!(load(&table), direct, "{table}");
        table
    })
}

#[test]
fn only_what_differs_is_written_and_it_means_the_same() {
    let table = round_trip(
        "Host a\n Hostname db.example\n Port 2222\n User svc\n IdentityFile /k/one\n IdentityFile \"/k/t w\\\\o\"\n \
         ConnectTimeout 90\n ServerAliveInterval 15\n TCPKeepAlive yes\n LocalForward 1 h:1\n LocalForward /tmp/s /tmp/t\n \
         RemoteForward *:0 localhost:22\n RemoteForward 9000\n DynamicForward [::1]:1080\n ForwardAgent yes\n",
    );
    let expected = r#"# Host a
# without effect on a tunnel: ForwardAgent
[[tunnel]]
name             = "a"
host             = "db.example"
port             = 2222
user             = "svc"
identity_file    = ["/k/one", '/k/t w\o']
update_host_keys = true
connect_timeout  = 90
local_forward    = ["1:h:1", "/tmp/s:/tmp/t"]
remote_forward   = ["*:0:localhost:22", "9000"]
dynamic_forward  = ["[::1]:1080"]
"#;
    assert_eq!(table, expected);
}

#[test]
fn every_key_goes_there_and_back() {
    let base = "Host a\n User u\n DynamicForward 1\n";
    for line in [
        "IdentityFile none",
        "Tunnel yes",
        "Tunnel ethernet\n TunnelDevice 0:3",
        "CertificateFile /c",
        "IdentityAgent none",
        "IdentityAgent /run/agent",
        "IdentitiesOnly yes",
        "StrictHostKeyChecking accept-new",
        "StrictHostKeyChecking no",
        "RevokedHostKeys /r",
        "RevokedHostKeys none",
        "KnownHostsCommand /bin/keys '%H of %h' 100%%",
        "KnownHostsCommand none",
        "UpdateHostKeys yes\n UserKnownHostsFile /k",
        "UpdateHostKeys no",
        "UpdateHostKeys ask",
        "VerifyHostKeyDNS ask",
        "CASignatureAlgorithms -rsa*",
        "NoHostAuthenticationForLocalhost yes",
        "UserKnownHostsFile /a /b",
        "UserKnownHostsFile none",
        "GlobalKnownHostsFile /g",
        "HostKeyAlias X",
        "Ciphers aes128-ctr,3des-cbc",
        "KexAlgorithms ^curve25519-sha256",
        "MACs -hmac-sha1*",
        "HostKeyAlgorithms +ssh-rsa",
        "ConnectTimeout 1h",
        "ServerAliveInterval 0",
        "ServerAliveCountMax 7",
        "TCPKeepAlive no",
        "ExitOnForwardFailure yes",
        "GatewayPorts yes",
        "AddressFamily inet6",
        "BindAddress 192.0.2.1",
        "PubkeyAuthentication no",
        "PreferredAuthentications password",
        "ProxyCommand nc %h %p '%%'",
        "ProxyJump j1,x@j2:7\n BindAddress 192.0.2.1",
        "ProxyJump j1\n BindAddress 192.0.2.1\nHost *\n BindAddress 192.0.2.2\n IdentityFile /k",
        "ProxyCommand nc %h\n BindAddress 192.0.2.1",
        "ProxyCommand nc\t%h ${PORT:-1} '${X}'",
        "GlobalKnownHostsFile /g/${X}",
        "GlobalKnownHostsFile kh ~/kh",
        "HostName h:22",
        "ConnectTimeout 400000000\n ServerAliveInterval 400000000\n ServerAliveCountMax 20000",
        "Hostname 2001:db8::1",
        "LocalForward \"/tmp/a b\" [::1]:80",
    ] {
        let table = round_trip(&format!("{base} {line}\n"));
        assert!(!table.contains("not carried"), "{table}");
    }
}

#[test]
fn jump_host_that_differs_has_its_own_table() {
    let table = round_trip(
        "Host a\n User u\n ProxyJump j,k\n IdentityFile /a\n DynamicForward 1\nHost j\n IdentityFile /j\n \
         ProxyCommand nc -x %h x\n User \"a,b\"\nHost k\n IdentityFile /a\n ServerAliveInterval 7\n",
    );
    assert!(
        table.contains("proxy_jump      = [\n    { host = \"j\", ") || table.contains("{ host = \"j\", "),
        "{table}"
    );
    let plain = round_trip("Host a\n User u\n ProxyJump j,k\n DynamicForward 1\nHost j k\n User v\n");
    assert!(plain.contains("= \"v@j:22,v@k:22\""), "{plain}");
}

#[test]
fn what_has_no_key_is_said() {
    with_hosts("", |path| assert!(import(path, "a").contains("# there is no LocalForward"), "no forwards"));
    with_hosts("Host a\n User \"two words\"\n LocalForward 1 h:1\n", |path| {
        assert!(import(path, "a").contains("# not carried: `two words` cannot be the `user`"));
    });
}
