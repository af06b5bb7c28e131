//! What a server's messages hold, each read by itself: deeper than a connection gets with a server that has no keys.

use bytes::Bytes;

use crate::transport::compression::Inflater;
use crate::transport::global::ServerRequest;
use crate::transport::kex::{Group, GroupSizes, Method, Work, WorkResult};
use crate::transport::message::{DebugText, MSG_GLOBAL_REQUEST, MSG_SERVICE_ACCEPT, MSG_USERAUTH_SUCCESS};
use crate::transport::negotiate::KexInit;
use crate::transport::packet::MAX_PACKET;
use crate::transport::russh_side::Texts;
use crate::transport::stage::{Meaning, Stage};
use crate::transport::wire::MessageReader;
use crate::transport::{KexName, Limits, TransportError, global, proof};

/// Result of decoding one input.
#[derive(Debug, Default)]
pub struct Decoded {
    /// A signature over a hash of no one's was taken.
    pub is_forged: bool,
    /// Bytes that a compressed payload became.
    pub inflated: usize,
    /// A text that is shown is no UTF-8.
    pub is_mangled: bool,
    /// A second reading of what the first gave was another, or it has grown.
    pub is_unsteady: bool,
}

/// Host key algorithms, of which the next byte of the input picks one.
const ALGORITHMS: [&str; 14] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "ssh-rsa",
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
];

/// The first byte picks a decoder, the second what it reads with.
pub fn decode(input: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    let Some(([decoder, variant], content)) = input.split_first_chunk::<2>() else { return decoded };
    // What cannot be read is refused, which is as good as anything.
    let _ = match decoder % 8 {
        0 => offer(content, *variant),
        1 => signature(content, *variant, &mut decoded),
        2 => public_value(content, *variant),
        3 => group(content, *variant),
        4 => inflate(content, &mut decoded),
        5 => text(content, *variant, &mut decoded),
        6 => DebugText::decode(content).map(drop),
        _ if variant.is_multiple_of(2) => {
            let asked = global::GlobalRequests::default().asked(content);
            decoded.is_mangled = matches!(&asked, Ok(ServerRequest::Unknown(name)) if name.len() > 3 * content.len());
            asked.map(drop)
        }
        _ => login(content, &mut decoded),
    };
    decoded
}

fn offer(content: &[u8], variant: u8) -> Result<(), TransportError> {
    let theirs = KexInit::decode(content)?;
    super::everything(Limits::default()).offer.agree(&theirs, variant.is_multiple_of(2)).map(drop)
}

/// A host key blob as a string, and behind it the signature.
fn signature(content: &[u8], variant: u8, decoded: &mut Decoded) -> Result<(), TransportError> {
    let algorithm = ALGORITHMS[usize::from(variant) % ALGORITHMS.len()];
    let mut reader = MessageReader::new("input", content);
    let (blob, signature) = (reader.string()?, reader.rest());
    decoded.is_forged = proof::verify(algorithm, blob, signature, b"a hash of no exchange").is_ok();
    Ok(())
}

fn public_value(content: &[u8], variant: u8) -> Result<(), TransportError> {
    const FAST: [KexName; 5] =
        [KexName::MlKem768X25519, KexName::Curve25519, KexName::EcdhP256, KexName::EcdhP384, KexName::EcdhP521];
    const SLOW: [KexName; 2] = [KexName::Sntrup761X25519, KexName::Group14Sha256];
    let name = match variant {
        0xfe.. => SLOW[usize::from(variant % 2)],
        variant => FAST[usize::from(variant) % FAST.len()],
    };
    let Method::Keys(work) = Method::of(name) else { return Ok(()) };
    let WorkResult::Keys(keys) = work.run() else { return Ok(()) };
    let keys = keys?;
    let theirs = keys.read(&mut MessageReader::new("input", content))?;
    let _ = Work::agree(keys, theirs).run();
    Ok(())
}

fn group(content: &[u8], variant: u8) -> Result<(), TransportError> {
    let mut reader = MessageReader::new("input", content);
    let (prime, generator) = (reader.unsigned()?, reader.unsigned()?);
    let mut sizes = GroupSizes::for_offer(&[]);
    // Small primes, too: one of 2048 bits is a long input.
    sizes.smallest = if variant.is_multiple_of(2) { 8 } else { sizes.smallest };
    let group = Group::chosen(prime, generator, sizes)?;
    if prime.len() <= 64 {
        let _ = Work::in_group(KexName::GroupExchangeSha256, group).run();
    }
    Ok(())
}

/// Payloads of one stream, each behind its length.
fn inflate(content: &[u8], decoded: &mut Decoded) -> Result<(), TransportError> {
    let (mut inflater, mut rest) = (Inflater::default(), content);
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (payload, behind) = behind.split_at(behind.len().min(length));
        rest = behind;
        decoded.inflated = inflater.inflate(payload)?.len();
        if decoded.inflated > MAX_PACKET as usize {
            break;
        }
    }
    Ok(())
}

/// The same message at each stage of a login. What is passed on is passed on again as it is, up to the bound of its kind.
fn login(content: &[u8], decoded: &mut Decoded) -> Result<(), TransportError> {
    let message = Bytes::copy_from_slice(content);
    for number in [MSG_SERVICE_ACCEPT, MSG_USERAUTH_SUCCESS, MSG_GLOBAL_REQUEST] {
        let mut stage = Stage::default();
        for before in [MSG_SERVICE_ACCEPT, MSG_USERAUTH_SUCCESS].into_iter().take_while(|before| *before != number) {
            stage.take(Bytes::copy_from_slice(&[before]))?;
        }
        if let Meaning::Known(once) = stage.take(message.clone())? {
            decoded.is_unsteady |= once.len() > content.len();
            decoded.is_unsteady |= matches!(stage.take(once.clone())?, Meaning::Known(again) if again != once);
        }
    }
    Ok(())
}

fn text(content: &[u8], variant: u8, decoded: &mut Decoded) -> Result<(), TransportError> {
    let mut texts = Texts::default();
    if variant.is_multiple_of(2) {
        // A request for questions and answers, so that message 60 has texts.
        let mut request = vec![crate::transport::message::MSG_USERAUTH_REQUEST];
        for part in ["u", "ssh-connection", "keyboard-interactive", "", ""] {
            crate::transport::put_string(&mut request, part.as_bytes());
        }
        texts.sent(&request)?;
    }
    let once = texts.in_utf8(Bytes::copy_from_slice(content))?;
    decoded.is_unsteady = texts.in_utf8(once.clone()) != Ok(once.clone());
    decoded.is_mangled = matches!(once.first(), Some(&(1 | 53)))
        && MessageReader::new("text", once.get(if once.first() == Some(&1) { 5 } else { 1 }..).unwrap_or_default())
            .string()
            .is_ok_and(|text| std::str::from_utf8(text).is_err());
    Ok(())
}
