//! Signatures: by a key file, opened only now that the server wants it, or by the agent.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512};
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey, pkcs8};
use zeroize::Zeroizing;

use super::agent::{Agent, REFUSED_HINT};
use super::identity::{KeyProblem, Private, unlock};
use super::zeroized::wiping;
use crate::failure::FailureKind;
use crate::spec::SecretSource;
use crate::transport::put_string;

/// The empty session identifier of russh's exchange, as a string.
const NO_SESSION_ID: [u8; 4] = [0; 4];

const NEW_KEY: &str = "make a new key with `ssh-keygen -t ed25519`, and add its public half to authorized_keys there";
const CANNOT_SIGN: &str = "the file was read and its key cannot be used: try it with ssh, load it into an agent with \
     `ssh-add`, or name another key";
/// aws-lc-rs signs with no shorter RSA key.
const AWS_LC_MIN_RSA_BITS: u32 = 2048;
/// Shorter ones ssh does not use either; for longer ones there is no implementation here.
const RSA_BITS: std::ops::RangeInclusive<u32> = 1024..=8192;

/// Signs for one key that is being offered.
pub(super) struct KeySigner<'a> {
    pub(super) holder: PrivateKeyHolder<'a>,
    /// Of the transport's first exchange. russh knows of none, and leaves the place for it empty.
    pub(super) session_id: &'a [u8],
    /// The server has said that it would take the key, and has got its signature.
    pub(super) signed: bool,
}

pub(super) enum PrivateKeyHolder<'a> {
    /// A key file.
    File {
        /// The key as offered, to find out when a `.pub` lies beside another key.
        public: Box<PublicKey>,
        private: Private,
        /// The file, for the prompt for its passphrase.
        name: String,
        passphrase: Option<SecretSource>,
    },
    /// Nothing: whether the server would take the key is all that is asked.
    Asking,
    /// The agent. `None` when it broke since the key was listed.
    Agent { agent: &'a mut Option<Agent>, identity: Box<AgentIdentity> },
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// The session has ended.
    #[error("the session ended")]
    SessionEnded(#[from] russh::SendError),
    /// The key could not be used.
    #[error("{}", .0.why)]
    Trouble(KeyProblem),
}

impl russh::Signer for KeySigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _offered: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let request = data.strip_prefix(&NO_SESSION_ID).unwrap_or(&data).to_vec();
        let mut data = Vec::new();
        put_string(&mut data, self.session_id);
        let before = data.len();
        data.extend_from_slice(&request);
        let signed = match &mut self.holder {
            PrivateKeyHolder::File { public, private, name, passphrase } => {
                let (public, private, passphrase) = (public.clone(), private.clone(), passphrase.clone());
                let name = name.clone();
                // bcrypt and RSA take their time, and this thread carries all tunnels.
                let unlock = move |text: &str| unlock(&name, text, passphrase.as_ref());
                tokio::task::spawn_blocking(move || wiping(|| sign_with_file(&public, private, unlock, hash, data)))
                    .await
                    .unwrap_or_else(|error| Err(KeyProblem::new(FailureKind::IdentityUnreadable, error.to_string())))
                    .map_err(SignError::Trouble)
            }
            PrivateKeyHolder::Asking => {
                Err(SignError::Trouble(KeyProblem::new(FailureKind::AuthRejected, "only asked")))
            }
            PrivateKeyHolder::Agent { agent, identity } => {
                let Some(connected) = agent else {
                    let why = "the agent stopped answering";
                    return Err(SignError::Trouble(KeyProblem::new(FailureKind::AgentUnavailable, why)));
                };
                connected.sign(identity, hash, data).await.map_err(|broken| {
                    let trouble = KeyProblem::new(FailureKind::AgentUnavailable, broken.why);
                    if broken.connection_lost {
                        **agent = None;
                        return SignError::Trouble(trouble);
                    }
                    SignError::Trouble(trouble.with_hint(REFUSED_HINT))
                })
            }
        }?;
        self.signed = true;
        // russh sends what stands behind the session identifier that it knows.
        Ok([&NO_SESSION_ID, signed.get(before..).unwrap_or_default()].concat())
    }
}

/// Gives `data` with the signature over it appended as one string (RFC 4252 section 7).
fn sign_with_file(
    public: &PublicKey,
    private: Private,
    unlock: impl FnOnce(&str) -> Result<PrivateKey, KeyProblem>,
    hash: Option<HashAlg>,
    mut data: Vec<u8>,
) -> Result<Vec<u8>, KeyProblem> {
    let key = match private {
        Private::Ready(key) => key,
        Private::Locked(text) => Arc::new(unlock(&text)?),
        Private::Unusable(trouble) => return Err(trouble),
    };
    if key.public_key().key_data() != public.key_data() {
        let why = "the `.pub` file beside it belongs to another key";
        return Err(KeyProblem::new(FailureKind::IdentityUnreadable, why));
    }
    if let Some(bits) =
        key.public_key().key_data().rsa().map(|rsa| rsa.key_size()).filter(|bits| !RSA_BITS.contains(bits))
    {
        let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
        let why = format!("it is an RSA key of {bits} bits, and only those of {least} to {most} can sign");
        return Err(KeyProblem::new(FailureKind::IdentityUnreadable, why).with_hint(NEW_KEY));
    }
    let unusable = |why: String| {
        KeyProblem::new(FailureKind::IdentityUnreadable, format!("it cannot sign: {why}")).with_hint(CANNOT_SIGN)
    };
    let signature = sign(&key, hash, &data).map_err(unusable)?;
    let mut blob = Vec::new();
    signature.encode(&mut blob).map_err(|error| unusable(error.to_string()))?;
    blob.encode(&mut data).map_err(|error| unusable(error.to_string()))?;
    Ok(data)
}

/// RSA goes through aws-lc-rs: the `rsa` crate's timing tells the key to those who can measure it (RUSTSEC-2023-0071).
/// SHA-1, which aws-lc-rs signs nothing with, is that crate's: the user asked for it by name. So are the shorter keys that
/// ssh signs with, of 1024 bits and more: a key that short can be factored without measuring anything.
fn sign(key: &PrivateKey, hash: Option<HashAlg>, data: &[u8]) -> Result<Signature, String> {
    let KeypairData::Rsa(pair) = key.key_data() else {
        let security_key = matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256);
        return key.try_sign(data).map_err(|error| match security_key {
            true => "a security key signs only in an agent".to_owned(),
            false => error.to_string(),
        });
    };
    let (hash, padding) = match hash {
        None => return (pair, None).try_sign(data).map_err(|error| error.to_string()),
        Some(HashAlg::Sha256) => (HashAlg::Sha256, &RSA_PKCS1_SHA256),
        Some(_) => (HashAlg::Sha512, &RSA_PKCS1_SHA512),
    };
    if pair.key_size() < AWS_LC_MIN_RSA_BITS {
        return (pair, Some(hash)).try_sign(data).map_err(|error| error.to_string());
    }
    let der = Zeroizing::new(pkcs8::encode_pkcs8(key).map_err(|error| error.to_string())?);
    let pair = KeyPair::from_pkcs8(&der).map_err(|error| format!("RSA key refused: {error}"))?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), data, &mut signature).map_err(|error| error.to_string())?;
    Signature::new(Algorithm::Rsa { hash: Some(hash) }, signature).map_err(|error| error.to_string())
}
