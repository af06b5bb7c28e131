//! Private key files in every encryption that ssh-keygen and openssl write: opened with the right passphrase, told as
//! what they are without it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Sshd, keys};
use tunnel_engine::failure::FailureKind;

use crate::login::{assert_refused, identities, identity, login, secret, to};

const PASSPHRASE: &str = "open sesame";

/// Options of ssh-keygen that make the keys. Every file below holds one of them.
const KEYS: &[(&str, &[&str])] = &[
    ("ed25519", &["-t", "ed25519"]),
    ("p256", &["-t", "ecdsa", "-b", "256"]),
    ("p384", &["-t", "ecdsa", "-b", "384"]),
    ("p521", &["-t", "ecdsa", "-b", "521"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

/// A key and ssh-keygen's options that encrypt it.
const BY_SSH_KEYGEN: &[(&str, &[&str])] = &[
    ("ed25519", &[]),
    ("p256", &[]),
    ("p384", &[]),
    ("p521", &[]),
    ("rsa", &[]),
    ("ed25519", &["-Z", "3des-cbc"]),
    ("rsa", &["-Z", "3des-cbc"]),
    ("ed25519", &["-Z", "aes128-ctr"]),
    ("p256", &["-Z", "aes192-ctr"]),
    ("ed25519", &["-Z", "aes128-cbc"]),
    ("p384", &["-Z", "aes256-cbc"]),
    ("rsa", &["-Z", "aes256-gcm@openssh.com"]),
    ("ed25519", &["-Z", "chacha20-poly1305@openssh.com"]),
    ("rsa", &["-m", "PEM"]),
    ("p256", &["-m", "PEM"]),
    ("rsa", &["-m", "PKCS8"]),
    ("p521", &["-m", "PKCS8"]),
];

/// A key and openssl's arguments that encrypt it.
const BY_OPENSSL: &[(&str, &str)] = &[
    ("rsa", "rsa -traditional -des3"),
    ("rsa", "rsa -traditional -aes128"),
    ("rsa", "rsa -traditional -aes192"),
    ("rsa", "rsa -traditional -aes256"),
    ("p256", "ec -des3"),
    ("p384", "ec -aes128"),
    ("p384", "ec -aes192"),
    ("p521", "ec -aes256"),
    ("rsa", "pkcs8 -topk8 -v1 PBE-SHA1-3DES"),
    ("p256", "pkcs8 -topk8 -v1 PBE-SHA1-3DES -iter 5000"),
    ("rsa", "pkcs8 -topk8 -v2 des3"),
    ("p384", "pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1"),
    ("p256", "pkcs8 -topk8 -v2 aes128"),
    ("rsa", "pkcs8 -topk8 -v2 aes-192-cbc -v2prf hmacWithSHA512"),
    ("p521", "pkcs8 -topk8 -v2 aes256"),
    ("p256", "pkcs8 -topk8 -scrypt"),
];

/// The same, and what the message calls it.
const NOT_IMPLEMENTED: &[(&str, &str, &str)] = &[
    ("rsa", "rsa -traditional -camellia256", "encrypted with CAMELLIA-256-CBC"),
    ("p256", "ec -aria128", "encrypted with ARIA-128-CBC"),
    ("p256", "pkcs8 -topk8 -v2 camellia-128-cbc", "encrypted with CAMELLIA-128-CBC"),
    ("rsa", "pkcs8 -topk8 -v1 PBE-SHA1-2DES", "encrypted with PBE-SHA1-2DES"),
];

#[tokio::test]
async fn every_encryption_that_ssh_opens_is_opened() {
    let files = Files::make();
    let mut spec = to(&files.server);
    spec.auth.passphrase = secret(files.server.dir(), "passphrase", PASSPHRASE);
    for (index, (key, options)) in BY_SSH_KEYGEN.iter().enumerate() {
        let file = files.by_ssh_keygen(index, key, options);
        spec.auth.identities = vec![identity(&file)];
        login(&spec).await.unwrap_or_else(|failure| panic!("{key} {options:?}: {failure}"));
    }
    for (index, (key, arguments)) in BY_OPENSSL.iter().enumerate() {
        let file = files.by_openssl(index, key, arguments);
        spec.auth.identities = vec![identity(&file)];
        login(&spec).await.unwrap_or_else(|failure| panic!("{key} {arguments}: {failure}"));
    }
}

#[tokio::test]
async fn a_wrong_or_missing_passphrase_is_told_for_each_container() {
    let files = Files::make();
    // These show no public half: they have to be opened before they can be offered.
    let opaque: Vec<_> = BY_OPENSSL
        .iter()
        .enumerate()
        .map(|(index, (key, arguments))| files.by_openssl(index, key, arguments))
        .collect();
    let mut spec = to(&files.server);
    spec.auth.identities = identities(&opaque.iter().collect::<Vec<_>>());
    spec.auth.passphrase = secret(files.server.dir(), "wrong", "open barley");
    let told = |each: &str| -> Vec<String> {
        opaque.iter().map(|file| format!("`{}`: not offered: {each}", file.display())).collect()
    };
    let words = told(&format!("the passphrase in `{}` does not open it", files.server.dir().join("wrong").display()));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_refused(login(&spec).await, FailureKind::PassphraseNeeded, &words);
    spec.auth.passphrase = None;
    let words = told("it is encrypted, and no passphrase_file is set");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_refused(login(&spec).await, FailureKind::PassphraseNeeded, &words);

    let open = files.by_ssh_keygen(0, "ed25519", &["-Z", "3des-cbc"]);
    spec.auth.identities = vec![identity(&open)];
    assert_refused(login(&spec).await, FailureKind::PassphraseNeeded, &["no passphrase_file is set"]);
    spec.auth.passphrase = secret(files.server.dir(), "wrong", "open barley");
    assert_refused(login(&spec).await, FailureKind::PassphraseNeeded, &["wrong` does not open it"]);
}

#[tokio::test]
async fn what_is_not_opened_is_named_with_the_command_that_converts_it() {
    let files = Files::make();
    let mut spec = to(&files.server);
    for passphrase in [None, secret(files.server.dir(), "passphrase", PASSPHRASE)] {
        spec.auth.passphrase = passphrase;
        for (index, (key, arguments, name)) in NOT_IMPLEMENTED.iter().enumerate() {
            let file = files.by_openssl(100 + index, key, arguments);
            spec.auth.identities = vec![identity(&file)];
            let convert = format!("-f {}", file.display());
            let refused = login(&spec).await;
            assert_refused(refused, FailureKind::IdentityUnreadable, &[name, "ssh-keygen -p", &convert]);
        }
    }
}

/// A server that takes the keys, and a folder with them in the clear.
struct Files {
    server: Sshd,
}

impl Files {
    fn make() -> Self {
        let server = Sshd::start();
        for (name, options) in KEYS {
            let key = keys::generate(server.dir(), name, options);
            server.authorize(&keys::public(&key));
            // What openssl reads; it has no ed25519 key in this form.
            if *name != "ed25519" {
                let pem = copy(&key, &key.with_extension("pem"));
                run(Command::new("ssh-keygen").args(["-q", "-p", "-N", "", "-m", "PEM", "-f"]).arg(pem));
            }
        }
        Self { server }
    }

    fn by_ssh_keygen(&self, index: usize, key: &str, options: &[&str]) -> PathBuf {
        let file = copy(&self.server.dir().join(key), &self.server.dir().join(format!("ssh-keygen-{index}")));
        run(Command::new("ssh-keygen").args(["-q", "-p", "-N", PASSPHRASE]).args(options).arg("-f").arg(&file));
        file
    }

    fn by_openssl(&self, index: usize, key: &str, arguments: &str) -> PathBuf {
        let file = self.server.dir().join(format!("openssl-{index}"));
        let (from, password) = (self.server.dir().join(key).with_extension("pem"), format!("pass:{PASSPHRASE}"));
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).args(["-passout", &password, "-in"]).arg(from).arg("-out").arg(&file);
        run(command.stderr(Stdio::null()));
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        file
    }
}

fn copy(from: &Path, to: &Path) -> PathBuf {
    std::fs::copy(from, to).unwrap();
    to.to_owned()
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
