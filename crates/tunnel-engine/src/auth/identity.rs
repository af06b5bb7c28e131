//! Private key files: every format that ssh reads, its rule about file modes, and the public half without the
//! passphrase where the file or its `.pub` tells it.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key, load_public_key};
use zeroize::Zeroizing;

use super::encrypted_key::{DecryptError, EncryptedKey};
use super::{secret, small_scalar};
use crate::failure::FailureKind;
use crate::shortage;
use crate::spec::{IdentitySpec, PromptKind, PrompterHandle, SecretSource};
use crate::words;

/// Larger than any private key; a wrong file must not fill the memory.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// A key file of the spec, as far as it could be read.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) path: PathBuf,
    /// Known whenever the private half can be used, and often when it cannot: then the agent may hold it.
    pub(super) public: Option<PublicKey>,
    pub(super) private: Private,
}

#[derive(Clone)]
pub(super) enum Private {
    /// Readable as it is.
    Ready(Arc<PrivateKey>),
    /// Encrypted: the file's text, for when the server wants the key.
    Locked(Arc<Zeroizing<String>>),
    /// Not to be had, for this reason.
    Unusable(KeyProblem),
}

/// Why an identity file with a public key cannot sign by itself.
pub(super) const ONLY_PUBLIC: &str = "it is a public key, and the agent does not hold its private half";
const ONLY_PUBLIC_HINT: &str = "load its private half into the agent with `ssh-add`, or name its file; an agent shows no \
     key while it is locked (`ssh-add -X`), nor one that it holds for other hosts (`ssh-add -h`)";

/// Why a key could not be used: the failure it becomes when nothing else works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyProblem {
    pub(super) kind: FailureKind,
    pub(super) why: String,
    /// Better than the kind's own hint.
    pub(super) hint: Option<String>,
}

impl KeyProblem {
    pub(super) fn new(kind: FailureKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        self.with_told_hint(words::own(hint))
    }

    pub(super) fn with_told_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error that is a shortage of this machine's says nothing about the file.
    pub(super) fn caused_by(self, error: &io::Error) -> Self {
        match shortage::hint(error) {
            Some(hint) => Self { kind: FailureKind::ResourceShortage, why: self.why, hint: Some(hint) },
            None => self,
        }
    }
}

/// Reads one identity. `None` when one of ssh's default files is not there, and for a certificate, which is shown as
/// one. Blocks on files, and on the key derivation of an encrypted key that hides its public half.
pub(super) fn load(spec: &IdentitySpec, passphrase: Option<&SecretSource>) -> Option<Identity> {
    let path = &spec.path;
    let identity = |public, private| Some(Identity { path: path.clone(), public, private });
    let public_file = || load_public_key(with_suffix(path, ".pub")).ok();
    let (text, mode) = match read(path) {
        Ok(read) => read,
        Err(error) => {
            let public = public_file();
            if error.kind() == ErrorKind::NotFound && !spec.explicit && public.is_none() {
                return None;
            }
            return identity(public, Private::Unusable(unreadable(path, &error)));
        }
    };
    let marked = text.contains("PRIVATE KEY-----");
    if !marked {
        if Certificate::from_openssh(&text).is_ok() {
            return None;
        }
        if let Ok(public) = load_public_key(path) {
            let trouble = KeyProblem::new(FailureKind::IdentityUnreadable, ONLY_PUBLIC).with_hint(ONLY_PUBLIC_HINT);
            return identity(Some(public), Private::Unusable(trouble));
        }
    }
    let public = PrivateKey::from_openssh(text.as_str()).ok().map(|key| key.public_key().clone());
    // What is no key has nothing to hide.
    if let Err(trouble) = mode
        && (marked || open(&text).is_ok())
    {
        return identity(public.or_else(public_file), Private::Unusable(trouble.with_chmod(path)));
    }
    match EncryptedKey::read(&text) {
        Ok(Some(_)) => {}
        Ok(None) => {
            return match open(&text) {
                Ok(key) => identity(Some(key.public_key().clone()), Private::Ready(Arc::new(key))),
                Err(error) => identity(public.or_else(public_file), Private::Unusable(not_a_key(&error))),
            };
        }
        Err(error) => {
            let trouble = not_opened(&path.display().to_string(), &error);
            return identity(public.or_else(public_file), Private::Unusable(trouble));
        }
    }
    if let Some(public) = public.or_else(public_file) {
        return identity(Some(public), Private::Locked(Arc::new(text)));
    }
    match unlock(&path.display().to_string(), &text, passphrase) {
        Ok(key) => identity(Some(key.public_key().clone()), Private::Ready(Arc::new(key))),
        Err(trouble) => identity(None, Private::Unusable(trouble)),
    }
}

/// Decrypts the text of the key file `name`. Blocks: on the passphrase's file or on a person, and on a key derivation
/// made to be slow.
pub(super) fn unlock(name: &str, text: &str, passphrase: Option<&SecretSource>) -> Result<PrivateKey, KeyProblem> {
    let needed = |why: String| KeyProblem::new(FailureKind::PassphraseNeeded, why);
    let key = match EncryptedKey::read(text) {
        Ok(Some(key)) => key,
        Ok(None) => return open(text).map_err(|error| not_a_key(&error)),
        Err(error) => return Err(not_opened(name, &error)),
    };
    match passphrase {
        None => Err(needed(words::own("it is encrypted, and no passphrase_file is set").into_owned())),
        Some(SecretSource::Ask(asker)) => unlock_by_asking(name, &key, asker)?
            .ok_or_else(|| needed("it is encrypted, and no passphrase was given that opens it".to_owned())),
        Some(SecretSource::File(file)) => {
            let passphrase = secret::read(file).map_err(|error| {
                needed(format!("it is encrypted, and passphrase_file `{}` cannot be read: {error}", file.display()))
                    .with_hint("check that passphrase_file exists and is readable by the user that runs tunneld")
                    .caused_by(&error)
            })?;
            key.open(passphrase.as_str()).map_err(|error| match error {
                DecryptError::WrongPassphrase => {
                    needed(format!("the passphrase in `{}` does not open it", file.display()))
                        .with_hint("put the right passphrase into passphrase_file")
                }
                DecryptError::Unsupported(_) | DecryptError::TooCostly(_) | DecryptError::Unusable(_) => {
                    not_opened(name, &error)
                }
            })
        }
    }
}

/// Any format that ssh reads, without a passphrase.
fn open(text: &str) -> Result<PrivateKey, russh::keys::Error> {
    // First the way that copies no text: russh's own leaves copies in memory that it gave back.
    let openssh = PrivateKey::from_openssh(text).ok().filter(|key| !key.is_encrypted());
    openssh
        .map_or_else(|| decode_secret_key(text, None), Ok)
        .or_else(|error| small_scalar::read(text, None).ok_or(error))
}

/// As ssh: a wrong passphrase is asked for again, an empty one goes on to the next key (`None`).
fn unlock_by_asking(
    name: &str,
    key: &EncryptedKey<'_>,
    asker: &PrompterHandle,
) -> Result<Option<PrivateKey>, KeyProblem> {
    let question = PromptKind::Passphrase { file: name.to_owned() };
    let given =
        (0..asker.prompts()).map_while(|again| asker.ask(&question, again).filter(|passphrase| !passphrase.is_empty()));
    for passphrase in given {
        match key.open(passphrase.as_str()) {
            Ok(key) => return Ok(Some(key)),
            Err(DecryptError::WrongPassphrase) => {}
            Err(other) => return Err(not_opened(name, &other)),
        }
    }
    Ok(None)
}

/// `path` with something after its name: `id_rsa` and `-cert.pub`.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Text of a small file, and ssh's verdict on its mode.
fn read(path: &Path) -> io::Result<(Zeroizing<String>, Result<(), ReadableByOthers>)> {
    let file = crate::file::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > MAX_KEY_BYTES {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "too large for a private key"));
    }
    // All of it at once: a buffer that grows would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(MAX_KEY_BYTES).read_to_end(&mut content)?;
    let text = String::from_utf8_lossy(&content).into_owned();
    // ssh: only a file of the account itself is judged; one of another account has to be readable somehow.
    let exposed = metadata.uid() == nix::unistd::getuid().as_raw() && metadata.mode() & 0o077 != 0;
    let mode = if exposed { Err(ReadableByOthers(metadata.mode() & 0o777)) } else { Ok(()) };
    Ok((Zeroizing::new(text), mode))
}

/// The mode of a key file that others can read.
struct ReadableByOthers(u32);

impl ReadableByOthers {
    fn with_chmod(&self, path: &Path) -> KeyProblem {
        KeyProblem::new(FailureKind::IdentityPermissions, format!("others can read it: its mode is {:04o}", self.0))
            .with_told_hint(format!("run `chmod 600 {}`", path.display()))
    }
}

/// No passphrase would help.
fn not_opened(name: &str, error: &DecryptError) -> KeyProblem {
    let trouble = KeyProblem::new(FailureKind::IdentityUnreadable, error.to_string());
    match error {
        DecryptError::Unsupported(_) => trouble.with_told_hint(format!(
            "convert it with `ssh-keygen -p -f {name}`, or where that refuses it too with \
             `openssl pkey -provider legacy -provider default -aes256 -in {name} -out {name}.new`"
        )),
        DecryptError::TooCostly(_) => {
            trouble.with_told_hint(format!("encrypt it anew with `ssh-keygen -p -a 16 -f {name}`"))
        }
        DecryptError::WrongPassphrase | DecryptError::Unusable(_) => trouble,
    }
}

fn unreadable(path: &Path, error: &io::Error) -> KeyProblem {
    let who = nix::unistd::getuid();
    let why = if error.kind() == ErrorKind::PermissionDenied && !crate::file::is_confined() {
        format!("user id {who}, which runs tunneld, may not read it")
    } else {
        error.to_string()
    };
    let trouble = KeyProblem::new(FailureKind::IdentityUnreadable, why);
    let is_hidden = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound);
    if !is_hidden || !crate::file::is_hidden_by_unit(path) {
        return trouble.caused_by(error);
    }
    trouble.with_hint(
        "if tunneld's unit hides this folder (docs/systemd.md, What the units forbid), keep the key elsewhere or add the \
         drop-in home.conf",
    )
}

fn not_a_key(error: &russh::keys::Error) -> KeyProblem {
    KeyProblem::new(FailureKind::IdentityUnreadable, format!("it is not a private key that can be read: {error}"))
}
