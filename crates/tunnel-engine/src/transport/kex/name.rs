//! The methods of key exchange that there are.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, X25519};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256, SHA384, SHA512};

use super::primes;

/// A key exchange method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KexName {
    MlKem768X25519,
    Sntrup761X25519,
    /// The name of the same before it was registered.
    Sntrup761X25519Openssh,
    Curve25519,
    /// The name of the same before RFC 8731.
    Curve25519Libssh,
    EcdhP256,
    EcdhP384,
    EcdhP521,
    GroupExchangeSha256,
    Group14Sha256,
    Group15Sha512,
    Group16Sha512,
    Group17Sha512,
    Group18Sha512,
    GroupExchangeSha1,
    Group14Sha1,
    Group1Sha1,
}

impl KexName {
    pub(crate) const ALL: [Self; 17] = [
        Self::MlKem768X25519,
        Self::Sntrup761X25519,
        Self::Sntrup761X25519Openssh,
        Self::Curve25519,
        Self::Curve25519Libssh,
        Self::EcdhP256,
        Self::EcdhP384,
        Self::EcdhP521,
        Self::GroupExchangeSha256,
        Self::Group14Sha256,
        Self::Group15Sha512,
        Self::Group16Sha512,
        Self::Group17Sha512,
        Self::Group18Sha512,
        Self::GroupExchangeSha1,
        Self::Group14Sha1,
        Self::Group1Sha1,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        self.parts().0
    }

    /// For the exchange hash and the keys.
    pub(super) fn hash(self) -> &'static Algorithm {
        self.parts().1
    }

    pub(super) fn arithmetic(self) -> Arithmetic {
        self.parts().2
    }

    fn parts(self) -> (&'static str, &'static Algorithm, Arithmetic) {
        match self {
            Self::MlKem768X25519 => ("mlkem768x25519-sha256", &SHA256, Arithmetic::Hybrid(Mechanism::MlKem768)),
            Self::Sntrup761X25519 => ("sntrup761x25519-sha512", &SHA512, Arithmetic::Hybrid(Mechanism::Sntrup761)),
            Self::Sntrup761X25519Openssh => {
                ("sntrup761x25519-sha512@openssh.com", &SHA512, Arithmetic::Hybrid(Mechanism::Sntrup761))
            }
            Self::Curve25519 => ("curve25519-sha256", &SHA256, Arithmetic::Curve(&X25519)),
            Self::Curve25519Libssh => ("curve25519-sha256@libssh.org", &SHA256, Arithmetic::Curve(&X25519)),
            Self::EcdhP256 => ("ecdh-sha2-nistp256", &SHA256, Arithmetic::Curve(&ECDH_P256)),
            Self::EcdhP384 => ("ecdh-sha2-nistp384", &SHA384, Arithmetic::Curve(&ECDH_P384)),
            Self::EcdhP521 => ("ecdh-sha2-nistp521", &SHA512, Arithmetic::Curve(&ECDH_P521)),
            Self::GroupExchangeSha256 => ("diffie-hellman-group-exchange-sha256", &SHA256, Arithmetic::GroupExchange),
            Self::Group14Sha256 => ("diffie-hellman-group14-sha256", &SHA256, Arithmetic::Group(primes::GROUP_14)),
            Self::Group15Sha512 => ("diffie-hellman-group15-sha512", &SHA512, Arithmetic::Group(primes::GROUP_15)),
            Self::Group16Sha512 => ("diffie-hellman-group16-sha512", &SHA512, Arithmetic::Group(primes::GROUP_16)),
            Self::Group17Sha512 => ("diffie-hellman-group17-sha512", &SHA512, Arithmetic::Group(primes::GROUP_17)),
            Self::Group18Sha512 => ("diffie-hellman-group18-sha512", &SHA512, Arithmetic::Group(primes::GROUP_18)),
            Self::GroupExchangeSha1 => ("diffie-hellman-group-exchange-sha1", &SHA1, Arithmetic::GroupExchange),
            Self::Group14Sha1 => ("diffie-hellman-group14-sha1", &SHA1, Arithmetic::Group(primes::GROUP_14)),
            Self::Group1Sha1 => ("diffie-hellman-group1-sha1", &SHA1, Arithmetic::Group(primes::GROUP_1)),
        }
    }

    /// What a hybrid has beside its curve.
    pub(super) fn mechanism(self) -> Option<Mechanism> {
        if let Arithmetic::Hybrid(mechanism) = self.arithmetic() { Some(mechanism) } else { None }
    }

    /// With Streamlined NTRU Prime, whose keys take some ten milliseconds.
    pub(super) fn is_ntru(self) -> bool {
        matches!(self.mechanism(), Some(Mechanism::Sntrup761))
    }

    /// With a prime of over 4096 bits.
    const fn is_large_group(self) -> bool {
        matches!(self, Self::Group17Sha512 | Self::Group18Sha512)
    }
}

/// How the secret of a method comes about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arithmetic {
    Curve(&'static agreement::Algorithm),
    /// A key encapsulation mechanism beside X25519.
    Hybrid(Mechanism),
    /// The prime in hexadecimal digits.
    Group(&'static str),
    /// In a group for which the server is asked first.
    GroupExchange,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Mechanism {
    MlKem768,
    Sntrup761,
}

/// How large a group the server may choose in a group exchange (RFC 4419 section 3), in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupSizes {
    pub(crate) smallest: u32,
    pub(crate) preferred: u32,
    pub(crate) largest: u32,
}

impl GroupSizes {
    /// Arithmetic with 8192 bits takes several times as long: a list without group 17 and 18 spares it here, too.
    pub(crate) fn for_offer(offered: &[KexName]) -> Self {
        let large = offered.iter().any(|name| name.is_large_group());
        Self { smallest: 2048, preferred: 3072, largest: if large { 8192 } else { 4096 } }
    }
}
