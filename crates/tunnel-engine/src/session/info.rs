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
    /// Cipher.
    pub cipher: String,
    /// Host key: type and fingerprint, `ssh-ed25519 SHA256:…`.
    pub host_key: String,
    /// How we proved who we are: `publickey ~/.ssh/id_ed25519 SHA256:…`.
    pub auth: String,
}
