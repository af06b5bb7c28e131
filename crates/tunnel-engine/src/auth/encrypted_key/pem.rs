//! The armour around a key: a label, headers (RFC 1421, which RFC 7468 and its crates do without), base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The first block of a text.
pub(super) struct Pem<'a> {
    /// Of its first line: `RSA PRIVATE KEY`.
    pub(super) label: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    /// What it holds, which is a key in the clear where it is not encrypted; `None` when that is not base64.
    pub(super) content: Option<Zeroizing<Vec<u8>>>,
}

impl<'a> Pem<'a> {
    /// `None`: there is no block.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let label = lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
        // As large as it can get: a text that grows leaves copies behind.
        let (mut headers, mut body) = (Vec::new(), Zeroizing::new(String::with_capacity(text.len())));
        for line in lines.take_while(|line| !line.starts_with("-----END ")) {
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.trim(), value.trim())),
                None => body.push_str(line),
            }
        }
        Some(Self { label, headers, content: STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new) })
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}
