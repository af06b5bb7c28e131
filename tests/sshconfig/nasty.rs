//! Configs by hand: what a die does not find.

use std::path::Path;

use crate::oracle::{differences, ours, ssh};

/// Writes the file, asks both for each host, and compares.
fn same(text: &str, hosts: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    std::fs::write(&file, text.replace("FOLDER", &folder.path().display().to_string())).expect("a config");
    agree(&file, hosts);
}

fn agree(file: &Path, hosts: &[&str]) {
    for host in hosts {
        let text = std::fs::read_to_string(file).expect("the config");
        let values = ssh(file, &[], host).unwrap_or_else(|error| panic!("ssh refuses for {host}: {error}\n{text}"));
        let resolved = ours(file, host).unwrap_or_else(|errors| panic!("we refuse for {host}: {errors:?}\n{text}"));
        let differences = differences(file, &resolved, &values);
        assert!(differences.is_empty(), "host {host}: {}\n{text}", differences.join("\n"));
    }
}

#[test]
fn quotes_escapes_and_comments() {
    same(
        "Host a\n  HostKeyAlias \"x\"y'z'\n  IdentityFile \"/a b\"\n  IdentityFile /c\\ d\n  IdentityFile '/e\\f'\n",
        &["a"],
    );
    same("IdentityFile /a#b # c\nIdentityFile \"/#\" #d\nUserKnownHostsFile \"/a b\" '/c \"d'\n", &["a"]);
    same("IdentityFile /a\\\"b\nIdentityFile /a\\\\b\nIdentityFile \"/a\\'b\"\n", &["a"]);
    same("\u{c}\n", &[]);
    same("\"Port\" 2222\n  User=  x\nHostKeyAlias ==y\n", &["a"]);
    same("# only\n\n   #  this\n", &["a", "B"]);
    same("Host a#b # c\n  Port 5\nHost #x\n  Port 6\n", &["a#b", "a", "#x"]);
}

#[test]
fn host_patterns_are_compared_with_what_was_typed() {
    let text = "Host WEB\n Port 1\nHost web\n Port 2\nHost * !db\n User u\nHost !x\n Port 3\nHost ?? ???\n Port 4\n";
    same(text, &["web", "WEB", "Web", "db", "x", "ab"]);
    same(
        "Host relay.example.com\n Port 1\nHost a\n Hostname relay.example.com\n Port 2\n",
        &["a", "relay.example.com"],
    );
    same("Host \"a b\"\n Port 1\nHost *\n Port 2\n", &["c"]);
}

#[test]
fn the_last_pass_sees_the_name_that_is_dialled() {
    let text = "Host a\n Hostname relay.example.com\n IdentityFile /1\nMatch final host relay*\n Port 2222\n IdentityFile /2\n\
                Host relay*\n User late\n LocalForward 1 h:1\n";
    same(text, &["a", "relay.example.com", "b"]);
    same("Match final all\n Port 7\nHost A\n Port 8\n", &["A", "b"]);
    same("Match canonical\n Port 7\nMatch !canonical\n Port 8\n", &["a"]);
    same("Match final\n Hostname other\n User x\nMatch host other\n Port 9\nHost a\n Hostname first\n", &["a"]);
}

#[test]
fn match_sees_the_values_so_far() {
    same("Match user bob\n Port 1\nHost a\n User bob\nMatch user bob\n Port 2\n", &["a", "b"]);
    same("Host a\n Hostname b%h\nMatch host ba\n Port 1\nMatch originalhost a host ba !host c\n User x\n", &["a"]);
    same(
        "Match exec \"test -n '%h' -a %p = 22\"\n User x\n Port 23\nMatch exec \"test %p = 23\"\n HostKeyAlias y\n",
        &["a"],
    );
    same("Match host A,B*\n Port 1\n", &["a", "bx", "AB", "c"]);
    same("Match localuser nobody exec \"exit 0\"\n Port 1\nMatch all\n Port 2\n", &["a"]);
    same("Match host a # a comment\n Port 1\nMatch all # another\n User u\n", &["a"]);
    same("Match !all\n Port 1\nMatch host=a user=root\n Port 2\n", &["a"]);
}

#[test]
fn includes_are_conditional_and_keep_to_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a config");
    let path = folder.path().display();
    write(
        "config",
        &format!(
            "User u\nHost a\n Include {path}/one {path}/missing\n Port 5\nHost *\n Include {path}/d/*\n IdentityFile /z\n"
        ),
    );
    write("one", "IdentityFile /one\nHost b\n IdentityFile /b\nHost a\n Hostname inner\nHost c\n HostKeyAlias c\n");
    std::fs::create_dir(folder.path().join("d")).expect("a folder");
    std::fs::create_dir(folder.path().join("d/sub")).expect("a folder");
    write("d/2", "IdentityFile /2\nPort 6");
    write("d/1", "IdentityFile /1\nHost b\nPort 7\n");
    write("d/.hidden", "User hidden\n");
    agree(&folder.path().join("config"), &["a", "b", "c"]);
}

#[test]
fn whichever_proxy_comes_first_is_the_way() {
    same("ProxyCommand none\nProxyJump j\n", &["a"]);
    same("ProxyJump none\nProxyCommand nc %h %p\n", &["a"]);
    same("ProxyCommand nc %h %p # kept \"as it is\"\nProxyJump j\n", &["a"]);
    same(
        "Host a\n ProxyJump u@j1:1,j2\nHost j2\n Port 2\n User two\nHost j1\n Hostname one\n User three\n Port 3\n",
        &["a"],
    );
    same("Host a\n ProxyJump j2\nHost j2\n ProxyJump j1\nHost j1\n Port 1\n IdentityFile /j1\n", &["a"]);
    same("Host a\n ProxyJump none\nHost *\n ProxyJump j\nMatch all\n ProxyCommand x\n", &["a"]);
    same("ProxyCommand=nc %h %p\n", &["a"]);
}

#[test]
fn values_that_accumulate_and_values_that_do_not() {
    same(
        "LocalForward 1 a:1\nLocalForward 1 a:1\nLocalForward 1 b:1\nHost *\n LocalForward 2 a:2\nDynamicForward 1\n",
        &["x"],
    );
    same("IdentityFile /a\nIdentityFile /b\nIdentityFile /a\nCertificateFile /c\nCertificateFile /c\n", &["x"]);
    same("UserKnownHostsFile /a /b\nUserKnownHostsFile /c\n", &["x"]);
    same("UserKnownHostsFile /kh/%C\nPort 2222\nUser u\n", &["x"]);
    same("ConnectTimeout none\nConnectTimeout 5\nServerAliveInterval none\nServerAliveInterval 7\n", &["x"]);
    same("ClearAllForwardings yes\nLocalForward 1 a:1\nRemoteForward 2 a:2\n", &["x"]);
    same("LocalForward 127.0.0.1 8080:h:80\nLocalForward 8081:h 81\n", &["x"]);
    same("LocalForward \"/tmp/a\\\\ b\" h:1\n", &["x"]);
    same("RemoteForward [::1]:9000 [::2]:80\nRemoteForward /tmp/a%%b /tmp/c\nLocalForward \"/tmp/a b\" h:1\n", &["x"]);
}

#[test]
fn old_names_and_names_that_ssh_forgot() {
    same("KeepAlive no\nIdentityFile2 /a\nProtocol 2\nCipher 3des\nUseRoaming no\n", &["x"]);
    same("PubkeyAcceptedKeyTypes +ssh-rsa\nChallengeResponseAuthentication no\nRSAAuthentication yes\n", &["x"]);
    same("IgnoreUnknown Foo,Use*\nFoo bar\nUseKeychain yes\nPort 3\n", &["x"]);
}

#[test]
fn the_system_of_this_machine_is_read_without_an_error() {
    agree(Path::new("/etc/ssh/ssh_config"), &["x"]);
}

#[test]
fn every_keyword_that_ssh_prints_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    std::fs::write(&file, "").expect("a config");
    let values = ssh(&file, &[], "x").expect("an empty config is fine");
    assert!(values.len() > 60, "ssh prints only {}", values.len());
    for (key, printed) in values.iter().filter(|(key, _)| *key != "host") {
        // Printed values are not all in the form that is read; an unknown keyword is told before its value.
        std::fs::write(&file, format!("{key} {}\n", printed[0])).expect("a config");
        if let Err(errors) = ours(&file, "x") {
            assert!(!errors[0].1.contains("not a keyword"), "{key}: {errors:?}");
        }
    }
}
