//! Which algorithms are implemented, which of them are offered unasked, and in which order.

use russh::keys::Algorithm;

use crate::auth;
use crate::hostkey::HostKeyOffer;
use crate::login_record::AlgorithmOffer;
use crate::spec::{AlgorithmKind, AlgorithmList, AlgorithmListError, AlgorithmSpec};
use crate::transport::{self, CipherName, KexName, LocalOffer, MacName};

/// OpenSSH's ending for the certificate form of a host key algorithm.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// As OpenSSH: post-quantum first, then curves, then the NIST curves (FIPS servers have nothing else), then the groups,
/// whose arithmetic takes hundredths of a second. Group 18 takes several times as long, and is for servers that have
/// nothing else; SHA-1 is broken.
const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group18-sha512",
];
const KEX_ON_DEMAND: &[&str] = &[
    "diffie-hellman-group15-sha512",
    "diffie-hellman-group17-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
];

/// AES in counter mode is last: it needs a MAC beside it and costs several times as much.
const CIPHERS_WITH_AES: &[&str] = &[
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];
const CIPHERS_WITHOUT_AES: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];
const CIPHERS_ON_DEMAND: &[&str] = &["aes128-cbc", "aes192-cbc", "aes256-cbc"];

const MACS: &[&str] =
    &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"];
const MACS_ON_DEMAND: &[&str] = &["hmac-sha1-etm@openssh.com", "hmac-sha1"];

/// OpenSSH's order. The certificate forms are offered only where known_hosts names an authority.
const HOST_KEYS: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
/// What an authority may have signed a host certificate with. SHA-1 is not believed on demand either.
const CA_SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
const HOST_KEYS_ON_DEMAND: &[&str] = &["ssh-rsa"];
/// Host keys that are not offered: their signatures can be checked, in a proof of UpdateHostKeys.
const SECURITY_KEYS: &[&str] = &["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];

/// Can `list` be offered? For the config check, which knows no session.
///
/// # Errors
/// As [`AlgorithmList::resolve`].
pub fn check_algorithms(kind: AlgorithmKind, list: &AlgorithmList) -> Result<(), AlgorithmListError> {
    resolve(kind, list).map(drop)
}

/// The algorithms of one kind that this build has, on this CPU.
#[derive(Debug, Clone, Copy)]
pub struct SupportedAlgorithms {
    /// Offered unless a list says otherwise, in this order.
    pub offered: &'static [&'static str],
    /// Offered only where a list names them.
    pub on_demand: &'static [&'static str],
}

/// The algorithms of this build.
pub fn supported_algorithms(kind: AlgorithmKind) -> SupportedAlgorithms {
    let (offered, on_demand) = match kind {
        AlgorithmKind::Kex => (KEX, KEX_ON_DEMAND),
        AlgorithmKind::Cipher if has_aes() => (CIPHERS_WITH_AES, CIPHERS_ON_DEMAND),
        AlgorithmKind::Cipher => (CIPHERS_WITHOUT_AES, CIPHERS_ON_DEMAND),
        AlgorithmKind::Mac => (MACS, MACS_ON_DEMAND),
        AlgorithmKind::HostKey => (HOST_KEYS, HOST_KEYS_ON_DEMAND),
        AlgorithmKind::PublicKey => (auth::PUBLIC_KEYS, auth::PUBLIC_KEYS_ON_DEMAND),
        AlgorithmKind::CaSignature => (CA_SIGNATURES, &[][..]),
    };
    SupportedAlgorithms { offered, on_demand }
}

/// What to offer for `spec`. `host_keys` gets the host key algorithms in the order of the list, and gives what is
/// offered to this server.
pub(super) fn offer(
    spec: &AlgorithmSpec,
    compression: bool,
    host_keys: impl FnOnce(HostKeyOffer) -> HostKeyOffer,
) -> Result<LocalOffer, AlgorithmListError> {
    let kex = named(&resolve(AlgorithmKind::Kex, &spec.kex)?, KexName::named)?;
    let ciphers = named(&resolve(AlgorithmKind::Cipher, &spec.ciphers)?, CipherName::named)?;
    let macs = named(&resolve(AlgorithmKind::Mac, &spec.macs)?, MacName::named)?;
    let wanted = host_keys(host_key_offer(&spec.host_keys)?);
    let certificates = wanted.certificates.iter().map(|one| format!("{one}{CERTIFICATE}"));
    let host_keys: Vec<String> = certificates.chain(wanted.plain.iter().map(ToString::to_string)).collect();
    let host_keys = named(&host_keys, |name| transport::is_known_host_key(name).then(|| name.to_owned()))?;
    Ok(LocalOffer { kex, host_keys, ciphers, macs, compression })
}

/// The names in an offer, for people.
pub(super) fn names(offer: &LocalOffer) -> AlgorithmOffer {
    AlgorithmOffer {
        kex: offer.kex.iter().map(|one| one.name().to_owned()).collect(),
        host_keys: offer.host_keys.clone(),
        ciphers: offer.ciphers.iter().map(|one| one.name().to_owned()).collect(),
        macs: offer.macs.iter().map(|one| one.name().to_owned()).collect(),
    }
}

fn host_key_offer(list: &AlgorithmList) -> Result<HostKeyOffer, AlgorithmListError> {
    let names = resolve(AlgorithmKind::HostKey, list)?;
    let is_certificate = |name: &String| name.ends_with(CERTIFICATE);
    let leading = names.iter().take_while(|name| is_certificate(name)).count();
    let (certificates, plain): (Vec<String>, Vec<String>) = names.into_iter().partition(is_certificate);
    Ok(HostKeyOffer {
        plain: named(&plain, |name| Algorithm::new(name).ok())?,
        certificates: named(&certificates, |name| Algorithm::new(name.trim_end_matches(CERTIFICATE)).ok())?,
        leading,
        ordered: is_ordered(list),
    })
}

/// Whether a list of host key algorithms has an order of the user's, which known_hosts does not change; as in ssh.
pub(super) const fn is_ordered(list: &AlgorithmList) -> bool {
    match list {
        AlgorithmList::Replace(_) | AlgorithmList::Prepend(_) => true,
        AlgorithmList::Default | AlgorithmList::Append(_) | AlgorithmList::Remove(_) => false,
    }
}

/// The algorithms of the host keys that known_hosts may learn from a server: HostKeyAlgorithms, with security keys,
/// which ssh next to us may believe. Empty where nothing can be offered.
pub(super) fn learnable(list: &AlgorithmList) -> Vec<String> {
    let default = [HOST_KEYS, SECURITY_KEYS].concat();
    let all = [default.as_slice(), HOST_KEYS_ON_DEMAND].concat();
    list.resolve(AlgorithmKind::HostKey, &default, &all).unwrap_or_default()
}

fn resolve(kind: AlgorithmKind, list: &AlgorithmList) -> Result<Vec<String>, AlgorithmListError> {
    let SupportedAlgorithms { offered, on_demand } = supported_algorithms(kind);
    list.resolve(kind, offered, &[offered, on_demand].concat())
}

fn named<T>(names: &[String], find: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, AlgorithmListError> {
    names.iter().map(|name| find(name).ok_or_else(|| AlgorithmListError::Unknown(name.clone()))).collect()
}

/// Without the CPU's help, AES is slower than ChaCha20, and not in constant time.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("aes")
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(spec: &AlgorithmSpec) -> LocalOffer {
        offer(spec, false, |offer| offer).expect("offer")
    }

    #[test]
    fn every_name_that_we_know_is_implemented() {
        let all = |lists: [&[&str]; 2]| AlgorithmList::Replace(lists.concat().iter().map(|n| n.to_string()).collect());
        let spec = AlgorithmSpec {
            ciphers: all([CIPHERS_WITH_AES, CIPHERS_ON_DEMAND]),
            kex: all([KEX, KEX_ON_DEMAND]),
            macs: all([MACS, MACS_ON_DEMAND]),
            host_keys: all([HOST_KEYS, HOST_KEYS_ON_DEMAND]),
        };
        let offer = offered(&spec);
        assert_eq!(offer.ciphers.len(), CIPHERS_WITH_AES.len() + CIPHERS_ON_DEMAND.len());
        assert_eq!(offer.macs.len(), MACS.len() + MACS_ON_DEMAND.len());
        assert_eq!(offer.kex.len(), KEX.len() + KEX_ON_DEMAND.len());
        assert_eq!(offer.host_keys.len(), HOST_KEYS.len() + HOST_KEYS_ON_DEMAND.len());
        // And the other way round: nothing lies idle.
        assert_eq!(offer.ciphers.len(), CipherName::ALL.len());
        assert_eq!(offer.macs.len(), MacName::ALL.len());
        assert_eq!(offer.kex.len(), KexName::ALL.len());
    }

    #[test]
    fn nothing_broken_is_offered_unasked() {
        let AlgorithmOffer { kex, host_keys, ciphers, macs } = names(&offered(&AlgorithmSpec::default()));
        let names = [kex, host_keys, ciphers, macs].concat();
        for bad in ["sha1", "ssh-rsa", "group17", "cbc", "none", "clear"] {
            assert!(!names.iter().any(|name| name.contains(bad)), "{bad} in {names:?}");
        }
        assert!(names.iter().any(|name| name == "ecdh-sha2-nistp256"));
    }

    #[test]
    fn nothing_is_both_implemented_and_missing() {
        for (kind, names) in [
            (AlgorithmKind::Kex, [KEX, KEX_ON_DEMAND].concat()),
            (AlgorithmKind::Cipher, [CIPHERS_WITH_AES, CIPHERS_ON_DEMAND].concat()),
            (AlgorithmKind::Mac, [MACS, MACS_ON_DEMAND].concat()),
            (AlgorithmKind::HostKey, [HOST_KEYS, HOST_KEYS_ON_DEMAND].concat()),
            (AlgorithmKind::PublicKey, auth::PUBLIC_KEYS.to_vec()),
            (AlgorithmKind::CaSignature, CA_SIGNATURES.to_vec()),
        ] {
            for name in names {
                assert_eq!(crate::spec::missing_algorithm(kind, name), None, "{name}");
            }
        }
    }

    #[test]
    fn the_two_cipher_orders_hold_the_same_names() {
        let sorted = |names: &[&'static str]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        assert_eq!(sorted(CIPHERS_WITH_AES), sorted(CIPHERS_WITHOUT_AES));
        assert!(CIPHERS_WITH_AES.iter().take(2).all(|name| name.contains("gcm")));
    }

    #[test]
    fn old_algorithms_can_be_added_unknown_ones_not() {
        let add = |name: &str| AlgorithmList::Append(vec![name.to_owned()]);
        assert_eq!(check_algorithms(AlgorithmKind::HostKey, &add("ssh-rsa")), Ok(()));
        assert_eq!(
            check_algorithms(AlgorithmKind::Kex, &add("curve448-sha512")),
            Err(AlgorithmListError::Unknown("curve448-sha512".to_owned()))
        );
        assert!(check_algorithms(AlgorithmKind::Cipher, &add("none")).is_err());
    }
}
