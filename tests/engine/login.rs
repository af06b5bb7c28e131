//! One login to a server on loopback: a spec to fill in, and a dialer that does no more than connect.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::{Sshd, keys};
use tokio::net::TcpStream;
use tunnel_engine::dial::{Dialer, Dialing, Link};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::Session;
use tunnel_engine::spec::{Destination, IdentitySpec, SecretSource, SessionSpec};

/// A login to `server` that trusts its host key and has nothing to prove itself with yet.
pub(crate) fn to(server: &Sshd) -> SessionSpec {
    spec(server.port, &server.known_hosts, &keys::user())
}

pub(crate) fn spec(port: u16, known_hosts: &Path, user: &str) -> SessionSpec {
    let mut spec = SessionSpec::to(Destination { user: user.to_owned(), host: "127.0.0.1".to_owned(), port });
    spec.host_key.user_known_hosts = vec![known_hosts.to_owned()];
    spec.timing.connect_timeout = Duration::from_secs(30);
    spec.timing.server_alive_interval = Duration::ZERO;
    spec
}

pub(crate) fn identity(path: &Path) -> IdentitySpec {
    IdentitySpec { path: path.to_owned(), explicit: true }
}

pub(crate) fn identities(paths: &[&PathBuf]) -> Vec<IdentitySpec> {
    paths.iter().map(|path| identity(path)).collect()
}

/// A file with a secret in it.
pub(crate) fn secret(dir: &Path, name: &str, text: &str) -> Option<SecretSource> {
    let path = dir.join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    Some(SecretSource::File(path))
}

/// Logs in and out; how, or why not.
pub(crate) async fn login(spec: &SessionSpec) -> Result<String, Failure> {
    let (session, _incoming) = Session::open(spec, &Loopback).await?;
    let how = session.info().auth.clone();
    session.close().await;
    Ok(how)
}

/// A failure of this kind whose message and hint hold all these words.
#[track_caller]
pub(crate) fn assert_refused(result: Result<String, Failure>, kind: FailureKind, words: &[&str]) {
    let failure = result.expect_err("no login");
    let text = format!("{} / {}", failure.message(), failure.hint());
    assert_eq!(failure.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

/// Plain TCP.
pub(crate) struct Loopback;

impl Dialer for Loopback {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, _deadline: Instant) -> Dialing<'a> {
        Box::pin(async move {
            let address = (spec.destination.host.as_str(), spec.destination.port);
            let io = TcpStream::connect(address)
                .await
                .map_err(|error| Failure::new(FailureKind::ConnectRefused, error.to_string()))?;
            let (peer, local) = (io.peer_addr().ok(), io.local_addr().ok());
            Ok(Link { io: Box::new(io), peer, local, keep: None })
        })
    }
}
