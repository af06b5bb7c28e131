//! Cuts the text of a forward into words at blanks, and words into fields at colons.

use super::ForwardParseError;

/// Words of fields. Brackets make everything up to the closing one part of a field; `\x` is `x` without its meaning.
pub(super) fn lex(text: &str) -> Result<Vec<Vec<String>>, ForwardParseError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let mut fields = Vec::new();
        loop {
            let (field, after) = field(rest)?;
            fields.push(field);
            match after.strip_prefix(':') {
                Some(next) => rest = next,
                None => {
                    rest = after.trim_start_matches(is_blank);
                    break;
                }
            }
        }
        words.push(fields);
    }
    Ok(words)
}

/// One field, and the text from the colon, the blank or the end that closes it.
fn field(text: &str) -> Result<(String, &str), ForwardParseError> {
    if let Some(inside) = text.strip_prefix('[') {
        let (field, after) = inside.split_once(']').ok_or(ForwardParseError::BadBrackets)?;
        let closed = after.is_empty() || after.starts_with(|c| c == ':' || is_blank(c));
        return if closed { Ok((field.to_owned(), after)) } else { Err(ForwardParseError::BadBrackets) };
    }
    let mut field = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return Ok((field, &text[at..])),
            c if is_blank(c) => return Ok((field, &text[at..])),
            '\\' => field.push(chars.next().ok_or(ForwardParseError::DanglingEscape)?.1),
            c => field.push(c),
        }
    }
    Ok((field, ""))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}
