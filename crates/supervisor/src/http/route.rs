//! From a path to what is served there: pure.

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// All enabled tunnels, or the named one.
    Ready(Option<&'a str>),
    /// In the format that is asked for.
    Metrics,
    /// As `tunneld status --json`.
    Status,
}

impl Route<'_> {
    /// For machines: no person's browser is led there to read it.
    pub(super) const fn is_for_scrapers(self) -> bool {
        match self {
            Self::Ready(_) | Self::Metrics => true,
            Self::Status => false,
        }
    }
}

/// `path` is without its query. Names of tunnels have no characters that would be escaped.
pub(super) fn route(path: &str) -> Option<Route<'_>> {
    match path {
        "/ready" => Some(Route::Ready(None)),
        "/metrics" => Some(Route::Metrics),
        "/status" => Some(Route::Status),
        _ => path.strip_prefix("/ready/").filter(|name| !name.is_empty()).map(|name| Route::Ready(Some(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_meaning_and_others_have_none() {
        assert_eq!(route("/ready"), Some(Route::Ready(None)));
        assert_eq!(route("/ready/web-db"), Some(Route::Ready(Some("web-db"))));
        assert_eq!(route("/status"), Some(Route::Status));
        for path in ["/ready/", "/readyness", "/status/", "//status", "/etc/passwd", ""] {
            assert_eq!(route(path), None, "{path}");
        }
    }
}
