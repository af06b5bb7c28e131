//! Typed access to values that know where they stand.

use std::ops::RangeInclusive;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{FILE, INCLUDED, USUAL_ELSEWHERE, did_you_mean, home_of};
use crate::spec::{ConfigError, SourceFile, SourceSpan};

/// What was read, or everything that is wrong with it.
pub(super) type ReadResult<T> = Result<T, Vec<ConfigError>>;

/// A value of the file.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) source: &'a Arc<SourceFile>,
    spanned: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    pub(super) fn span(self) -> SourceSpan {
        SourceSpan { source: self.source.clone(), span: self.spanned.span() }
    }

    pub(super) fn error(self, what: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        ConfigError::new(self.span(), what, hint)
    }

    pub(super) fn refuse<T>(self, what: impl Into<String>, hint: impl Into<String>) -> ReadResult<T> {
        Err(vec![self.error(what, hint)])
    }

    fn mistyped<T>(self, expected: &str, hint: &str) -> ReadResult<T> {
        self.refuse(format!("expected {expected}, found {}", article(self.raw())), hint)
    }

    pub(super) fn raw(self) -> &'a DeValue<'a> {
        self.spanned.get_ref()
    }

    pub(super) fn string(self) -> ReadResult<&'a str> {
        match self.raw().as_str() {
            Some(text) => Ok(text),
            None => self.mistyped("a string", "put it in quotes"),
        }
    }

    /// A string that means something.
    pub(super) fn word(self) -> ReadResult<&'a str> {
        self.without_controls(char::is_control)
    }

    /// A command for a shell, which may have tabs in it.
    pub(super) fn command(self) -> ReadResult<&'a str> {
        self.without_controls(|c| c.is_control() && c != '\t')
    }

    fn without_controls(self, is_control: fn(char) -> bool) -> ReadResult<&'a str> {
        let text = self.string()?;
        if text.trim().is_empty() || text.chars().any(is_control) {
            return self
                .refuse("the string is empty or holds control characters", "write a value, or leave the key out");
        }
        Ok(text)
    }

    pub(super) fn boolean(self) -> ReadResult<bool> {
        match self.raw().as_bool() {
            Some(yes) => Ok(yes),
            None => self.mistyped("true or false", "write `true` or `false`, without quotes"),
        }
    }

    pub(super) fn integer(self, range: RangeInclusive<i64>) -> ReadResult<i64> {
        let hint = format!("write a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = self.raw().as_integer() else { return self.mistyped("a whole number", &hint) };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => self.refuse(format!("{integer} is out of range"), hint),
        }
    }

    /// A count that fits the range.
    pub(super) fn count(self, range: RangeInclusive<u32>) -> ReadResult<u32> {
        let number = self.integer(i64::from(*range.start())..=i64::from(*range.end()))?;
        Ok(u32::try_from(number).unwrap_or(*range.end()))
    }

    pub(super) fn number(self, range: RangeInclusive<f64>) -> ReadResult<f64> {
        let hint = format!("write a number from {} to {}", range.start(), range.end());
        match self.as_f64() {
            Some(number) if range.contains(&number) => Ok(number),
            Some(number) => self.refuse(format!("{number} is out of range"), hint),
            None => self.mistyped("a number", &hint),
        }
    }

    /// The number, where the value is one.
    pub(super) fn as_f64(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "durations and factors are far below 2^53")]
        let whole = |integer: &toml::de::DeInteger<'_>| {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| number as f64)
        };
        self.raw().as_integer().and_then(whole).or_else(|| self.raw().as_float().and_then(|f| f.as_str().parse().ok()))
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(self, words: &[(&'static str, T)]) -> ReadResult<T> {
        let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
        let all = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let hint = format!("write one of {all}");
        let Some(text) = self.raw().as_str() else { return self.mistyped("a string", &hint) };
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        let hint = did_you_mean(text, &names).map_or(hint, |name| format!("did you mean \"{name}\"?"));
        self.refuse(format!("`{text}` is not a value of this key"), hint)
    }

    /// The elements of a list; anything else is a list of one.
    pub(super) fn items(self) -> Vec<Value<'a>> {
        match self.raw().as_array() {
            Some(array) => array.iter().map(|spanned| Value { source: self.source, spanned }).collect(),
            None => vec![self],
        }
    }

    /// Reads every element, and reports every bad one.
    pub(super) fn each<T>(self, mut read: impl FnMut(Value<'a>) -> ReadResult<T>) -> ReadResult<Vec<T>> {
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for item in self.items() {
            match read(item) {
                Ok(value) => values.push(value),
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(errors) }
    }

    pub(super) fn table(self) -> ReadResult<Table<'a>> {
        match self.raw().as_table() {
            Some(table) => Ok(Table { span: self.span(), source: self.source, table }),
            None => self.mistyped("a table", "write `{ key = value }`"),
        }
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A table of the file.
#[derive(Clone)]
pub(super) struct Table<'a> {
    /// Its header, or its braces.
    pub(super) span: SourceSpan,
    source: &'a Arc<SourceFile>,
    table: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn of_file(source: &'a Arc<SourceFile>, table: &'a DeTable<'a>) -> Self {
        Self { span: SourceSpan { source: source.clone(), span: 0..0 }, source, table }
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.table.get(key).map(|spanned| Value { source: self.source, spanned })
    }

    /// The names of all keys that are not known.
    pub(super) fn unknown_keys(&self, known: &'static [&'static str]) -> impl Iterator<Item = &'a str> {
        let names = self.table.keys().map(|key| key.get_ref().as_ref());
        names.filter(|name| !known.contains(name))
    }

    /// Every key that is not known.
    pub(super) fn check_keys(&self, known: &'static [&'static str]) -> Vec<ConfigError> {
        let keys = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        keys.map(|key| {
            let name = key.get_ref().as_ref();
            let span = SourceSpan { source: self.source.clone(), span: key.span() };
            let (what, hint) = if known == INCLUDED && FILE.contains(&name) {
                (format!("`{name}` cannot be in an included file"), "move it to the main file".to_owned())
            } else {
                (format!("unknown key `{name}`"), unknown_hint(name, known))
            };
            ConfigError::new(span, what, hint)
        })
        .collect()
    }
}

fn unknown_hint(name: &str, known: &[&'static str]) -> String {
    if let Some(home) = home_of(name) {
        return format!("`{name}` is a key of {home}");
    }
    let usual = USUAL_ELSEWHERE.iter().find(|(usual, key)| *usual == name && known.contains(key));
    match usual.map(|(_, key)| *key).or_else(|| did_you_mean(name, known)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.len() > MANY_KEYS => "remove it; the example config lists the keys there are".to_owned(),
        None => {
            format!("the keys here are {}", known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// More than these do not fit into a hint.
const MANY_KEYS: usize = 10;
