//! What is to be done after a first config was written: the commands, in order. Pure, but for a look at key files.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tunnel_engine::spec::{Destination, IdentitySpec, Route};

use crate::config::TunnelSpec;

/// What the next steps depend on.
pub(super) struct NextContext<'a> {
    /// The file that was written.
    pub(super) path: &'a Path,
    /// It is read when no config is named.
    pub(super) is_default: bool,
    pub(super) tunnel: &'a TunnelSpec,
    /// known_hosts has lines for the server.
    pub(super) host_known: bool,
    /// The packaged service runs it, as a user of its own.
    pub(super) service: bool,
    /// Of the account that runs it.
    pub(super) home: Option<PathBuf>,
}

/// A command, and what it is for.
type NextStep = (String, &'static str);

impl NextContext<'_> {
    pub(super) fn text(&self) -> String {
        let (tunnel, destination) = (self.tunnel, &self.tunnel.session.destination);
        let mut text = format!("wrote {}: tunnel `{}` to {destination}\n", self.path.display(), tunnel.name);
        for forward in &tunnel.forwards {
            let _ = writeln!(text, "  {} {forward}", forward.kind.option());
        }
        text.push_str("next:\n");
        let steps = self.steps();
        let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
        for (command, purpose) in steps {
            let _ = writeln!(text, "  {command:width$}  # {purpose}");
        }
        text
    }

    fn steps(&self) -> Vec<NextStep> {
        let name = &self.tunnel.name;
        // The service's home and key are its own.
        let as_service = if self.service { "runuser -u tunneld -- " } else { "" };
        let config = if self.is_default { String::new() } else { format!(" --config {}", self.path.display()) };
        let mut steps = Vec::new();
        if let Some(key) = self.missing_key() {
            let command = format!("{as_service}ssh-keygen -t ed25519 -N '' -f {}", key.display());
            steps.push((command, "there is no such key yet"));
        }
        if !self.host_known {
            let command = format!("{as_service}tunneld trust {}{config}", typed(&self.tunnel.session.destination));
            steps.push((command, "no known_hosts file has the server's key"));
        }
        let command = format!("{as_service}tunneld authorize {name}{config}");
        steps.push((command, "the line for the server, unless it lets the key in already"));
        if self.service {
            steps.push(("systemctl enable --now tunneld".to_owned(), "runs it, now and at every boot"));
        } else {
            steps.push((format!("tunneld{config}"), "runs it in the foreground"));
        }
        steps.push((format!("tunneld wait {name}{config}"), "silent when the tunnel is ready, else says why not"));
        steps
    }

    /// The key to make: where no key file that is named or usual is there.
    fn missing_key(&self) -> Option<PathBuf> {
        let identities = &self.tunnel.session.auth.identities;
        let named = identities.iter().find(|identity| identity.explicit);
        if identities.iter().any(|identity| identity.path.exists())
            || !matches!(self.tunnel.session.dial.via, Route::Direct)
        {
            return None;
        }
        match named {
            Some(IdentitySpec { path, .. }) => Some(path.clone()),
            None => self.home.as_ref().map(|home| home.join(".ssh/id_ed25519")),
        }
    }
}

/// As short as it can be typed.
fn typed(destination: &Destination) -> String {
    let text = destination.host_port();
    text.strip_suffix(&format!(":{}", Destination::DEFAULT_PORT)).map_or(text.clone(), str::to_owned)
}
