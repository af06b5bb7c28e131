//! Diffie-Hellman in the multiplicative group of a prime (RFC 4253 section 8, RFC 8268; groups of the server's choice:
//! RFC 4419). The exponents are secret, and no step takes longer or shorter for their sake; the group and the public
//! values are not.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use zeroize::{Zeroize as _, Zeroizing};

use super::name::{Arithmetic, GroupSizes, KexName};
use crate::transport::wire::{mpint, put_mpint, without_leading_zeros};
use crate::transport::{TransportError, random};

/// A group.
pub(crate) struct Group {
    prime: Odd<BoxedUint>,
    generator: BoxedUint,
}

impl Group {
    /// The group of a method whose name says it.
    pub(super) fn fixed(name: KexName) -> Option<Self> {
        let Arithmetic::Group(digits) = name.arithmetic() else { return None };
        let prime = BoxedUint::from_str_radix_vartime(digits, 16).ok()?;
        Self::new(prime, &[2])
    }

    /// What the server has chosen, without leading zeros. That the prime is one is not tested, as it is not by OpenSSH:
    /// the server can give the secret away in other ways, too.
    pub(crate) fn chosen(prime: &[u8], generator: &[u8], sizes: GroupSizes) -> Result<Self, TransportError> {
        // The multiplication cannot overflow: a packet is shorter.
        let zeros = prime.first().map_or(0, |byte| byte.leading_zeros());
        let bits = u32::try_from(prime.len() * 8).unwrap_or(u32::MAX) - zeros;
        if !(sizes.smallest..=sizes.largest).contains(&bits) {
            return Err(TransportError::GroupSize(bits));
        }
        Self::new(BoxedUint::from_be_slice_vartime(prime), generator).ok_or(TransportError::InvalidExchange)
    }

    fn new(prime: BoxedUint, generator: &[u8]) -> Option<Self> {
        let prime = prime.into_odd().into_option()?;
        let generator = public_value(&prime, generator)?;
        Some(Self { prime, generator })
    }

    /// Fresh keys. The exponent is twice as long as the hash, which is more than the strength of any of the groups asks
    /// for (RFC 3526 section 8).
    pub(super) fn generate(self, name: KexName) -> Result<GroupKeyPair, TransportError> {
        let mut exponent = Zeroizing::new(vec![0; 2 * name.hash().output_len()]);
        random::fill(&mut exponent)?;
        self.with_exponent(exponent)
    }

    pub(super) fn with_exponent(self, exponent: Zeroizing<Vec<u8>>) -> Result<GroupKeyPair, TransportError> {
        let params = BoxedMontyParams::new_vartime(self.prime.clone());
        let public = power(&params, self.generator, &exponent)?;
        let public = public_value(&self.prime, &public).ok_or(TransportError::Cryptography("an exponent"))?;
        let public = mpint(&public.to_be_bytes());
        Ok(GroupKeyPair { params, exponent, public })
    }
}

/// Our half of an exchange.
pub(crate) struct GroupKeyPair {
    params: BoxedMontyParams,
    exponent: Zeroizing<Vec<u8>>,
    /// As the content of an mpint.
    public: Vec<u8>,
}

impl GroupKeyPair {
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret, encoded as it is hashed, from the server's value.
    pub(super) fn agree(&self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        let theirs = public_value(self.params.modulus(), theirs).ok_or(TransportError::InvalidExchange)?;
        let secret = power(&self.params, theirs, &self.exponent)?;
        let mut encoded = Zeroizing::new(Vec::with_capacity(secret.len() + 5));
        put_mpint(&mut encoded, &secret);
        Ok(encoded)
    }
}

/// A number between 1 and p - 1, and none of them (RFC 4253 section 8).
fn public_value(prime: &Odd<BoxedUint>, bytes: &[u8]) -> Option<BoxedUint> {
    let value = BoxedUint::from_be_slice(without_leading_zeros(bytes), prime.bits_precision()).ok()?;
    let (one, last) = (BoxedUint::one(), prime.wrapping_sub(BoxedUint::one()));
    (value > one && value < last).then_some(value)
}

fn power(params: &BoxedMontyParams, base: BoxedUint, exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let bits = u32::try_from(exponent.len() * 8).unwrap_or(u32::MAX);
    let exponent = BoxedUint::from_be_slice(exponent, bits).map_err(|_| TransportError::Cryptography("an exponent"))?;
    let exponent = Zeroizing::new(exponent);
    let mut result = BoxedMontyForm::new(base, params).pow_bounded_exp(&exponent, bits);
    let number = Zeroizing::new(result.retrieve());
    result.zeroize();
    Ok(Zeroizing::new(number.to_be_bytes().into_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::kex::primes;

    const GROUPS: [(KexName, usize); 7] = [
        (KexName::Group1Sha1, 1024),
        (KexName::Group14Sha1, 2048),
        (KexName::Group14Sha256, 2048),
        (KexName::Group15Sha512, 3072),
        (KexName::Group16Sha512, 4096),
        (KexName::Group17Sha512, 6144),
        (KexName::Group18Sha512, 8192),
    ];

    fn hex(digits: &str) -> Vec<u8> {
        BoxedUint::from_str_radix_vartime(digits, 16).unwrap().to_be_bytes().into_vec()
    }

    #[test]
    fn groups_have_the_sizes_of_their_rfcs() {
        for (name, bits) in GROUPS {
            let group = Group::fixed(name).unwrap();
            assert_eq!(group.prime.bits() as usize, bits);
            let bytes = group.prime.to_be_bytes();
            assert!(bytes.starts_with(&[0xff; 8]) && bytes.ends_with(&[0xff; 8]));
        }
        assert!(Group::fixed(KexName::Curve25519).is_none());
    }

    #[test]
    fn both_ends_get_the_same_secret() {
        for (name, _) in GROUPS.into_iter().filter(|(_, bits)| *bits <= 4096) {
            let pair = || Group::fixed(name).unwrap().generate(name).unwrap();
            let (ours, theirs) = (pair(), pair());
            assert_eq!(ours.agree(theirs.public()).unwrap(), theirs.agree(ours.public()).unwrap());
            assert_ne!(ours.public(), theirs.public());
        }
    }

    /// The numbers are those of Python's `pow`: the first half of the SHA-256 of our value, and of the secret.
    #[test]
    fn values_are_those_of_another_implementation() {
        for (name, public, secret) in [
            (KexName::Group1Sha1, "27db84123663a2cbf34c7606477c23ea", "4dc010fccaa896eac3f4013946b6f846"),
            (KexName::Group14Sha256, "5141ed60d422816c251a9a61f4dc090f", "9413d3bfb3e5d8ee5ffd18d06b8460be"),
            (KexName::Group15Sha512, "077dffd743a6dda7e2400cb20075f161", "52ab179f5c6078c769b239bf21afa473"),
            (KexName::Group16Sha512, "0439872574dafc9b300359ea0dd742c3", "87b605a4430a403eb2e6163f874e2ee1"),
            (KexName::Group17Sha512, "248f61a86f1c080d552a6a3fb479e26d", "bcff31f2874407ee99a891f850fbed07"),
            (KexName::Group18Sha512, "86b83427a715cae1ac4f0f7ce33a65bd", "f4c84c299b385725950bc0391940726c"),
        ] {
            let pair = |from: u8| {
                let exponent = Zeroizing::new((from..from + 64).collect());
                Group::fixed(name).unwrap().with_exponent(exponent).unwrap()
            };
            let hash = |number: &[u8]| {
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, without_leading_zeros(number));
                hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            };
            let (ours, theirs) = (pair(1), pair(65));
            assert_eq!(hash(ours.public()), public, "{name:?}");
            assert_eq!(hash(ours.agree(theirs.public()).unwrap().get(4..).unwrap()), secret, "{name:?}");
        }
    }

    #[test]
    fn values_outside_of_the_group_are_refused() {
        let ours = Group::fixed(KexName::Group14Sha256).unwrap().with_exponent(Zeroizing::new(vec![5; 32])).unwrap();
        let prime = hex(primes::GROUP_14);
        let mut last = prime.clone();
        *last.last_mut().unwrap() -= 1;
        let refused = |theirs: &[u8]| ours.agree(theirs).err() == Some(TransportError::InvalidExchange);
        assert!(refused(&[]) && refused(&[1]) && refused(&last) && refused(&prime) && refused(&[0xff; 256]));
        assert!(refused(&[7; 257]), "longer than the prime");
        *last.last_mut().unwrap() -= 1;
        assert!(!refused(&last) && !refused(&[2]));
    }

    #[test]
    fn groups_of_other_sizes_and_even_ones_are_refused() {
        let sizes = GroupSizes { smallest: 2048, preferred: 3072, largest: 4096 };
        let of = |prime: &[u8], generator: &[u8]| Group::chosen(prime, generator, sizes).map(drop);
        assert_eq!(of(&hex(primes::GROUP_14), &[2]), Ok(()));
        assert_eq!(of(&hex(primes::GROUP_16), &[5]), Ok(()));
        assert_eq!(of(&hex(primes::GROUP_1), &[2]), Err(TransportError::GroupSize(1024)));
        assert_eq!(of(&hex(primes::GROUP_17), &[2]), Err(TransportError::GroupSize(6144)));
        assert_eq!(of(&[0x7f; 256], &[2]), Err(TransportError::GroupSize(2047)));
        assert_eq!(of(&[], &[2]), Err(TransportError::GroupSize(0)));
        assert_eq!(of(&[0xfe; 256], &[2]), Err(TransportError::InvalidExchange), "even");
        for generator in [&[][..], &[1], &[0xff; 256]] {
            assert_eq!(of(&hex(primes::GROUP_14), generator), Err(TransportError::InvalidExchange));
        }
    }
}
