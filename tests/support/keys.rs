//! Keys and certificates, made by ssh-keygen.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a key pair `dir/name`, `dir/name.pub`. `options` go to ssh-keygen: `["-t", "rsa", "-b", "2048"]`.
pub fn generate(dir: &Path, name: &str, options: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-C", name, "-f"]).arg(&path);
    if !options.contains(&"-t") {
        command.args(["-t", "ed25519"]);
    }
    if !options.contains(&"-N") {
        command.args(["-N", ""]);
    }
    run(command.args(options));
    path
}

/// Signs `key.pub` with `ca`, leaves `key-cert.pub` beside it.
pub fn certify(ca: &Path, key: &Path, options: &[&str]) -> PathBuf {
    run(Command::new("ssh-keygen").args(["-q", "-s"]).arg(ca).args(options).arg(key.with_extension("pub")));
    let mut certificate = key.as_os_str().to_owned();
    certificate.push("-cert.pub");
    certificate.into()
}

/// `type base64` of a public key file, without the comment.
pub fn public(key: &Path) -> String {
    let text = std::fs::read_to_string(key.with_extension("pub")).expect("a public key beside the private one");
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// The name of the user who runs the tests: the one the test servers let in.
pub fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().expect("the user has a name").name
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}
