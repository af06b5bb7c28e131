//! From what was asked about each forward to checks: pure.

use tunnel_engine::failure::FailureKind;
use tunnel_engine::forward::{ProbeFailure, ProbeFailureKind, ProbeResult};
use tunnel_engine::spec::{Connect, Forward, ForwardKind, Listen, SessionSpec};

use super::check::{Check, LISTEN, TAKEOVER, TARGET};
use super::daemon::DaemonForward;
use super::forward_results::{ForwardResults, ListenResult};
use super::refused::{self, LoginContext};
use crate::config::TunnelSpec;
use crate::lifecycle::ForwardPhase;
use crate::tunnel::shown;

/// What the proof of a remote forward says when the server listens on another address than the one asked for, and no
/// other note of a forward that is up.
const OTHER_ADDRESS: &str = "GatewayPorts";

const NO_SESSION: &str = "not asked: there is no session";

/// Two for each forward: may it listen, may it connect.
pub(super) fn checks(spec: &TunnelSpec, server: &SessionSpec, facts: &ForwardResults) -> Vec<Check> {
    let granted = facts.forwards.iter().any(|fact| matches!(fact.listen, Some(ListenResult::Granted { .. })));
    let mut checks = Vec::new();
    for (forward, fact) in spec.forwards.iter().zip(&facts.forwards) {
        let setting = LoginContext {
            user: &server.destination.user,
            may_connect: facts.may_connect,
            may_listen: granted.then_some(true),
        };
        let subject = subject(forward);
        checks.push(match &fact.listen {
            Some(listening) => listen(forward, listening, &subject, &setting),
            None => Check::skip(LISTEN, subject.clone(), skipped(facts)),
        });
        if forward.kind == ForwardKind::TunnelDevice {
            checks.push(match &fact.device {
                Some(Ok(())) => Check::pass(TARGET, subject, "the server opens its device"),
                Some(Err(failure)) => Check::fail(TARGET, subject, failure.message(), failure.hint()),
                None => Check::skip(TARGET, subject, skipped(facts)),
            });
            continue;
        }
        checks.push(match &fact.target {
            Some(finding) => target(forward, finding, &subject, &setting),
            None if forward.connect == Connect::Socks && forward.kind == ForwardKind::Remote => {
                Check::skip(TARGET, subject, "a SOCKS peer names the target")
            }
            None => Check::skip(TARGET, subject, skipped(facts)),
        });
    }
    checks.extend(facts.shell.as_ref().map(|shell| match shell {
        Ok(()) => Check::pass(
            TAKEOVER,
            server.destination.to_string(),
            "the login has a shell that can look for an earlier session",
        ),
        Err(why) => Check::fail(
            TAKEOVER,
            server.destination.to_string(),
            format!("on_remote_port_busy = \"takeover\" has no shell to work with: {why}"),
            "give the login a POSIX shell without ForceCommand or command=, or set on_remote_port_busy = \"retry\"",
        ),
    }));
    checks
}

const fn skipped(facts: &ForwardResults) -> &'static str {
    if facts.unfinished { "not asked: time was up" } else { NO_SESSION }
}

/// As ssh's option takes it.
fn subject(forward: &Forward) -> String {
    let option = forward.kind.option();
    format!("{option} {forward}")
}

fn listen(forward: &Forward, listening: &ListenResult, subject: &str, setting: &LoginContext<'_>) -> Check {
    match listening {
        ListenResult::Held(held) => held_by_daemon(held, forward.kind, subject),
        ListenResult::Free(words) => Check::pass(LISTEN, subject, words),
        ListenResult::Taken(failure) => {
            let action = if failure.kind() == FailureKind::ListenInUse {
                format!("{}; `ss -lptn` shows who listens", failure.hint())
            } else {
                failure.hint().to_owned()
            };
            Check::fail(LISTEN, subject, failure.message(), action)
        }
        ListenResult::Granted { port, reached, outside } => granted(forward, *port, reached, outside.as_ref(), subject),
        ListenResult::Refused(refusal) => {
            let (why, action) = refused::listen(&forward.listen, refusal, setting);
            Check::fail(LISTEN, subject, format!("{}: {why}", refusal.error), action)
        }
        ListenResult::NotAsked(why) => Check::skip(LISTEN, subject, format!("not asked: {why}")),
        ListenResult::Stale => {
            Check::pass(LISTEN, subject, "a stale socket file is there, which the tunnel's takeover removes")
        }
        ListenResult::Silent(why) => Check::fail(LISTEN, subject, why, "look into the server's log, and try again"),
    }
}

fn held_by_daemon(held: &DaemonForward, kind: ForwardKind, subject: &str) -> Check {
    let DaemonForward { pid, state, message, .. } = held;
    let whose = match kind {
        ForwardKind::Remote => format!("held by this tunnel's own session (the daemon, pid {pid})"),
        ForwardKind::Local | ForwardKind::Dynamic | ForwardKind::TunnelDevice => {
            format!("held by this tunnel itself (the daemon, pid {pid})")
        }
    };
    match (kind, state.known()) {
        (ForwardKind::Local | ForwardKind::Dynamic | ForwardKind::TunnelDevice, _) if held.cannot_listen() => {
            let message = message.as_deref().unwrap_or("it gave no reason");
            Check::fail(
                LISTEN,
                subject,
                format!("the daemon (pid {pid}) does not listen on all of it: {message}"),
                "`ss -lptn` shows who listens; the daemon binds the rest as soon as it is free",
            )
        }
        (ForwardKind::Local | ForwardKind::Dynamic | ForwardKind::TunnelDevice, _) => {
            Check::pass(LISTEN, subject, whose)
        }
        (ForwardKind::Remote, Some(ForwardPhase::Up | ForwardPhase::Unverified)) => match message {
            Some(note) if note.contains(OTHER_ADDRESS) => not_as_asked(&format!("{whose}, but {note}"), subject),
            Some(note) => Check::pass(LISTEN, subject, format!("{whose}; {note}")),
            None => Check::pass(LISTEN, subject, whose),
        },
        (ForwardKind::Remote, Some(ForwardPhase::Pending)) if message.is_none() => {
            Check::skip(LISTEN, subject, format!("the daemon (pid {pid}) has a session, and asks for it now"))
        }
        (ForwardKind::Remote, _) => {
            let message = message.as_deref().unwrap_or("it gave no reason");
            let action =
                "see `tunneld why` for what the daemon does about it; stop the tunnel to have its port examined here";
            Check::fail(
                LISTEN,
                subject,
                format!("the daemon (pid {pid}) has a session, and the forward is {state}: {message}"),
                action,
            )
        }
    }
}

fn granted(
    forward: &Forward,
    port: Option<u16>,
    reached: &ProbeResult,
    outside: Option<&ProbeResult>,
    subject: &str,
) -> Check {
    let at = match (&forward.listen, port) {
        (Listen::Tcp { port: 0, .. }, Some(port)) => format!("on port {port}, which the server chose this time"),
        (listen, _) => format!("on {}", shown(listen)),
    };
    if let (ProbeResult::Up(_), Some(ProbeResult::Down(ProbeFailure { words, .. }))) = (reached, outside) {
        return Check::fail(
            LISTEN,
            subject,
            format!("the server listens on its loopback only, although all addresses are asked for ({words})"),
            "set `GatewayPorts clientspecified` (or `yes`) in the server's sshd_config and reload sshd, or listen on \
             localhost here",
        );
    }
    match reached {
        ProbeResult::Up(None) => Check::pass(LISTEN, subject, format!("the server listens {at}, and leads back here")),
        ProbeResult::Up(Some(note)) => not_as_asked(&format!("the server listens, but not as asked: {note}"), subject),
        ProbeResult::Down(ProbeFailure { words, .. }) | ProbeResult::Stale(words) => {
            let action = "look what else listens there (`ss -lptn` on the server), or choose another port";
            Check::fail(LISTEN, subject, format!("the server said that it listens {at}, but: {words}"), action)
        }
        ProbeResult::Unverified(words) => Check::pass(LISTEN, subject, format!("the server listens {at}; it {words}")),
        ProbeResult::Nothing => Check::pass(LISTEN, subject, format!("the server listens {at}; nothing more is known")),
    }
}

fn not_as_asked(message: &str, subject: &str) -> Check {
    let action = "set `GatewayPorts clientspecified` in the server's sshd_config and reload sshd";
    Check::fail(LISTEN, subject, message, action)
}

fn target(forward: &Forward, finding: &ProbeResult, subject: &str, setting: &LoginContext<'_>) -> Check {
    let here = forward.kind == ForwardKind::Remote;
    match finding {
        ProbeResult::Up(_) if forward.kind == ForwardKind::Dynamic => {
            Check::pass(TARGET, subject, "the login may connect from the server")
        }
        ProbeResult::Up(_) => Check::pass(TARGET, subject, format!("{} takes connections", forward.connect)),
        ProbeResult::Down(ProbeFailure { cause: ProbeFailureKind::Refused, .. })
            if forward.kind == ForwardKind::Dynamic =>
        {
            Check::pass(TARGET, subject, "the login may connect from the server; the target is what a SOCKS peer names")
        }
        ProbeResult::Down(ProbeFailure { cause, words }) => {
            Check::fail(TARGET, subject, words, refused::target(&forward.connect, *cause, words, here, setting))
        }
        ProbeResult::Stale(words) | ProbeResult::Unverified(words) => Check::skip(TARGET, subject, words),
        ProbeResult::Nothing => Check::skip(TARGET, subject, "the session did not answer"),
    }
}
