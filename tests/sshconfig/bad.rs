//! Configs that ssh refuses, and those that only we must refuse: each names the line.

use crate::oracle::{ours, ssh};

fn write(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    std::fs::write(&file, text).expect("a config");
    (folder, file)
}

#[test]
fn what_ssh_refuses_is_refused_at_the_same_line() {
    let cases = [
        "Port 22\nPort 0\n",
        "Port 22\n\nPort 65536\n",
        "Host other\n  Port x\n",
        "Port\n",
        "Port 22 23\n",
        "User \"a\n",
        "# x\nFoo bar\n",
        "TCPKeepAlive maybe\n",
        "AddressFamily inet5\n",
        "StrictHostKeyChecking perhaps\n",
        "ConnectTimeout 1.5\n",
        "ServerAliveCountMax -1\n",
        "ServerAliveInterval soon\n",
        "UserKnownHostsFile none /a\n",
        "User \"\"\n",
        "Host \"\"\n",
        "LocalForward 8080\n",
        "LocalForward 0 h:80\n",
        "LocalForward 8080 h:80 more\n",
        "LocalForward 8080 h:${NOT_SET_ANYWHERE}\n",
        "DynamicForward 1080 h:80\n",
        "RemoteForward x:y:z:1:2 h:80\n",
        "Match\n",
        "Match host\n",
        "Match wind north\n",
        "Match all host a\n",
        "Match host a host b all\n",
        "ProxyJump a,,b\n",
        "ProxyJump @a\n",
        "ProxyJump a:0\n",
        "Ciphers rot13\n",
        "KexAlgorithms +nothing\n",
        "StreamLocalBindMask 1000\n",
        "IgnoreUnknown x\nFoo bar\n",
        "Include \"\"\n",
    ];
    for text in cases {
        let (_folder, file) = write(text);
        let theirs = ssh(&file, &[], "a").expect_err(text);
        let ours = ours(&file, "a").map(drop).expect_err(text);
        let line = theirs.split("line ").nth(1).and_then(|rest| {
            rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse::<usize>().ok())
        });
        assert!(line.is_none() || ours[0].0 == line, "{text:?}: ssh says {theirs}, we say {ours:?}");
        assert!(ours[0].0.is_some(), "{text:?}: {ours:?}");
    }
}

#[test]
fn tokens_that_stand_for_nothing_are_refused() {
    for text in [
        "Hostname %n\n",
        "UserKnownHostsFile /%z\n",
        "Match exec \"%z\"\n",
        "IdentityAgent /%\n",
        "LocalForward /%z h:1\n",
    ] {
        let (_folder, file) = write(text);
        ssh(&file, &[], "a").expect_err(text);
        let ours = ours(&file, "a").map(drop).expect_err(text);
        assert_eq!(ours[0].0, Some(1), "{text}: {ours:?}");
    }
}

#[test]
fn what_would_change_a_tunnel_and_cannot_be_followed_is_refused_at_its_line() {
    let cases = [
        ("CanonicalizeHostname yes", "CanonicalizeHostname no"),
        ("CanonicalizePermittedCNAMEs *:*.example.com", "CanonicalizePermittedCNAMEs none"),
        ("KnownHostsCommand true", "KnownHostsCommand /bin/true"),
        ("CheckHostIP yes", "CheckHostIP no"),
        ("VerifyHostKeyDNS yes", "VerifyHostKeyDNS ask"),
        ("HostbasedAuthentication yes", "HostbasedAuthentication no"),
        ("PKCS11Provider /x.so", "PKCS11Provider none"),
        ("ProxyUseFdpass yes", "ProxyUseFdpass no"),
        ("PreferredAuthentications hostbased", "PreferredAuthentications publickey"),
        ("Ciphers 3des-cbc", "Ciphers 3des-cbc,aes128-ctr"),
        ("PermitLocalCommand yes\nLocalCommand touch /x", "LocalCommand touch /x"),
    ];
    for (bad, good) in cases {
        for (text, fine) in [(bad, false), (good, true)] {
            let (_folder, file) = write(&format!("# first\n{text}\nHost other\n {}\n", bad.replace('\n', "\n ")));
            // ssh asks the DNS for this one.
            if !bad.starts_with("CanonicalizePermittedCNAMEs") {
                ssh(&file, &[], "a").unwrap_or_else(|error| panic!("ssh takes {text}: {error}"));
            }
            match ours(&file, "a").map(drop) {
                Ok(()) => assert!(fine, "{text} is taken"),
                Err(errors) => {
                    assert!(!fine && errors.len() == 1, "{text}: {errors:?}");
                    let line = 1 + text.lines().count();
                    assert_eq!(errors[0].0, Some(line), "{text}: {errors:?}");
                }
            }
        }
    }
}

#[test]
fn a_chain_of_jump_hosts_that_bites_its_tail_is_refused() {
    let (_folder, file) = write("Host *\n  ProxyJump bastion\n");
    assert!(ssh(&file, &[], "bastion").is_err());
    let errors = ours(&file, "web").map(drop).expect_err("ssh would refuse at the jump host");
    assert!(errors[0].1.contains("ProxyJump none"), "{errors:?}");
    let (_folder, file) = write("Host a\n ProxyJump b\nHost b\n ProxyJump a\n");
    let errors = ours(&file, "a").map(drop).expect_err("ssh would go round for ever");
    assert_eq!(errors[0].0, Some(2), "{errors:?}");
}
