//! What one source sets: a table of TOML, the Host blocks for a host, the command line of ssh.

use std::collections::BTreeSet;

use tunnel_engine::spec::{Destination, Route, SessionSpec, UpdateHostKeys};

use super::{At, Jump, SettingKey, tunnel_keys};
use crate::spec::TunnelSpec;

/// The keys that are set, with their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    set: BTreeSet<&'static str>,
    /// A tunnel that has these values, and of the other keys the defaults.
    values: Box<TunnelSpec>,
    /// What `update_host_keys` is where it is not set: ssh's default is yes for its usual file of known hosts, tunneld's
    /// is no.
    pub(crate) updates_unasked: bool,
}

impl Default for Settings {
    /// Nothing is set.
    fn default() -> Self {
        Self { set: BTreeSet::new(), values: Box::new(defaults()), updates_unasked: false }
    }
}

fn defaults() -> TunnelSpec {
    let nowhere = Destination { user: String::new(), host: String::new(), port: Destination::DEFAULT_PORT };
    TunnelSpec::new(String::new(), SessionSpec::to(nowhere))
}

impl Settings {
    /// Sets the key of this name.
    pub(crate) fn set<T>(&mut self, name: &'static str, at: At<T>, value: T) {
        *at(&mut self.values) = value;
        self.set.insert(name);
    }

    /// Is the key of this name set?
    pub fn has(&self, name: &str) -> bool {
        debug_assert!(tunnel_keys().any(|key| key.name == name), "{name} is no key");
        self.set.contains(name)
    }

    /// A tunnel that has the value of the key of this name, where that is set.
    pub fn get(&self, name: &str) -> Option<&TunnelSpec> {
        self.has(name).then_some(&self.values)
    }

    /// A tunnel with these values, and the defaults of the program for all others.
    pub(crate) fn values(&self) -> &TunnelSpec {
        &self.values
    }

    /// Is the key set to something else than what holds without it?
    pub(crate) fn is_different(&self, key: &SettingKey) -> bool {
        self.has(key.name) && key.differs(&mut self.values.clone(), &mut defaults())
    }

    /// `update_host_keys`, set or not.
    pub fn updates(&self) -> UpdateHostKeys {
        let unasked = if self.updates_unasked { UpdateHostKeys::Yes } else { UpdateHostKeys::No };
        self.get("update_host_keys").map_or(unasked, |tunnel| tunnel.session.host_key.update)
    }

    /// These, and the weaker ones where these say nothing.
    #[must_use]
    pub fn or(mut self, mut weaker: Self) -> Self {
        // A file of the stronger one is not the usual one.
        self.updates_unasked |= weaker.updates_unasked && !self.has("user_known_hosts_file");
        for key in tunnel_keys().filter(|key| weaker.set.contains(key.name)) {
            if self.set.insert(key.name) {
                key.copy(&mut weaker.values, &mut self.values);
            }
        }
        self
    }

    /// What a jump host takes over that has no table of its own.
    #[must_use]
    pub(crate) fn of_jump_hosts(self) -> Self {
        self.retain(|key| matches!(key.jump, Jump::Inherited | Jump::FirstHop))
    }

    /// Those of these names alone.
    #[must_use]
    pub(crate) fn only(self, names: &[&str]) -> Self {
        Self { updates_unasked: false, ..self.retain(|key| names.contains(&key.name)) }
    }

    fn retain(mut self, keeps: impl Fn(&SettingKey) -> bool) -> Self {
        for key in tunnel_keys().filter(|key| !keeps(key)) {
            if self.set.remove(key.name) {
                key.copy(&mut defaults(), &mut self.values);
            }
        }
        self
    }

    /// The session of a tunnel that has the default of its account for what is not set here.
    pub(crate) fn session(mut self, mut usual: TunnelSpec, via: Route) -> SessionSpec {
        let update = self.updates();
        self.write_to(&mut usual);
        let mut session = usual.session;
        // A daemon can ask no user.
        session.host_key.update = if update == UpdateHostKeys::Yes { update } else { UpdateHostKeys::No };
        if via != Route::Direct {
            // Only what is dialled directly has a source address to choose.
            (session.dial.bind_address, session.dial.bind_interface) = (None, None);
        }
        session.dial.via = via;
        session
    }

    /// Writes what is set into a tunnel.
    pub(crate) fn write_to(&mut self, tunnel: &mut TunnelSpec) {
        for key in tunnel_keys().filter(|key| self.set.contains(key.name)) {
            key.copy(&mut self.values, tunnel);
        }
    }
}
