//! What a login that took too long says: how far it came tells what to look at. Pure.

use std::time::Duration;

use super::fault;
use crate::failure::{Failure, FailureKind};
use crate::spec::{Route, SessionSpec};
use crate::words;

/// Of a proxy command, in a hint.
const MAX_COMMAND: usize = 200;

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenPhase {
    Dial,
    Banner,
    KeyExchange,
    Authentication,
}

/// The failure of an attempt to open `spec` that was given up in `phase`, after `limit`.
pub(super) fn given_up(spec: &SessionSpec, phase: OpenPhase, limit: Duration) -> Failure {
    let during = match phase {
        OpenPhase::Dial => "connecting",
        OpenPhase::Banner => "waiting for its banner",
        OpenPhase::KeyExchange => "exchanging keys",
        OpenPhase::Authentication => "authenticating",
    };
    let (who, limit) = (spec.destination.host_port(), limit.as_secs_f64());
    let failure =
        Failure::new(FailureKind::ConnectTimeout, format!("gave up on `{who}` after {limit}s while {during}"));
    match (phase, &spec.dial.via) {
        (OpenPhase::Dial, Route::Direct) => failure.not_reached(),
        (OpenPhase::Dial, Route::Jump(_) | Route::Command(_)) => failure,
        (OpenPhase::Banner, Route::Command(command)) => {
            let command = fault::sanitised(command.as_bytes(), MAX_COMMAND);
            failure.with_told_hint(words::about(
                "the proxy_command runs and has brought nothing from the server: run `{}` by hand, it has to print a \
                 line that begins with `SSH-2.0-`",
                [&command],
            ))
        }
        (OpenPhase::Banner, Route::Direct | Route::Jump(_)) => failure.with_hint(
            "the port takes connections and says nothing: look whether an SSH server listens there, and whether it is \
             stuck or overloaded; raise connect_timeout if it is only slow",
        ),
        (OpenPhase::KeyExchange, _) => failure.with_hint(
            "the server has said its banner and nothing after it: large packets may get lost on the way (`ping -M do -s \
             1400` to it; a VPN or PPPoE needs a smaller MTU), or it is overloaded; raise connect_timeout if it is only slow",
        ),
        (OpenPhase::Authentication, _) => failure.with_hint(
            "the server is reached and takes its time over the login: look into its log (PAM, a directory, UseDNS), or raise \
             connect_timeout",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Destination;

    fn failure(phase: OpenPhase, via: Route) -> Failure {
        let mut spec = SessionSpec::to(Destination::parse("me@h", "me").unwrap());
        spec.dial.via = via;
        given_up(&spec, phase, Duration::from_secs(10))
    }

    #[test]
    fn hint_is_about_what_was_waited_for() {
        let command = || Route::Command("nc -X 5 h\n22".to_owned());
        for (phase, via, during, hint) in [
            (OpenPhase::Dial, Route::Direct, "connecting", "check the route"),
            (OpenPhase::Banner, Route::Direct, "waiting for its banner", "takes connections and says nothing"),
            (OpenPhase::Banner, command(), "waiting for its banner", "run `nc -X 5 h 22` by hand"),
            (OpenPhase::KeyExchange, command(), "exchanging keys", "MTU"),
            (OpenPhase::Authentication, Route::Direct, "authenticating", "PAM"),
        ] {
            let told = failure(phase, via);
            assert_eq!(told.message(), format!("gave up on `h:22` after 10s while {during}"));
            assert!(told.hint().contains(hint), "{}", told.hint());
            assert_eq!(told.hint().contains("route and the firewall"), phase == OpenPhase::Dial, "{}", told.hint());
        }
    }
}
