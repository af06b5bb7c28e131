//! Key exchange methods, and their arithmetic as pieces of work, which may take long.

mod curve;
mod group;
mod hash;
mod hybrid;
mod name;
mod primes;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "fuzzing"))]
pub(super) use hybrid::combine;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use primes::GROUP_14;
#[cfg(test)]
pub(super) use tests::ml_kem_vector;

use zeroize::Zeroizing;

pub(super) use group::Group;
pub(super) use hash::{ExchangeHash, KeyDeriver};
pub(super) use name::GroupSizes;
pub(crate) use name::KexName;

use super::TransportError;
use super::wire::{MessageReader, mpint};

/// How the keys of a method are made.
pub(super) enum Method {
    /// At once.
    Keys(Work),
    /// In a group for which the server is asked first.
    GroupExchange,
}

impl Method {
    pub(super) fn of(name: KexName) -> Self {
        if let Some(algorithm) = curve::curve(name) {
            return Self::Keys(Work(KexTask::Curve(name, algorithm)));
        }
        Group::fixed(name).map_or(Self::GroupExchange, |group| Self::Keys(Work::in_group(name, group)))
    }
}

/// A step of an exchange that computes, and needs nothing else.
pub(crate) struct Work(KexTask);

enum KexTask {
    Curve(KexName, &'static aws_lc_rs::agreement::Algorithm),
    Group(KexName, Box<Group>),
    Agree(Box<KeyPair>, Vec<u8>),
}

impl Work {
    /// Our keys in this group.
    pub(super) fn in_group(name: KexName, group: Group) -> Self {
        Self(KexTask::Group(name, Box::new(group)))
    }

    /// The secret, of our keys and the server's value.
    pub(super) fn agree(keys: KeyPair, theirs: Vec<u8>) -> Self {
        Self(KexTask::Agree(Box::new(keys), theirs))
    }

    /// Takes more than about a millisecond: not to be done by the thread that serves all sessions.
    pub(crate) fn is_long(&self) -> bool {
        match &self.0 {
            KexTask::Curve(name, _) => name.is_ntru(),
            KexTask::Group(..) => true,
            KexTask::Agree(keys, _) => match &**keys {
                KeyPair::Curve(keys) => keys.name().is_ntru(),
                KeyPair::Group(_) => true,
            },
        }
    }

    pub(crate) fn run(self) -> WorkResult {
        match self.0 {
            KexTask::Curve(name, algorithm) => {
                WorkResult::Keys(curve::CurveKeyPair::generate(name, algorithm).map(KeyPair::Curve))
            }
            KexTask::Group(name, group) => WorkResult::Keys(group.generate(name).map(KeyPair::Group)),
            KexTask::Agree(keys, theirs) => {
                let secret = match &*keys {
                    KeyPair::Curve(keys) => keys.agree(&theirs),
                    KeyPair::Group(keys) => keys.agree(&theirs),
                };
                WorkResult::Secret(secret.map(|secret| KexOutput { public: keys.public().to_vec(), theirs, secret }))
            }
        }
    }
}

/// What [`Work`] has given.
pub(crate) enum WorkResult {
    Keys(Result<KeyPair, TransportError>),
    Secret(Result<KexOutput, TransportError>),
}

/// Both public values, and the secret encoded as it is hashed.
pub(crate) struct KexOutput {
    pub(super) public: Vec<u8>,
    pub(super) theirs: Vec<u8>,
    pub(super) secret: Zeroizing<Vec<u8>>,
}

/// Our half of one exchange.
pub(crate) enum KeyPair {
    Curve(curve::CurveKeyPair),
    Group(group::GroupKeyPair),
}

impl KeyPair {
    /// For the message with it: the content of a string or of an mpint.
    pub(super) fn public(&self) -> &[u8] {
        match self {
            Self::Curve(keys) => keys.public(),
            Self::Group(keys) => keys.public(),
        }
    }

    /// The server's value, as it is hashed.
    pub(super) fn read(&self, reader: &mut MessageReader<'_>) -> Result<Vec<u8>, TransportError> {
        match self {
            Self::Curve(_) => Ok(reader.string()?.to_vec()),
            Self::Group(_) => Ok(mpint(reader.unsigned()?)),
        }
    }
}
