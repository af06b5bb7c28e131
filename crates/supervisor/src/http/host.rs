//! Whether the Host header names this server. A browser can be led here by another site's name (DNS rebinding): then
//! that site could read what is served. An address cannot be led anywhere, and a few names are known to be ours.

use std::net::IpAddr;

use tunnel_engine::spec::Listen;

/// The names that a request may come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowedHosts {
    /// A unix socket is reached by no name.
    any: bool,
    /// Scrapers on the network use names that are not known here.
    open: bool,
    /// Of this machine.
    own: Option<String>,
}

impl AllowedHosts {
    /// `open`: the address is not loopback.
    pub(super) fn of(listen: &Listen, open: bool) -> Self {
        let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        Self { any: matches!(listen, Listen::Unix(_)), open, own: own.filter(|_| open) }
    }

    /// Whether the page and the status may be read by this name. Without one it is not a browser that asks.
    pub(super) fn permit(&self, host: Option<&str>) -> bool {
        let Some(host) = host.filter(|_| !self.any) else { return true };
        let name = name_of(host);
        let is = |own: &str| name.eq_ignore_ascii_case(own);
        name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
            || is("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || self.own.as_deref().is_some_and(is)
    }

    /// Whether metrics and readiness may be.
    pub(super) fn permit_scraper(&self, host: Option<&str>) -> bool {
        self.open || self.permit(host)
    }
}

/// Without the port.
fn name_of(host: &str) -> &str {
    let is_port = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (name.ends_with(']') || !name.contains(':')) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use tunnel_engine::spec::ForwardKind;

    use super::*;

    fn hosts(listen: &str, open: bool) -> AllowedHosts {
        AllowedHosts {
            own: Some("web1".to_owned()).filter(|_| open),
            ..AllowedHosts::of(&Listen::parse(ForwardKind::Local, listen).unwrap(), open)
        }
    }

    #[test]
    fn addresses_and_own_names_are_permitted_and_others_are_not() {
        let loopback = hosts("127.0.0.1:9469", false);
        for host in ["127.0.0.1:9469", "localhost", "LOCALHOST:1", "[::1]:9469", "a.localhost:9469", "192.0.2.7:9469"] {
            assert!(loopback.permit(Some(host)), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9469", "127.0.0.1.evil.example", "localhost.evil.example", "web1", "", ":1"]
        {
            assert!(!loopback.permit(Some(host)) && !loopback.permit_scraper(Some(host)), "{host}");
        }
        assert!(loopback.permit(None));
    }

    #[test]
    fn network_scrapers_may_use_any_host_name_the_page_not() {
        let open = hosts("0.0.0.0:9469", true);
        assert!(open.permit_scraper(Some("tunnels.example:9469")));
        assert!(!open.permit(Some("tunnels.example:9469")));
        assert!(open.permit(Some("web1:9469")));
    }

    #[test]
    fn a_unix_socket_is_reached_by_any_name() {
        assert!(hosts("/run/m.sock", false).permit(Some("whatever")));
    }
}
