//! Configs that are wrong, and everything that is said about them.

use super::*;

#[test]
fn every_error_is_reported_in_order_with_line_caret_and_hint() {
    let text = include_str!("bad.toml");
    let errors = read(text).unwrap_err();
    let rendered = errors.to_string();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/bad.txt"), &rendered).unwrap();
    }
    assert_eq!(rendered, include_str!("bad.txt"));
}
