//! What a keyword of ssh_config is: the form of its value, and what it means to a tunnel.

use super::table::{ALIASES, DROPPED, KEYWORDS};

#[derive(Debug, Clone, Copy)]
pub(super) struct Keyword {
    /// As ssh_config(5) spells it.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) meaning: Meaning,
}

/// The form of a value. It is checked in every block, also in those that do not apply, as ssh does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// `yes`, `no`, `true` or `false`.
    Flag,
    /// One of these, in any case.
    Choice(&'static [&'static str]),
    /// Seconds, or as `1h30m`; `none` is as if nothing was written.
    Time,
    /// A whole number from 0.
    Number,
    /// One word.
    Word,
    /// Words; `none` only alone.
    Words,
    /// All that follows, for a shell.
    Command,
    /// `ProxyJump`.
    Jump,
    /// A TCP port.
    Port,
    /// Listen address and connect address.
    Forward,
    /// An octal mask.
    Mask,
    /// Two tunnel devices, or the one here.
    Device,
    /// Not looked at.
    Any,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// It does what ssh_config(5) says.
    Followed,
    /// It cannot change what a tunnel does: nothing to see on the line, nothing to run, nothing to ask.
    Harmless,
    /// It would do something that is not done here, and a tunnel works without it: a note says so. These values, in
    /// lower case, are its default or mean the same.
    Noted { defaults: &'static [&'static str], why: &'static str },
    /// It would change what a tunnel does and cannot be followed. These values, in lower case, are its default or mean
    /// the same.
    Refused { defaults: &'static [&'static str], why: &'static str },
    /// Refused or noted together with other keywords, in `refuse` and `notes`.
    Combined,
}

/// What ssh says of a keyword that it has dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    Silent,
    /// `Deprecated option`, with `-v`.
    Deprecated,
    /// `Unsupported option`, unless `-q`.
    Unsupported,
}

/// What a word at the start of a line is.
pub(super) enum KeywordLookup {
    Keyword(&'static Keyword),
    /// Once known to ssh, and without effect since.
    Dropped(Dropped),
    Unknown,
}

/// Looks up a keyword, written in lower case.
pub(super) fn find(name: &str) -> KeywordLookup {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    match KEYWORDS.iter().find(|keyword| keyword.name.eq_ignore_ascii_case(name)) {
        Some(keyword) => KeywordLookup::Keyword(keyword),
        None => match DROPPED.iter().find(|(dropped, _)| *dropped == name) {
            Some((_, dropped)) => KeywordLookup::Dropped(*dropped),
            None => KeywordLookup::Unknown,
        },
    }
}

/// Each line adds to these; of all others the first value counts.
pub(super) fn accumulates(name: &str) -> bool {
    matches!(name, "IdentityFile" | "CertificateFile" | "LocalForward" | "RemoteForward" | "DynamicForward" | "SendEnv")
}

/// The keyword that was probably meant.
pub(super) fn did_you_mean(written: &str) -> Option<&'static str> {
    /// Below it, a guess misleads more often than it helps.
    const ALIKE: f64 = 0.7;
    /// In bytes; longer than any keyword could be mistyped as: the comparison costs the product of the lengths, in time
    /// and in memory.
    const TOO_LONG: usize = 100;
    if written.len() > TOO_LONG {
        return None;
    }
    KEYWORDS
        .iter()
        .map(|keyword| {
            (strsim::normalized_damerau_levenshtein(written, &keyword.name.to_ascii_lowercase()), keyword.name)
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
