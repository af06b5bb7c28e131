//! The engine's own server, of russh, with every algorithm that it has.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tunnel_engine::demo_server::{DemoKey, Server};

use crate::{keys, python_server};

/// A running server; dropping it ends it.
pub struct InProcess {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A private key that it lets in.
    pub user_key: PathBuf,
    /// A known_hosts file with its host keys.
    pub known_hosts: PathBuf,
    _server: Server,
    _runtime: Runtime,
    _dir: TempDir,
}

impl InProcess {
    /// Starts it.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let user_key = keys::generate(dir.path(), "user_key", &[]);
        let (known_hosts, host_keys) = python_server::host_keys(dir.path());
        let builder = Server::builder().every_algorithm().accept_key(&keys::user(), &keys::public(&user_key));
        let builder = host_keys.iter().fold(builder.expect("the user's key"), |builder, path| {
            let text = std::fs::read_to_string(path).expect("a host key");
            builder.host_key(DemoKey::from_openssh(&text).expect("a host key of OpenSSH"))
        });
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(builder.start_tcp()).expect("a server");
        let port = server.address().expect("a TCP server").port();
        std::fs::write(&known_hosts, server.known_hosts("127.0.0.1", port).expect("its keys")).expect("known_hosts");
        Self { port, user_key, known_hosts, _server: server, _runtime: runtime, _dir: dir }
    }
}
