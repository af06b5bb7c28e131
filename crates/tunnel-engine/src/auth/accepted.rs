//! Which keys may be shown to a server at all: ssh_config's PubkeyAcceptedAlgorithms and RequiredRSASize. Pure.

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg};

use super::identity::KeyProblem;
use crate::failure::FailureKind;
use crate::spec::{AlgorithmKind, AlgorithmList, AlgorithmListError, AuthSpec};
use crate::words;

/// What a key or a certificate can prove itself with here, in ssh's order.
pub(crate) const PUBLIC_KEYS: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
/// For servers that know nothing better: SHA-1 is broken, so that such a signature is made only for those who ask for it.
pub(crate) const PUBLIC_KEYS_ON_DEMAND: &[&str] = &["ssh-rsa-cert-v01@openssh.com", "ssh-rsa"];

/// How an RSA key may sign, best first; `None` is SHA-1, as russh has it.
const RSA_HASHES: [Option<HashAlg>; 3] = [Some(HashAlg::Sha512), Some(HashAlg::Sha256), None];

/// The rule of one login.
#[derive(Debug, Clone, Default)]
pub(super) struct Accepted {
    /// In the order of preference. `None`: any.
    names: Option<Vec<String>>,
    required_rsa_size: u32,
}

impl Accepted {
    pub(super) fn of(spec: &AuthSpec) -> Result<Self, AlgorithmListError> {
        let set = spec.accepted != AlgorithmList::Default;
        let all = [PUBLIC_KEYS, PUBLIC_KEYS_ON_DEMAND].concat();
        let resolve = || spec.accepted.resolve(AlgorithmKind::PublicKey, PUBLIC_KEYS, &all);
        let names = if set { Some(resolve()?) } else { None };
        Ok(Self { names, required_rsa_size: spec.required_rsa_size })
    }

    /// Why a key, or a certificate of it, is not offered.
    pub(super) fn refusal(&self, key: &KeyData, certificate: bool) -> Option<KeyProblem> {
        let trouble =
            |why: String, hint: &'static str| Some(KeyProblem::new(FailureKind::AuthRejected, why).with_hint(hint));
        if let Some(bits) = too_short(key, self.required_rsa_size) {
            return trouble(
                format!(
                    "it is an RSA key of {bits} bits, and {} is {}",
                    words::own("required_rsa_size"),
                    self.required_rsa_size
                ),
                "make a longer key or an Ed25519 one, or lower required_rsa_size",
            );
        }
        if self.names.is_none() || names_of(key, certificate).iter().any(|name| self.has(name)) {
            return None;
        }
        let what = if certificate { "certificate" } else { "key" };
        let name = if matches!(key, KeyData::Rsa(_)) { "RSA".to_owned() } else { key.algorithm().to_string() };
        trouble(
            format!("{} leaves out {name} {what}s", words::own("pubkey_accepted_algorithms")),
            "name a key of an accepted type in identity_file, or change pubkey_accepted_algorithms",
        )
    }

    /// The hashes that an RSA key, or a certificate of one, may be signed with, best first; `None` is SHA-1.
    pub(super) fn rsa_hashes(&self, certificate: bool) -> Vec<Option<HashAlg>> {
        let Some(names) = &self.names else { return RSA_HASHES.into_iter().filter(Option::is_some).collect() };
        let named = |name: &String| RSA_HASHES.into_iter().find(|hash| rsa(*hash, certificate) == *name);
        names.iter().filter_map(named).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    }
}

/// The bits of an RSA key that has fewer than `required`.
pub(crate) fn too_short(key: &KeyData, required: u32) -> Option<u32> {
    match key.rsa() {
        Some(rsa) if rsa.key_size() < required => Some(rsa.key_size()),
        Some(_) | None => None,
    }
}

fn names_of(key: &KeyData, certificate: bool) -> Vec<String> {
    match (key.algorithm(), certificate) {
        (Algorithm::Rsa { .. }, _) => RSA_HASHES.map(|hash| rsa(hash, certificate)).into(),
        (algorithm, true) => vec![algorithm.to_certificate_type()],
        (algorithm, false) => vec![algorithm.to_string()],
    }
}

fn rsa(hash: Option<HashAlg>, certificate: bool) -> String {
    let algorithm = Algorithm::Rsa { hash };
    if certificate { algorithm.to_certificate_type() } else { algorithm.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    use russh::keys::PrivateKey;

    fn accepted(list: &str, required_rsa_size: u32) -> Accepted {
        let spec = AuthSpec { accepted: AlgorithmList::parse(list).unwrap(), required_rsa_size, ..AuthSpec::default() };
        Accepted::of(&spec).unwrap()
    }

    fn key(algorithm: Algorithm) -> KeyData {
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).unwrap();
        key.public_key().key_data().clone()
    }

    #[test]
    fn a_list_lets_keys_and_certificates_of_its_types_through() {
        let (ed, rsa) = (key(Algorithm::Ed25519), key(Algorithm::Rsa { hash: None }));
        let through = |list: &str| {
            let accepted = accepted(list, 0);
            [(&ed, false), (&ed, true), (&rsa, false), (&rsa, true)]
                .map(|(key, cert)| accepted.refusal(key, cert).is_none())
        };
        assert_eq!(through("ssh-ed25519"), [true, false, false, false]);
        assert_eq!(through("ssh-ed25519*"), [true, true, false, false], "a wildcard stands for all that it matches");
        assert_eq!(through("-ssh-ed25519"), [false, true, true, true]);
        assert_eq!(through("-*cert*"), [true, false, true, false]);
        assert_eq!(through("rsa-sha2-256"), [false, false, true, false]);
        assert_eq!(through("^rsa-sha2-256"), [true; 4]);
        assert!(Accepted::default().refusal(&rsa, true).is_none());
        let why = accepted("ssh-ed25519", 0).refusal(&rsa, false).unwrap().why;
        assert_eq!(why, "pubkey_accepted_algorithms leaves out RSA keys");
    }

    #[test]
    fn rsa_hash_is_chosen_in_the_lists_order() {
        let hashes = |list: &str| accepted(list, 0).rsa_hashes(false);
        let (long, short) = (Some(HashAlg::Sha512), Some(HashAlg::Sha256));
        assert_eq!(hashes("rsa-sha2-256"), [short]);
        assert_eq!(hashes("^rsa-sha2-256"), [short, long]);
        assert_eq!(hashes("+ssh-ed25519"), [long, short]);
        assert_eq!(accepted("rsa-sha2-256", 0).rsa_hashes(true), []);
        assert_eq!(Accepted::default().rsa_hashes(true), [long, short]);
    }

    #[test]
    fn sha1_signatures_are_made_only_when_asked_for() {
        let plain = |list: &str| accepted(list, 0).rsa_hashes(false).contains(&None);
        assert!(plain("+ssh-rsa") && plain("ssh-rsa") && plain("^ssh-rsa*"));
        assert!(!plain("-ssh-ed25519") && !plain("+ssh-rsa-cert-v01@openssh.com"));
        assert!(accepted("+ssh-rsa*", 0).rsa_hashes(true).contains(&None));
        assert!(!Accepted::default().rsa_hashes(false).contains(&None));
    }

    #[test]
    fn only_short_rsa_keys_are_held_back() {
        let (ed, rsa) = (key(Algorithm::Ed25519), key(Algorithm::Rsa { hash: None }));
        let bits = rsa.rsa().unwrap().key_size();
        let any = |size| Accepted { names: None, required_rsa_size: size };
        assert!(any(bits).refusal(&rsa, false).is_none() && any(bits + 1).refusal(&ed, false).is_none());
        let refused = any(bits + 1).refusal(&rsa, true).unwrap();
        assert!(refused.why.contains(&format!("{bits} bits")), "{refused:?}");
    }
}
