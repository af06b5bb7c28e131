//! What a server is told before it starts: users, host keys, targets, sizes.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use russh::keys::{Certificate, PublicKey};

use super::keys::{DemoKey, KeyError};
use super::server::Server;
use super::targets::Target;

/// Pieces of one channel that wait for a target before the session stops reading (see the module's text): 512 MiB of
/// full packets, so that an echo whose client sends first and reads later does not wait for itself.
pub const MAX_UNREAD_MESSAGES: usize = 16 * 1024;

/// OpenSSH's receive window per channel.
pub(super) const DEFAULT_WINDOW: u32 = 2 * 1024 * 1024;

/// Makes a [`Server`]. Without a user every login is refused; without a host key an ed25519 key is made.
#[derive(Default)]
pub struct Builder {
    pub(super) users: HashMap<String, User>,
    pub(super) host_keys: Vec<DemoKey>,
    pub(super) host_certificates: Vec<Certificate>,
    pub(super) targets: HashMap<String, Target>,
    pub(super) window: Option<u32>,
    pub(super) software: Option<String>,
    pub(super) banner: Option<String>,
    pub(super) every_algorithm: bool,
    address: Option<SocketAddr>,
}

#[derive(Default, Clone)]
pub(super) struct User {
    pub(super) keys: Vec<PublicKey>,
    pub(super) authorities: Vec<PublicKey>,
    pub(super) password: Option<String>,
    pub(super) interactive: Option<String>,
    pub(super) nothing: bool,
}

impl Builder {
    /// `user` may log in with the private half of `public_key`, a line as in `authorized_keys`.
    pub fn accept_key(mut self, user: &str, public_key: &str) -> Result<Self, KeyError> {
        let key = PublicKey::from_openssh(public_key).map_err(KeyError::new)?;
        self.user(user).keys.push(key);
        Ok(self)
    }

    /// `user` may log in with a certificate that `public_key` signed and that names `user` as a principal.
    pub fn accept_authority(mut self, user: &str, public_key: &str) -> Result<Self, KeyError> {
        let key = PublicKey::from_openssh(public_key).map_err(KeyError::new)?;
        self.user(user).authorities.push(key);
        Ok(self)
    }

    /// `user` may log in with the method `password`.
    #[must_use]
    pub fn accept_password(mut self, user: &str, password: &str) -> Self {
        self.user(user).password = Some(password.to_owned());
        self
    }

    /// `user` may log in with the method `keyboard-interactive`: one prompt, for the password.
    #[must_use]
    pub fn accept_interactive(mut self, user: &str, password: &str) -> Self {
        self.user(user).interactive = Some(password.to_owned());
        self
    }

    /// `user` need not prove anything.
    #[must_use]
    pub fn accept_none(mut self, user: &str) -> Self {
        self.user(user).nothing = true;
        self
    }

    /// One more host key.
    #[must_use]
    pub fn host_key(mut self, key: DemoKey) -> Self {
        self.host_keys.push(key);
        self
    }

    /// A certificate for one of the host keys, as in a `-cert.pub` file.
    pub fn host_certificate(mut self, certificate: &str) -> Result<Self, KeyError> {
        self.host_certificates.push(Certificate::from_openssh(certificate).map_err(KeyError::new)?);
        Ok(self)
    }

    /// Channels to the host `name`, whatever the port, go to `target`.
    #[must_use]
    pub fn target(mut self, name: &str, target: Target) -> Self {
        self.targets.insert(name.to_owned(), target);
        self
    }

    /// Receive window per channel, in bytes; 2 MiB by default, as OpenSSH's.
    #[must_use]
    pub fn window(mut self, bytes: u32) -> Self {
        self.window = Some(bytes);
        self
    }

    /// The software in the identification string (RFC 4253 section 4.2); `tunneld-demo` by default.
    #[must_use]
    pub fn software(mut self, name: &str) -> Self {
        self.software = Some(name.to_owned());
        self
    }

    /// Text that clients are shown before they log in (RFC 4252 section 5.4).
    #[must_use]
    pub fn banner(mut self, text: &str) -> Self {
        self.banner = Some(text.to_owned());
        self
    }

    /// Offers each algorithm that there is, the old and broken ones, too.
    #[must_use]
    pub fn every_algorithm(mut self) -> Self {
        self.every_algorithm = true;
        self
    }

    /// Where to listen; port 0 of 127.0.0.1 by default. Only loopback.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Starts it on TCP. Its address is [`Server::address`].
    ///
    /// # Errors
    /// The address is taken, or not loopback; no random bytes for a host key.
    pub async fn start_tcp(self) -> io::Result<Server> {
        let address = self.address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        Server::start_tcp(self, address).await
    }

    /// Starts it in memory, reached by [`Server::dialer`]. Its targets and listeners are in memory too.
    ///
    /// # Errors
    /// No random bytes for a host key.
    pub fn start_memory(self) -> io::Result<Server> {
        Server::start_memory(self)
    }

    fn user(&mut self, name: &str) -> &mut User {
        self.users.entry(name.to_owned()).or_default()
    }
}
