//! Cuts the text of a forward into words at blanks, and words into fields at colons.

use super::ForwardParseError;

/// Words of fields. Brackets make everything up to the closing one part of a field; `\x` is `x` without its meaning.
pub(super) fn lex(text: &str) -> Result<Vec<Vec<String>>, ForwardParseError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let (fields, after) = word(rest, is_blank)?;
        words.push(fields);
        rest = after.trim_start_matches(is_blank);
    }
    Ok(words)
}

/// The fields of an argument, which is one word: as in ssh, a blank before it counts for nothing, any other is text.
pub(super) fn lex_argument(text: &str) -> Result<Vec<String>, ForwardParseError> {
    match text.trim_start_matches(is_blank) {
        "" => Err(ForwardParseError::Empty),
        text => word(text, |_| false).map(|(fields, _nothing)| fields),
    }
}

/// The fields of the first word, and the text from what ends it.
fn word(mut text: &str, is_end: fn(char) -> bool) -> Result<(Vec<String>, &str), ForwardParseError> {
    let mut fields = Vec::new();
    loop {
        let (field, after) = field(text, is_end)?;
        fields.push(field);
        match after.strip_prefix(':') {
            Some(next) => text = next,
            None => return Ok((fields, after)),
        }
    }
}

/// One field, and the text from the colon, the end of the word or the end that closes it.
fn field(text: &str, is_end: fn(char) -> bool) -> Result<(String, &str), ForwardParseError> {
    if let Some(inside) = text.strip_prefix('[') {
        let (field, after) = inside.split_once(']').ok_or(ForwardParseError::BadBrackets)?;
        let closed = after.is_empty() || after.starts_with(|c| c == ':' || is_end(c));
        return if closed { Ok((field.to_owned(), after)) } else { Err(ForwardParseError::BadBrackets) };
    }
    let mut field = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return Ok((field, &text[at..])),
            c if is_end(c) => return Ok((field, &text[at..])),
            '\\' => field.push(chars.next().ok_or(ForwardParseError::DanglingEscape)?.1),
            c => field.push(c),
        }
    }
    Ok((field, ""))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}
