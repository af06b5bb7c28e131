//! From the steps of one login to checks: pure.

use std::net::SocketAddr;

use tunnel_engine::examine::{AlgorithmOffer, Common, LoginStep, Noted};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::is_post_quantum;
use tunnel_engine::spec::{Route, SessionSpec};

use super::check::{AUTH, BANNER, CONNECT, Check, HOST_KEY, JUMP, KEY_EXCHANGE, PROXY_COMMAND, RESOLVE};
use super::{auth, host_key};
use crate::spec::on_route;

/// Names of algorithms listed beside the one that is used.
const MAX_ALSO: usize = 4;

/// Failures that are about the host key, whenever they come.
const HOST_KEY_KINDS: [FailureKind; 4] = [
    FailureKind::HostKeyUnknown,
    FailureKind::HostKeyChanged,
    FailureKind::HostKeyRevoked,
    FailureKind::KnownHostsCommandFailed,
];

/// Failures that only a server has that was reached, whichever way.
const BANNER_KINDS: [FailureKind; 4] =
    [FailureKind::ServerBusy, FailureKind::Penalized, FailureKind::ClosedByServer, FailureKind::Protocol];

/// One login and what is known of it.
pub(super) struct LoginReport<'a> {
    pub(super) spec: &'a SessionSpec,
    pub(super) steps: &'a [Noted],
    pub(super) failure: Option<&'a Failure>,
    /// Addresses that it did not need, each tried by itself.
    pub(super) others: &'a [(SocketAddr, Result<(), String>)],
}

/// The servers that are logged in to, in order: jump hosts first.
pub(super) fn route(spec: &SessionSpec) -> Vec<&SessionSpec> {
    let mut route: Vec<_> = on_route(spec).collect();
    route.reverse();
    route
}

/// Every step at every server of the route.
pub(super) fn checks(login: &LoginReport<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut stopped_at = None;
    for spec in route(login.spec) {
        let name = spec.destination.host_port();
        if let Some(before) = &stopped_at {
            checks.push(Check::skip(JUMP, name, format!("not reached: the login at `{before}` before it failed")));
            continue;
        }
        let of_server = login.steps.iter().filter(|noted| noted.server == name);
        let stop = RouteStop { spec, name: &name, steps: of_server.map(|noted| &noted.step).collect(), login };
        checks.extend(stop.checks());
        if !stop.steps.contains(&&LoginStep::LoggedIn) {
            stopped_at = Some(name);
        }
    }
    checks
}

/// The stages of a login at one server, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LoginStage {
    Resolve,
    Way,
    Banner,
    KeyExchange,
    HostKey,
    Auth,
}

/// One server of the route.
struct RouteStop<'a> {
    spec: &'a SessionSpec,
    name: &'a str,
    steps: Vec<&'a LoginStep>,
    login: &'a LoginReport<'a>,
}

impl<'a> RouteStop<'a> {
    fn checks(&self) -> Vec<Check> {
        let failed_at =
            if self.steps.contains(&&LoginStep::LoggedIn) { None } else { self.login.failure.map(|_| self.stage()) };
        let mut checks = Vec::new();
        for (stage, of_stage) in [
            (LoginStage::Resolve, self.resolved()),
            (LoginStage::Way, self.way(failed_at)),
            (LoginStage::Banner, self.banner()),
            (LoginStage::KeyExchange, self.key_exchange()),
            (LoginStage::HostKey, host_key::checks(self.name, &self.steps)),
            (LoginStage::Auth, auth::checks(self.spec, &self.steps, self.login.failure)),
        ] {
            checks.extend(of_stage);
            if failed_at == Some(stage) {
                checks.extend(self.login.failure.map(|failure| self.failed(stage, failure)));
                checks.extend(not_reached(stage, self.name));
                break;
            }
        }
        checks
    }

    /// How far the failed login came: the kind says it where it can, else the first step that is missing.
    fn stage(&self) -> LoginStage {
        let kind = self.login.failure.map_or(FailureKind::ConnectionLost, Failure::kind);
        let has = |wanted: fn(&LoginStep) -> bool| self.steps.iter().any(|step| wanted(step));
        let presented = has(|step| matches!(step, LoginStep::HostKey { .. }));
        if HOST_KEY_KINDS.contains(&kind) {
            LoginStage::HostKey
        } else if kind == FailureKind::NoCommonAlgorithm && !presented {
            LoginStage::KeyExchange
        } else if kind == FailureKind::Dns
            || (self.spec.dial.via == Route::Direct && !has(|step| matches!(step, LoginStep::Resolved(_))))
        {
            LoginStage::Resolve
        } else if has(|step| matches!(step, LoginStep::Believed)) {
            LoginStage::Auth
        } else if presented {
            LoginStage::HostKey
        } else if has(|step| matches!(step, LoginStep::Identified { .. })) {
            LoginStage::KeyExchange
        } else if has(|step| matches!(step, LoginStep::Tried(_, None))) || BANNER_KINDS.contains(&kind) {
            LoginStage::Banner
        } else {
            LoginStage::Way
        }
    }

    fn failed(&self, stage: LoginStage, failure: &Failure) -> Check {
        let name = match (stage, &self.spec.dial.via) {
            (LoginStage::Resolve, _) => RESOLVE,
            (LoginStage::Way, Route::Direct) => CONNECT,
            (LoginStage::Way, Route::Jump(_)) => JUMP,
            (LoginStage::Way, Route::Command(_)) => PROXY_COMMAND,
            (LoginStage::Banner, _) => BANNER,
            (LoginStage::KeyExchange, _) => KEY_EXCHANGE,
            (LoginStage::HostKey, _) => HOST_KEY,
            (LoginStage::Auth, _) => AUTH,
        };
        let hint = match stage {
            LoginStage::Resolve => format!("{}: `getent ahosts {}`", failure.hint(), self.spec.destination.host),
            LoginStage::Way if failure.kind() == FailureKind::ConnectTimeout => format!(
                "packets are dropped on the way, most often by a firewall: allow TCP port {} to it there; look with `traceroute -T -p {} {}`",
                self.spec.destination.port, self.spec.destination.port, self.spec.destination.host
            ),
            LoginStage::Auth => auth::action(self.spec, &self.steps, failure),
            LoginStage::Way | LoginStage::Banner | LoginStage::KeyExchange | LoginStage::HostKey => {
                failure.hint().to_owned()
            }
        };
        Check::fail(name, self.name, failure.message(), hint)
    }

    fn resolved(&self) -> Vec<Check> {
        let resolved = self.steps.iter().find_map(|step| {
            let LoginStep::Resolved(addresses) = step else { return None };
            let named: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            Some(Check::pass(RESOLVE, &self.spec.destination.host, named.join(", ")))
        });
        resolved.into_iter().collect()
    }

    /// Each address; or the jump host or command that leads there.
    fn way(&self, failed_at: Option<LoginStage>) -> Vec<Check> {
        let reached = failed_at.is_none_or(|stage| stage > LoginStage::Way);
        match &self.spec.dial.via {
            Route::Direct => self.addresses(),
            Route::Jump(jump) if reached => {
                vec![Check::pass(JUMP, self.name, format!("reached from `{}`", jump.destination.host_port()))]
            }
            Route::Command(command) if reached => {
                vec![Check::pass(PROXY_COMMAND, self.name, format!("reached by `{command}`"))]
            }
            Route::Jump(_) | Route::Command(_) => Vec::new(),
        }
    }

    /// An address that does not answer is of no consequence where another one does: starts try all of them.
    fn addresses(&self) -> Vec<Check> {
        let tried = self.steps.iter().filter_map(|step| {
            let LoginStep::Tried(address, error) = step else { return None };
            Some((*address, error.clone()))
        });
        let first = route(self.login.spec).first().is_some_and(|first| first.destination == self.spec.destination);
        let others = self.login.others.iter().filter(|_| first);
        let others = others.map(|(address, tried)| (*address, tried.clone().err()));
        let all: Vec<_> = tried.chain(others).collect();
        let answered = all.iter().find(|(_, error)| error.is_none()).map(|(address, _)| *address);
        let one = |(address, error): &(SocketAddr, Option<String>)| match (error, answered) {
            (None, _) => Check::pass(CONNECT, address.to_string(), "it answers"),
            (Some(error), Some(other)) => {
                let family = if other.is_ipv4() { "inet" } else { "inet6" };
                let message = format!("{error}; `{other}` answers, and is used");
                let mut check = Check::skip(CONNECT, address.to_string(), message);
                if other.is_ipv4() != address.is_ipv4() {
                    check.action = Some(format!(
                        "mend the route or the name's address; until then address_family = \"{family}\" spares each start the detour"
                    ));
                }
                check
            }
            (Some(error), None) => {
                let action = "check that sshd runs there, the port, the route and the firewall";
                Check::fail(CONNECT, address.to_string(), error, action)
            }
        };
        all.iter().map(one).collect()
    }

    fn banner(&self) -> Vec<Check> {
        let banner = self.steps.iter().find_map(|step| {
            let LoginStep::Identified { software, before } = step else { return None };
            let before = if before.is_empty() { String::new() } else { format!("; before it: `{before}`") };
            Some(Check::pass(BANNER, self.name, format!("{software}{before}")))
        });
        banner.into_iter().collect()
    }

    fn key_exchange(&self) -> Vec<Check> {
        let offers = self.steps.iter().find_map(|step| {
            let LoginStep::Offers { ours, theirs: Some(theirs) } = step else { return None };
            Some((ours, theirs))
        });
        let Some((ours, theirs)): Option<(&AlgorithmOffer, &AlgorithmOffer)> = offers else { return Vec::new() };
        ours.in_common(theirs).iter().map(|common| self.common(common)).collect()
    }

    fn common(&self, common: &Common<'_>) -> Check {
        let subject = format!("{} with {}", common.kind, self.name);
        if !common.needed {
            let message = "not needed beside this cipher, which protects what it encrypts";
            return Check::pass(KEY_EXCHANGE, subject, message);
        }
        let Some((first, rest)) = common.both.split_first() else {
            let (ours, theirs) = (common.ours.join(","), common.theirs.join(","));
            let message = format!("nothing in common: we offer `{ours}`, it offers `{theirs}`");
            let add = || format!("add one of the server's to {} (`\"+NAME\"`)", common.key);
            let hint = self.login.failure.map_or_else(add, |failure| failure.hint().to_owned());
            return Check::fail(KEY_EXCHANGE, subject, message, hint);
        };
        let quantum = if is_post_quantum(first) { " (post-quantum)" } else { "" };
        let also = match rest {
            [] => String::new(),
            rest if rest.len() <= MAX_ALSO => format!("; also in common: {}", rest.join(", ")),
            rest => format!("; also in common: {} and {} more", rest[..MAX_ALSO].join(", "), rest.len() - MAX_ALSO),
        };
        Check::pass(KEY_EXCHANGE, subject, format!("{first}{quantum}{also}"))
    }
}

/// The rest of the stages at this server.
fn not_reached(failed_at: LoginStage, server: &str) -> Option<Check> {
    let rest: Vec<&str> = [
        (LoginStage::Banner, "banner"),
        (LoginStage::KeyExchange, "key exchange"),
        (LoginStage::HostKey, "host key"),
        (LoginStage::Auth, "authentication"),
    ]
    .into_iter()
    .filter_map(|(stage, name)| (stage > failed_at).then_some(name))
    .collect();
    (!rest.is_empty()).then(|| Check::skip(AUTH, server, format!("not reached: {}", rest.join(", "))))
}
