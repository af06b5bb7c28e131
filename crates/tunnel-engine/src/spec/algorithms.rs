//! Algorithm lists in OpenSSH's notation: names, and the `+`, `-` and `^` prefixes of ssh_config(5).

mod missing;

pub use missing::missing_algorithm;

/// Which negotiation a list belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlgorithmKind {
    /// Ciphers of both directions.
    Cipher,
    /// KexAlgorithms.
    Kex,
    /// MACs.
    Mac,
    /// HostKeyAlgorithms.
    HostKey,
    /// PubkeyAcceptedAlgorithms.
    PublicKey,
    /// CASignatureAlgorithms.
    CaSignature,
}

impl AlgorithmKind {
    /// The key of the config file that sets it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Cipher => "ciphers",
            Self::Kex => "kex_algorithms",
            Self::Mac => "macs",
            Self::HostKey => "host_key_algorithms",
            Self::PublicKey => "pubkey_accepted_algorithms",
            Self::CaSignature => "ca_signature_algorithms",
        }
    }
}

/// What the user asked for, per negotiation. `Default`: our own safe set and order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlgorithmSpec {
    /// ssh_config Ciphers.
    pub ciphers: AlgorithmList,
    /// KexAlgorithms.
    pub kex: AlgorithmList,
    /// MACs, used only beside ciphers that are not AEAD.
    pub macs: AlgorithmList,
    /// HostKeyAlgorithms.
    pub host_keys: AlgorithmList,
}

/// One list of ssh_config(5). A name may hold `*` and `?`: after `-` it takes away what it matches, else it stands for
/// everything that is implemented and matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AlgorithmList {
    /// Not set.
    #[default]
    Default,
    /// `a,b`: exactly these.
    Replace(Vec<String>),
    /// `+a,b`: ours, then these.
    Append(Vec<String>),
    /// `-a,b*`: ours without these.
    Remove(Vec<String>),
    /// `^a,b`: these, then ours.
    Prepend(Vec<String>),
}

impl AlgorithmList {
    /// Reads one value of `Ciphers`, `KexAlgorithms`, `MACs` or `HostKeyAlgorithms`.
    pub fn parse(text: &str) -> Result<Self, AlgorithmListError> {
        let (make, names): (fn(Vec<String>) -> Self, &str) = match text.split_at_checked(1) {
            Some(("+", rest)) => (Self::Append, rest),
            Some(("-", rest)) => (Self::Remove, rest),
            Some(("^", rest)) => (Self::Prepend, rest),
            _ => (Self::Replace, text),
        };
        let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err(AlgorithmListError::Empty);
        }
        Ok(make(names))
    }

    /// The list to offer, given our default order and everything that is implemented. A name that OpenSSH has and
    /// tunneld does not ([`missing_algorithm`]) is passed over while another is left: a list may be shared with ssh.
    ///
    /// # Errors
    /// A name that neither of them has, or nothing left.
    pub fn resolve(
        &self,
        kind: AlgorithmKind,
        default: &[&str],
        implemented: &[&str],
    ) -> Result<Vec<String>, AlgorithmListError> {
        let ours = || default.iter().map(|name| (*name).to_owned());
        let known = |names: &[String]| -> Result<Vec<String>, AlgorithmListError> {
            let mut all = Vec::new();
            for name in names {
                let before = all.len();
                all.extend(implemented.iter().filter(|known| wildcard(name, known)).map(|known| (*known).to_owned()));
                if all.len() == before && missing_algorithm(kind, name).is_none() {
                    return Err(AlgorithmListError::Unknown(name.clone()));
                }
            }
            Ok(all)
        };
        let mut list: Vec<String> = match self {
            Self::Default => ours().collect(),
            Self::Replace(names) => known(names)?,
            Self::Append(names) => ours().chain(known(names)?).collect(),
            Self::Prepend(names) => known(names)?.into_iter().chain(ours()).collect(),
            Self::Remove(patterns) => {
                ours().filter(|name| !patterns.iter().any(|pattern| wildcard(pattern, name))).collect()
            }
        };
        let mut seen = std::collections::HashSet::new();
        list.retain(|name| seen.insert(name.clone()));
        if !list.is_empty() {
            return Ok(list);
        }
        let missing = self.missing(kind).into_iter().next();
        Err(missing.map_or(AlgorithmListError::NothingLeft, |(name, why)| AlgorithmListError::Missing { name, why }))
    }

    /// The names that ask for what OpenSSH has and tunneld does not, each with [`missing_algorithm`]'s reason.
    pub fn missing(&self, kind: AlgorithmKind) -> Vec<(String, &'static str)> {
        let names: &[String] = match self {
            Self::Replace(names) | Self::Append(names) | Self::Prepend(names) => names,
            Self::Default | Self::Remove(_) => &[],
        };
        names.iter().filter_map(|name| Some((name.clone(), missing_algorithm(kind, name)?))).collect()
    }
}

/// `*` and `?` as ssh_config(5) PATTERNS.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        let (mut p, mut t, mut star) = (0, 0, None);
        while t < text.len() {
            if p < pattern.len() && pattern[p] == b'*' {
                star = Some((p, t));
                p += 1;
            } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) {
                p += 1;
                t += 1;
            } else if let Some((star_p, star_t)) = star {
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
    matches(pattern.as_bytes(), text.as_bytes())
}

/// Why an algorithm list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmListError {
    /// An empty name between commas, or nothing at all.
    #[error("an algorithm name is empty")]
    Empty,
    /// OpenSSH does not have it either.
    #[error("`{0}` is not an algorithm of this kind")]
    Unknown(String),
    /// Only such as OpenSSH has and tunneld does not; the first of them.
    #[error("tunneld does not have `{name}`: {why}")]
    Missing {
        /// As written.
        name: String,
        /// Why it is missing, and what to use instead.
        why: &'static str,
    },
    /// `-` took everything away.
    #[error("no algorithm is left")]
    NothingLeft,
}

impl AlgorithmListError {
    /// What to write instead.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "leave it out, or name another one beside it",
            Self::Empty | Self::Unknown(_) | Self::NothingLeft => {
                "write names with commas, or `+`, `-` or `^` and names"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[&str] = &["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr"];
    const ALL: &[&str] = &["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-cbc"];

    fn resolve(text: &str) -> Result<String, AlgorithmListError> {
        AlgorithmList::parse(text)?.resolve(AlgorithmKind::Cipher, OURS, ALL).map(|names| names.join(","))
    }

    #[test]
    fn prefixes_work_on_our_default_list() {
        assert_eq!(resolve("aes128-cbc").as_deref(), Ok("aes128-cbc"));
        assert_eq!(
            resolve("+aes128-cbc").as_deref(),
            Ok("aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes128-cbc")
        );
        assert_eq!(resolve("^aes256-ctr").as_deref(), Ok("aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com"));
        assert_eq!(resolve("-*gcm*").as_deref(), Ok("aes256-ctr"));
        assert_eq!(resolve("aes128*").as_deref(), Ok("aes128-gcm@openssh.com,aes128-cbc"));
    }

    #[test]
    fn a_list_that_cannot_be_offered_is_refused() {
        assert_eq!(resolve("rot13"), Err(AlgorithmListError::Unknown("rot13".into())));
        assert_eq!(resolve("-*"), Err(AlgorithmListError::NothingLeft));
        assert_eq!(resolve("aes256-ctr,,"), Err(AlgorithmListError::Empty));
        assert_eq!(resolve(""), Err(AlgorithmListError::Empty));
    }

    #[test]
    fn names_only_openssh_has_are_passed_over() {
        assert_eq!(resolve("3des-cbc,aes256-ctr").as_deref(), Ok("aes256-ctr"));
        assert_eq!(resolve("3des*,aes256-ctr").as_deref(), Ok("aes256-ctr"), "a pattern stands for names of ssh, too");
        assert_eq!(resolve("+3des-cbc"), resolve("^aes128-gcm@openssh.com"));
        let alone = resolve("3des-cbc").unwrap_err();
        assert!(matches!(&alone, AlgorithmListError::Missing { name, .. } if name == "3des-cbc"), "{alone}");
        assert_eq!(resolve("ssh-dss,aes256-ctr"), Err(AlgorithmListError::Unknown("ssh-dss".into())), "another kind");
    }

    #[test]
    fn wildcards_are_those_of_ssh_config() {
        for (pattern, text, want) in
            [("*", "", true), ("a*c", "abbc", true), ("a?c", "abc", true), ("a?c", "ac", false), ("*.x", "a.y.x", true)]
        {
            assert_eq!(wildcard(pattern, text), want, "{pattern} {text}");
        }
    }
}
