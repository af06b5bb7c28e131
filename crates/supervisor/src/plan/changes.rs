//! The config keys that differ between two specs, for people who read a plan: by the table of keys.

use tunnel_engine::spec::{Route, SessionSpec};

use super::Tuning;
use crate::config::{Jump, ReloadEffect, SettingKey, TunnelSpec, tunnel_keys};

pub(super) fn session(old: &SessionSpec, new: &SessionSpec) -> Vec<&'static str> {
    let (from, to) = (&old.destination, &new.destination);
    let place = [
        ("host", from.host != to.host),
        ("port", from.port != to.port),
        ("user", from.user != to.user),
        (way(&old.dial.via, &new.dial.via), old.dial.via != new.dial.via),
    ];
    let place = place.into_iter().filter_map(|(key, differs)| differs.then_some(key));
    place.chain(differing(&mut around(old), &mut around(new), |key| key.jump != Jump::Never)).collect()
}

pub(super) fn tuning(old: &Tuning, new: &Tuning) -> Vec<&'static str> {
    let files = (old.0.ssh_config_files != new.0.ssh_config_files).then_some("ssh_config");
    differing(&mut old.0.clone(), &mut new.0.clone(), Tuning::has).chain(files).collect()
}

/// Do the two differ in nothing but what the next start reads?
pub(super) fn read_only_at_start(old: &SessionSpec, new: &SessionSpec) -> bool {
    let (mut from, mut to) = (around(new), around(old));
    tunnel_keys().filter(|key| key.reload == ReloadEffect::NextStart).for_each(|key| key.copy(&mut from, &mut to));
    to.session == from.session
}

/// What rows of the table can be asked about.
fn around(session: &SessionSpec) -> TunnelSpec {
    TunnelSpec::new(String::new(), session.clone())
}

fn differing<'a>(
    old: &'a mut TunnelSpec,
    new: &'a mut TunnelSpec,
    these: impl Fn(&SettingKey) -> bool + 'a,
) -> impl Iterator<Item = &'static str> + 'a {
    let differing = tunnel_keys().filter(move |key| these(key) && key.differs(old, new));
    differing.map(|key| key.name)
}

fn way(old: &Route, new: &Route) -> &'static str {
    match (old, new) {
        (_, Route::Jump(_)) | (Route::Jump(_), Route::Direct) => "proxy_jump",
        (_, Route::Command(_)) | (Route::Command(_), Route::Direct) => "proxy_command",
        (Route::Direct, Route::Direct) => "host",
    }
}
