//! The value of `ProxyJump`.

use super::line::ConfigLine;
use super::value;
use crate::spec::{ConfigError, SourceSpan};

/// One server of the list, with what it says about itself. What it leaves out is in its own Host block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProxyJumpHost {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// `None` for `none`. The last hop is the one next to the server.
pub(super) fn parse(text: &str) -> Result<Option<Vec<ProxyJumpHost>>, String> {
    let text = text.split('#').next().unwrap_or_default().trim();
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    text.split(',').map(|hop| self::hop(hop.trim()).ok_or_else(|| hop.to_owned())).collect::<Result<_, _>>().map(Some)
}

pub(super) fn check(line: &ConfigLine) -> Result<(), ConfigError> {
    parse(&line.rest.text).map(drop).map_err(|bad| error(&bad, &line.arguments()))
}

/// This hop of the list cannot be read.
pub(super) fn error(bad: &str, span: &SourceSpan) -> ConfigError {
    let hint = "write `[user@]host[:port]`, several with commas, the one next to this machine first";
    ConfigError::new(span.clone(), format!("`{bad}` is not a jump host"), hint)
}

fn hop(text: &str) -> Option<ProxyJumpHost> {
    let text = text.strip_prefix("ssh://").map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
    let (user, rest) = match text.rsplit_once('@') {
        Some(("", _)) => return None,
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(inside) => {
            let (host, after) = inside.split_once(']')?;
            let port = if after.is_empty() { "" } else { after.strip_prefix(':')? };
            (host, port)
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    let port = if port.is_empty() { None } else { Some(value::port(port)?) };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    let fine = !host.is_empty() && !host.starts_with('-') && !host.contains(odd);
    fine.then(|| ProxyJumpHost { user, host: host.to_owned(), port })
}

/// The hops as `ProxyJump` takes them.
pub(super) fn join(hops: &[ProxyJumpHost]) -> String {
    let one = |hop: &ProxyJumpHost| {
        let user = hop.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let host = if hop.host.contains(':') { format!("[{}]", hop.host) } else { hop.host.clone() };
        let port = hop.port.map(|port| format!(":{port}")).unwrap_or_default();
        user + &host + &port
    };
    hops.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_hosts_are_read_as_ssh_reads_them() {
        for (text, want) in [
            ("a", Ok("a")),
            ("u@a:22,ssh://b:2222/,[::1]:3", Ok("u@a:22,b:2222,[::1]:3")),
            ("D\\u@v@a  # near", Ok("D\\u@v@a")),
            ("a:", Ok("a")),
            ("None", Ok("none")),
            ("a,,b", Err("")),
            ("@a", Err("@a")),
            ("a:0", Err("a:0")),
            ("::1", Err("::1")),
            ("-oX", Err("-oX")),
        ] {
            let got = parse(text).map(|hops| hops.map_or_else(|| "none".to_owned(), |hops| join(&hops)));
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }
}
