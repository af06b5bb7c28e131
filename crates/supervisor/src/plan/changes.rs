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
        (way(&old.dial.via, &new.dial.via), route_differs(old, new)),
    ];
    let place = place.into_iter().filter_map(|(key, differs)| differs.then_some(key));
    let first_hop =
        |key: &SettingKey| key.jump == Jump::FirstHop && hops(old, new).any(|(old, new)| differs(key, old, new));
    let these = |key: &SettingKey| key.jump != Jump::Never && (differs(key, old, new) || first_hop(key));
    place.chain(tunnel_keys().filter(|key| these(key)).map(|key| key.name)).collect()
}

/// Does the way to the server differ in more than what its jump hosts take over from the tunnel, whose keys are named?
fn route_differs(old: &SessionSpec, new: &SessionSpec) -> bool {
    let (mut from, mut to) = (&old.dial.via, &new.dial.via);
    while let (Route::Jump(one), Route::Jump(other)) = (from, to) {
        let own = |key: &SettingKey| differs(key, one, other) && key.jump != Jump::FirstHop && !differs(key, old, new);
        if one.destination != other.destination || tunnel_keys().any(own) {
            return true;
        }
        (from, to) = (&one.dial.via, &other.dial.via);
    }
    from != to
}

/// The jump hosts of both ways, in pairs, from the server on.
fn hops<'a>(old: &'a SessionSpec, new: &'a SessionSpec) -> impl Iterator<Item = (&'a SessionSpec, &'a SessionSpec)> {
    std::iter::successors(Some((old, new)), |(old, new)| match (&old.dial.via, &new.dial.via) {
        (Route::Jump(old), Route::Jump(new)) => Some((&**old, &**new)),
        _ => None,
    })
    .skip(1)
}

fn differs(key: &SettingKey, old: &SessionSpec, new: &SessionSpec) -> bool {
    key.differs(&mut around(old), &mut around(new))
}

pub(super) fn tuning(old: &Tuning, new: &Tuning) -> Vec<&'static str> {
    let files = (old.0.ssh_config_files != new.0.ssh_config_files).then_some("ssh_config");
    differing(&mut old.0.clone(), &mut new.0.clone(), Tuning::has).chain(files).collect()
}

/// Do the two, and their jump hosts, differ in nothing but what the next start reads?
pub(super) fn read_only_at_start(old: &SessionSpec, new: &SessionSpec) -> bool {
    let same_way = match (&old.dial.via, &new.dial.via) {
        (Route::Jump(old), Route::Jump(new)) => read_only_at_start(old, new),
        (old, new) => old == new,
    };
    let (mut from, mut to) = (around(new), around(old));
    tunnel_keys().filter(|key| key.reload == ReloadEffect::NextStart).for_each(|key| key.copy(&mut from, &mut to));
    to.session.dial.via = from.session.dial.via.clone();
    same_way && to.session == from.session
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
