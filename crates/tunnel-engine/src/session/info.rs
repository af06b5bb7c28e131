//! What was negotiated, for status and logs.

use std::net::SocketAddr;

use crate::link::JumpHostInfo;

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
    /// The jump hosts on the way, the first one first.
    pub jump_hosts: Vec<JumpHostInfo>,
}

/// Whether this key exchange method withstands a quantum computer: one of the hybrids of a post-quantum method (ML-KEM,
/// Streamlined NTRU Prime) and an elliptic curve.
pub fn is_post_quantum(kex: &str) -> bool {
    ["mlkem", "sntrup"].iter().any(|method| kex.starts_with(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hybrid_key_exchanges_are_post_quantum() {
        assert!(is_post_quantum("mlkem768x25519-sha256") && is_post_quantum("sntrup761x25519-sha512@openssh.com"));
        assert!(!is_post_quantum("curve25519-sha256") && !is_post_quantum("diffie-hellman-group14-sha256"));
    }
}
