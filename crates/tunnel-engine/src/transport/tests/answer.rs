//! The server's half of an exchange, for the server that unit tests and fuzz targets play.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use crypto_bigint::BoxedUint;

use crate::transport::TransportError;
use crate::transport::kex::{GROUP_14, Group, KexName, KexOutput, Method, Work, WorkResult, combine};
use crate::transport::wire::put_mpint;

/// The server's value and the secret, for a client's value. `group`: of a group exchange. There is no answer by
/// Streamlined NTRU Prime: only clients are built with it.
pub(in crate::transport) fn answer(
    name: KexName,
    group: Option<Group>,
    theirs: &[u8],
) -> Result<KexOutput, TransportError> {
    if name == KexName::MlKem768X25519 {
        return encapsulate(theirs);
    }
    let work = match (group, Method::of(name)) {
        (Some(group), _) => Work::in_group(name, group),
        (None, Method::Keys(work)) => work,
        (None, Method::GroupExchange) => return Err(TransportError::InvalidExchange),
    };
    let WorkResult::Keys(keys) = work.run() else { return Err(TransportError::InvalidExchange) };
    match Work::agree(keys?, theirs.to_vec()).run() {
        WorkResult::Secret(agreed) => agreed,
        WorkResult::Keys(_) => Err(TransportError::InvalidExchange),
    }
}

/// A group for a group exchange as two mpints: the prime and the generator of group 14.
pub(in crate::transport) fn group_to_choose() -> Vec<u8> {
    let prime = BoxedUint::from_str_radix_vartime(GROUP_14, 16).unwrap_or_default();
    let mut group = Vec::new();
    put_mpint(&mut group, &prime.to_be_bytes());
    put_mpint(&mut group, &[2]);
    group
}

fn encapsulate(theirs: &[u8]) -> Result<KexOutput, TransportError> {
    let invalid = |_| TransportError::InvalidExchange;
    let (kem, curve) = theirs.split_at_checked(theirs.len().saturating_sub(32)).unwrap_or_default();
    let (ciphertext, shared) = EncapsulationKey::new(&ML_KEM_768, kem)
        .map_err(|_| TransportError::InvalidExchange)?
        .encapsulate()
        .map_err(invalid)?;
    let ours = PrivateKey::generate(&X25519).map_err(invalid)?;
    let public = [ciphertext.as_ref(), ours.compute_public_key().map_err(invalid)?.as_ref()].concat();
    let mut secrets = shared.as_ref().to_vec();
    agreement::agree(&ours, UnparsedPublicKey::new(&X25519, curve), TransportError::InvalidExchange, |secret| {
        secrets.extend_from_slice(secret);
        Ok(())
    })?;
    Ok(KexOutput { public, theirs: theirs.to_vec(), secret: combine(KexName::MlKem768X25519, &secrets) })
}
