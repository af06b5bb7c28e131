//! Host keys that a server announces are proven one by one (OpenSSH PROTOCOL, hostkeys-prove-00@openssh.com): by a
//! signature over the session identifier.

use std::future::poll_fn;

use russh::keys::PublicKey;
use russh::keys::signature::Verifier;
use russh::keys::ssh_encoding::Decode as _;
use russh::keys::ssh_key::Signature;

use super::requests::Requests;
use crate::transport::{GlobalAnswer, MessageReader, put_string};

const REQUEST: &str = "hostkeys-prove-00@openssh.com";

/// Has the server prove that it has all of `keys`.
pub(super) async fn host_key_proof(line: &Requests, keys: &[PublicKey]) -> Result<(), String> {
    let mut blobs = Vec::new();
    for key in keys {
        blobs.push(key.to_bytes().map_err(|error| error.to_string())?);
    }
    let mut request = Vec::new();
    blobs.iter().for_each(|blob| put_string(&mut request, blob));
    let asked = line.shared.link.ask(REQUEST, &request);
    let answer = match poll_fn(|cx| asked.poll_answer(cx)).await {
        Some(GlobalAnswer::Success(answer)) => answer,
        Some(GlobalAnswer::Failure { .. }) => return Err("it refuses to".to_owned()),
        None => return Err("the session ended".to_owned()),
    };
    let mut signatures = MessageReader::new("host key proof", &answer);
    for (key, blob) in keys.iter().zip(&blobs) {
        let signature = signatures.string().map_err(|error| error.to_string())?;
        let mut signed = Vec::new();
        for part in [REQUEST.as_bytes(), &line.shared.session_proof.session_id, blob] {
            put_string(&mut signed, part);
        }
        let signature = Signature::decode(&mut &*signature).map_err(|error| error.to_string())?;
        Verifier::verify(key, &signed, &signature)
            .map_err(|_| "a host key is not proven by its signature".to_owned())?;
    }
    signatures.end().map_err(|error| error.to_string())
}
