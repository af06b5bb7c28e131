//! From a path to what is served there: pure.

use super::page::ASSETS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpRoute<'a> {
    Page,
    /// A file of the page, by its place among them.
    Asset(usize),
    /// Changes of what the page shows.
    Events,
    /// All enabled tunnels, or the named one.
    Ready(Option<&'a str>),
    /// In the format that is asked for.
    Metrics,
    /// As `tunneld status --json`.
    Status,
}

impl HttpRoute<'_> {
    /// For machines: no person's browser is led there to read it.
    pub(super) const fn is_for_scrapers(self) -> bool {
        match self {
            Self::Ready(_) | Self::Metrics => true,
            Self::Page | Self::Asset(_) | Self::Events | Self::Status => false,
        }
    }
}

/// `path` is without its query. Names of tunnels have no characters that would be escaped.
pub(super) fn route(path: &str) -> Option<HttpRoute<'_>> {
    match path {
        "/ready" => Some(HttpRoute::Ready(None)),
        "/" => Some(HttpRoute::Page),
        "/events" => Some(HttpRoute::Events),
        "/metrics" => Some(HttpRoute::Metrics),
        "/status" => Some(HttpRoute::Status),
        _ => match path.strip_prefix("/ready/") {
            Some(name) => (!name.is_empty()).then_some(HttpRoute::Ready(Some(name))),
            None => asset(path.strip_prefix('/')?).map(HttpRoute::Asset),
        },
    }
}

fn asset(name: &str) -> Option<usize> {
    ASSETS.iter().position(|(known, _, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_meaning_and_others_have_none() {
        assert_eq!(route("/ready"), Some(HttpRoute::Ready(None)));
        assert_eq!(route("/ready/web-db"), Some(HttpRoute::Ready(Some("web-db"))));
        assert_eq!(route("/status"), Some(HttpRoute::Status));
        assert_eq!(route("/"), Some(HttpRoute::Page));
        assert_eq!(route("/page.js"), Some(HttpRoute::Asset(1)));
        for path in ["/page", "page.js", "/ready/", "/readyness", "/status/", "//status", "/etc/passwd", ""] {
            assert_eq!(route(path), None, "{path}");
        }
    }
}
