//! Each key and each method that was shown to a server, and what it made of it: pure.

use tunnel_engine::examine::{AuthAnswer, LoginStep};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::spec::SessionSpec;

use super::check::{AUTH, Check};

/// In the order in which they were shown; the last one says whether the user is in.
pub(super) fn checks(spec: &SessionSpec, steps: &[&LoginStep], failure: Option<&Failure>) -> Vec<Check> {
    let logged_in = steps.contains(&&LoginStep::LoggedIn);
    let mut checks: Vec<Check> =
        steps.iter().filter_map(|step| of(step)).map(|check| check.unless_needed(!logged_in)).collect();
    let user = spec.destination.to_string();
    if logged_in {
        let banner = steps.iter().rev().find_map(|step| {
            let LoginStep::Banner(text) = step else { return None };
            (!text.is_empty()).then(|| format!("; it says `{text}`"))
        });
        let methods = methods(steps).map(|methods| format!(" (the server takes {methods})")).unwrap_or_default();
        checks.push(Check::pass(AUTH, user, format!("logged in{methods}{}", banner.unwrap_or_default())));
    } else if let Some(methods) = methods(steps).filter(|_| failure.is_some()) {
        checks.push(Check::skip(AUTH, user, format!("the server takes {methods}")));
    }
    checks
}

/// What the server would take at first.
fn methods(steps: &[&LoginStep]) -> Option<String> {
    steps.iter().find_map(|step| {
        let LoginStep::Methods(methods) = step else { return None };
        Some(methods.join(", "))
    })
}

fn of(step: &LoginStep) -> Option<Check> {
    Some(match step {
        LoginStep::Shown { what, answer } => shown(what, answer),
        LoginStep::NotShown { source, kind, why, hint } => {
            let action = hint.clone().unwrap_or_else(|| kind.hint().to_owned());
            Check::fail(AUTH, source, format!("not offered: {why}"), action)
        }
        LoginStep::TooManyKeys(count) => Check::fail(
            AUTH,
            "further keys",
            format!("{count} more of the agent were not offered: most servers listen to six tries (MaxAuthTries)"),
            "name the right key in identity_file (its `.pub` will do), so that the agent's is offered first",
        ),
        LoginStep::NoAgent(why) => {
            Check::fail(AUTH, "agent", why, "start the agent, or set identity_agent to its socket or to \"none\"")
        }
        LoginStep::NoKeys => Check::fail(
            AUTH,
            "keys",
            "there is no key to offer: no identity file is there, and no agent has a key",
            "set identity_file, or make the agent's socket known with identity_agent",
        ),
        LoginStep::Resolved(_)
        | LoginStep::Tried(..)
        | LoginStep::Identified { .. }
        | LoginStep::Offers { .. }
        | LoginStep::HostKey { .. }
        | LoginStep::Believed
        | LoginStep::Banner(_)
        | LoginStep::Methods(_)
        | LoginStep::LoggedIn => return None,
    })
}

fn shown(what: &str, answer: &AuthAnswer) -> Check {
    match answer {
        AuthAnswer::Taken => Check::pass(AUTH, what, "offered, and taken"),
        AuthAnswer::TakenInPart => {
            Check::pass(AUTH, what, "offered, and taken; the server wants more (AuthenticationMethods)")
        }
        AuthAnswer::Refused => Check::fail(AUTH, what, "offered, and refused", "see the failure below"),
        AuthAnswer::Unsigned { wanted, kind, why, hint } => {
            let before = if *wanted { "the server would take it, but" } else { "not signed:" };
            let action = hint.clone().unwrap_or_else(|| kind.hint().to_owned());
            Check::fail(AUTH, what, format!("{before} {why}"), action)
        }
        AuthAnswer::Ended(why) => Check::fail(
            AUTH,
            what,
            format!("offered, and the server ended the session: {why}"),
            "see the failure below",
        ),
    }
}

/// What to do about a login that failed. A refused key has several causes that a server tells its own log only.
pub(super) fn action(spec: &SessionSpec, steps: &[&LoginStep], failure: &Failure) -> String {
    let is_refused_key = |step: &&LoginStep| matches!(step, LoginStep::Shown { what, answer: AuthAnswer::Refused } if what.contains("SHA256:"));
    let refused_key = steps.iter().any(is_refused_key);
    let own_hint = failure.hint() != FailureKind::AuthRejected.hint();
    if failure.kind() != FailureKind::AuthRejected || !refused_key || own_hint {
        return failure.hint().to_owned();
    }
    let (user, host, port) = (&spec.destination.user, &spec.destination.host, spec.destination.port);
    format!(
        "check that the user is `{user}` there (AllowUsers, a locked account), that the key is in ~{user}/.ssh/authorized_keys \
         (`ssh-copy-id -i KEY.pub -p {port} {user}@{host}`), and that no other user may write to it: sshd passes over it \
         otherwise (`chmod go-w ~{user} ~{user}/.ssh ~{user}/.ssh/authorized_keys`); the server's log knows which"
    )
}
