//! Where to: `[user@]host`, or a URI with a port.

use tunnel_engine::spec::port_or_service;

/// The parts of the word, as typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TypedDestination<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) port: Option<&'a str>,
}

impl<'a> TypedDestination<'a> {
    /// `None` where ssh would refuse it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (user, host, port) = match text.strip_prefix("ssh://") {
            Some(rest) => uri(rest.trim_end_matches('/')),
            None => match text.rsplit_once('@') {
                Some((user, host)) => (Some(user), host, None),
                None => (None, text, None),
            },
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}".contains(c);
        let user_is_odd = user.is_some_and(|user| user.is_empty() || user.starts_with('-'));
        let port_is_odd = port.is_some_and(|port| port_or_service(port).unwrap_or_default() == 0);
        let is_odd = host.is_empty() || host.starts_with('-') || host.contains(odd) || user_is_odd || port_is_odd;
        (!is_odd).then_some(Self { user, host, port })
    }
}

/// `[user@]host[:port]` of a URI, IPv6 addresses in brackets.
fn uri(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    if let Some((host, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (user, host, after.strip_prefix(':'));
    }
    match rest.split_once(':') {
        Some((host, port)) => (user, host, Some(port)),
        None => (user, rest, None),
    }
}
