//! What was negotiated, for status and logs.

use std::net::SocketAddr;

/// Facts about an authenticated session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The address that answered; `None` behind a jump host or a proxy command.
    pub peer: Option<SocketAddr>,
    /// Our own address on that connection.
    pub local: Option<SocketAddr>,
    /// The server's software, as its identification string says: `OpenSSH_9.2p1`.
    pub software: String,
    /// Key exchange method.
    pub kex: String,
    /// Name of the cipher.
    pub cipher: String,
    /// Host key: type and fingerprint, `ssh-ed25519 SHA256:…`.
    pub host_key: String,
    /// How we proved who we are: `publickey ~/.ssh/id_ed25519 SHA256:…`.
    pub auth: String,
}

impl SessionInfo {
    /// Whether the key exchange withstands a quantum computer: one of the hybrids of a post-quantum method (ML-KEM,
    /// Streamlined NTRU Prime) and an elliptic curve.
    pub fn is_post_quantum(&self) -> bool {
        ["mlkem", "sntrup"].iter().any(|method| self.kex.starts_with(method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hybrid_key_exchanges_are_post_quantum() {
        let of = |kex: &str| {
            let text = String::new;
            let (software, cipher, host_key, auth) = (text(), text(), text(), text());
            SessionInfo { peer: None, local: None, software, kex: kex.to_owned(), cipher, host_key, auth }
                .is_post_quantum()
        };
        assert!(of("mlkem768x25519-sha256") && of("sntrup761x25519-sha512@openssh.com"));
        assert!(!of("curve25519-sha256") && !of("diffie-hellman-group14-sha256"));
    }
}
