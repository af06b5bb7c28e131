//! The methods of key exchange that there are.

use aws_lc_rs::digest;

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

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MlKem768X25519 => "mlkem768x25519-sha256",
            Self::Sntrup761X25519 => "sntrup761x25519-sha512",
            Self::Sntrup761X25519Openssh => "sntrup761x25519-sha512@openssh.com",
            Self::Curve25519 => "curve25519-sha256",
            Self::Curve25519Libssh => "curve25519-sha256@libssh.org",
            Self::EcdhP256 => "ecdh-sha2-nistp256",
            Self::EcdhP384 => "ecdh-sha2-nistp384",
            Self::EcdhP521 => "ecdh-sha2-nistp521",
            Self::GroupExchangeSha256 => "diffie-hellman-group-exchange-sha256",
            Self::Group14Sha256 => "diffie-hellman-group14-sha256",
            Self::Group15Sha512 => "diffie-hellman-group15-sha512",
            Self::Group16Sha512 => "diffie-hellman-group16-sha512",
            Self::Group17Sha512 => "diffie-hellman-group17-sha512",
            Self::Group18Sha512 => "diffie-hellman-group18-sha512",
            Self::GroupExchangeSha1 => "diffie-hellman-group-exchange-sha1",
            Self::Group14Sha1 => "diffie-hellman-group14-sha1",
            Self::Group1Sha1 => "diffie-hellman-group1-sha1",
        }
    }

    /// For the exchange hash and the keys.
    pub(super) fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::MlKem768X25519
            | Self::Curve25519
            | Self::Curve25519Libssh
            | Self::EcdhP256
            | Self::GroupExchangeSha256
            | Self::Group14Sha256 => &digest::SHA256,
            Self::EcdhP384 => &digest::SHA384,
            Self::Sntrup761X25519
            | Self::Sntrup761X25519Openssh
            | Self::EcdhP521
            | Self::Group15Sha512
            | Self::Group16Sha512
            | Self::Group17Sha512
            | Self::Group18Sha512 => &digest::SHA512,
            Self::GroupExchangeSha1 | Self::Group14Sha1 | Self::Group1Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        }
    }

    /// With Streamlined NTRU Prime, whose keys take some ten milliseconds.
    pub(super) const fn is_ntru(self) -> bool {
        matches!(self, Self::Sntrup761X25519 | Self::Sntrup761X25519Openssh)
    }

    /// With a prime of over 4096 bits, for which a user has to ask.
    const fn is_large_group(self) -> bool {
        matches!(self, Self::Group17Sha512 | Self::Group18Sha512)
    }
}

/// How large a group the server may choose in a group exchange (RFC 4419 section 3), in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupSizes {
    pub(crate) smallest: u32,
    pub(crate) preferred: u32,
    pub(crate) largest: u32,
}

impl GroupSizes {
    /// Arithmetic with 8192 bits takes several times as long: the user who asks for group 17 or 18 wants it here, too.
    pub(crate) fn for_offer(offered: &[KexName]) -> Self {
        let large = offered.iter().any(|name| name.is_large_group());
        Self { smallest: 2048, preferred: 3072, largest: if large { 8192 } else { 4096 } }
    }
}
