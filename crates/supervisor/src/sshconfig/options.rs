//! What the lines that apply have set so far: of most keywords the first value, of some every one.

use std::time::Duration;

use super::keyword::{Keyword, KeywordLookup, Shape, accumulates, find};
use super::line::ConfigLine;
use super::value;
use crate::spec::{ConfigError, SourceSpan};

/// A value as it was written.
#[derive(Debug, Clone)]
pub(super) struct OptionValue {
    pub(super) keyword: &'static Keyword,
    pub(super) words: Vec<String>,
    /// All of it, for commands.
    pub(super) rest: String,
    pub(super) span: SourceSpan,
}

impl OptionValue {
    pub(super) fn of(keyword: &'static Keyword, line: &ConfigLine) -> Self {
        Self {
            keyword,
            words: line.words.iter().map(|word| word.text.clone()).collect(),
            rest: line.rest.text.clone(),
            span: line.arguments(),
        }
    }

    /// The value is `none`.
    pub(super) fn is_none(&self) -> bool {
        self.first().eq_ignore_ascii_case("none")
    }

    pub(super) fn error(&self, what: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        ConfigError::new(self.span.clone(), what, hint)
    }

    /// The value as one text.
    pub(super) fn text(&self) -> String {
        if matches!(self.keyword.shape, Shape::Command) { self.rest.clone() } else { self.words.join(" ") }
    }

    pub(super) fn first(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// Settings in the order in which they were obtained.
#[derive(Debug, Clone, Default)]
pub(super) struct Options(Vec<OptionValue>);

impl Options {
    /// Takes a value, unless an earlier one wins.
    pub(super) fn set(&mut self, setting: OptionValue) {
        let name = setting.keyword.name;
        let taken = match name {
            _ if accumulates(name) => self.all(name).any(|earlier| earlier.words == setting.words),
            // Whichever of the two comes first is the way; but no jump host leaves room for a command.
            "ProxyCommand" => self.get(name).is_some() || self.get("ProxyJump").is_some_and(|jump| !jump.is_none()),
            "ProxyJump" => self.get(name).is_some() || (!setting.is_none() && self.get("ProxyCommand").is_some()),
            _ => self.get(name).is_some(),
        };
        // A time of `none` leaves room for a later one.
        let void =
            setting.words.is_empty() || (matches!(setting.keyword.shape, Shape::Time) && setting.first() == "none");
        if !taken && !void {
            self.0.push(setting);
        }
    }

    pub(super) fn get(&self, name: &'static str) -> Option<&OptionValue> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &OptionValue> {
        debug_assert!(matches!(find(&name.to_ascii_lowercase()), KeywordLookup::Keyword(_)));
        self.0.iter().filter(move |setting| setting.keyword.name == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OptionValue> {
        self.0.iter()
    }

    pub(super) fn word(&self, name: &'static str) -> Option<&str> {
        self.get(name).map(OptionValue::first)
    }

    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        self.word(name).and_then(value::flag)
    }

    pub(super) fn number(&self, name: &'static str) -> Option<u32> {
        self.word(name).and_then(value::number)
    }

    pub(super) fn time(&self, name: &'static str) -> Option<Duration> {
        self.word(name).and_then(value::time)
    }
}
