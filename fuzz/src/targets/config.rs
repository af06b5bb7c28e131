//! The config file: TOML and everything that it can say.

use std::path::Path;

use supervisor::config::{Overrides, load_text_for};

use super::{assert_harmless, machine, text};

/// A config is read twice to the same, or refused with errors that lie in it, and that a terminal can show. The text of all
/// errors is bounded: each shows part of one line.
pub fn config(data: &[u8]) {
    /// Of one error: its excerpt, its message and its hint, each bounded, in bytes.
    const MAX_ERROR: usize = 64 * 1024;
    let text = text(data);
    // A pattern could make it look through this machine's disk.
    if text.contains("include") || text.contains('\\') && text.contains("nclud") {
        return;
    }
    let read = || load_text_for(Path::new("/nowhere/tunneld.toml"), text, &Overrides::default(), &machine::account());
    match read() {
        Ok(desired) => assert_eq!(Ok(desired), read().map_err(|errors| errors.to_string())),
        Err(errors) => {
            let lines = text.lines().count();
            let mut told = 0;
            for error in errors.iter() {
                let shown = error.to_string();
                assert!(shown.len() <= MAX_ERROR, "an error of {} bytes", shown.len());
                assert_harmless(&shown);
                if let Some((line, column)) =
                    error.line_and_column().filter(|_| error.file() == "/nowhere/tunneld.toml")
                {
                    assert!((1..=lines + 1).contains(&line) && column >= 1, "{line}:{column} is outside");
                }
                told += 1;
            }
            assert!(told > 0, "refused without a reason");
            let _ = errors.to_json();
        }
    }
}
