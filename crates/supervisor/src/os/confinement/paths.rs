//! The paths that a config names. Pure.

use std::path::{Path, PathBuf};

use tunnel_engine::spec::{
    HostKeySpec, Listen, Route, SecretSource, SessionSpec, Side, StrictHostKeyChecking, UpdateHostKeys,
};

use crate::config::{Desired, Global, TunnelSpec, folder_of};

/// Where network devices are opened.
const DEVICES: &str = "/dev/net/tun";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Reading files and listing folders.
    Read,
    /// And making, writing, renaming and removing files, folders and sockets.
    Write,
    /// And controlling a device: for the device alone.
    Control,
}

impl Access {
    /// As the log says it.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Control => "control",
        }
    }
}

/// A path of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPath {
    pub(super) path: PathBuf,
    pub(super) access: Access,
    /// It is a folder itself; else it is reached through its folder.
    pub(super) is_folder: bool,
    pub(super) by: String,
}

impl NamedPath {
    pub(super) fn file(path: &Path, access: Access, by: &str) -> Self {
        Self { path: path.to_owned(), access, is_folder: false, by: by.to_owned() }
    }

    pub(super) fn folder(path: &Path, access: Access, by: &str) -> Self {
        Self { is_folder: true, ..Self::file(path, access, by) }
    }
}

/// Every path that the daemon opens because of its config; tunnels that are disabled may be started later.
pub(super) fn paths(desired: &Desired) -> Vec<NamedPath> {
    let mut named = of_global(&desired.global);
    for tunnel in &desired.tunnels {
        let by = format!("tunnel `{}`", tunnel.name);
        named.extend(of_tunnel(tunnel, &by));
        for server in tunnel.servers() {
            named.extend(of_session(server, &by));
        }
    }
    named
}

fn of_global(global: &Global) -> Vec<NamedPath> {
    let file = |path: &Path, access| NamedPath::file(path, access, "the daemon");
    let mut named = vec![file(&global.config, Access::Read), file(&global.control_socket, Access::Write)];
    named.extend(global.pid_file.as_deref().map(|path| file(path, Access::Write)));
    named.extend(
        global.state_directory.as_deref().map(|path| NamedPath::folder(path, Access::Write, "state_directory")),
    );
    if let Some(Listen::Unix(path)) = &global.metrics {
        named.push(NamedPath::file(path, Access::Write, "[metrics]"));
    }
    named.extend(global.reading.includes.iter().map(|include| {
        let plain = folder_of(&include.pattern);
        match plain == include.pattern {
            true => NamedPath::file(&plain, Access::Read, "include"),
            false => NamedPath::folder(&plain, Access::Read, "include"),
        }
    }));
    named
}

fn of_tunnel(tunnel: &TunnelSpec, by: &str) -> Vec<NamedPath> {
    let mut named: Vec<_> =
        tunnel.ssh_config_files.iter().map(|path| NamedPath::file(path, Access::Read, by)).collect();
    for forward in tunnel.forwards.iter().filter(|forward| forward.kind.side() == Side::Here) {
        match &forward.listen {
            Listen::Unix(path) => named.push(NamedPath::file(path, Access::Write, by)),
            Listen::Device { .. } => named.push(NamedPath::file(Path::new(DEVICES), Access::Control, by)),
            Listen::Tcp { .. } => {}
        }
    }
    named
}

/// And of the jump hosts before it. Beside a key stand its `.pub` and its certificate.
fn of_session(session: &SessionSpec, by: &str) -> Vec<NamedPath> {
    let auth = &session.auth;
    let secrets = [&auth.password, &auth.passphrase].into_iter().flatten().filter_map(|secret| match secret {
        SecretSource::File(path) => Some(path),
        SecretSource::Ask(_) => None,
    });
    let keys = auth.identities.iter().map(|identity| &identity.path);
    let host_key = &session.host_key;
    let read =
        keys.chain(&auth.certificates).chain(secrets).chain(&host_key.global_known_hosts).chain(&host_key.revoked);
    let mut named: Vec<_> = read.map(|path| NamedPath::file(path, Access::Read, by)).collect();
    let access = if learns(host_key) { Access::Write } else { Access::Read };
    named.extend(host_key.user_known_hosts.iter().map(|path| NamedPath::file(path, access, by)));
    if let Route::Jump(jump) = &session.dial.via {
        named.extend(of_session(jump, by));
    }
    named
}

/// Whether known_hosts is written.
fn learns(host_key: &HostKeySpec) -> bool {
    host_key.strict != StrictHostKeyChecking::Yes || host_key.update != UpdateHostKeys::No
}
