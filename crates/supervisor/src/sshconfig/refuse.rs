//! What is set, would change the tunnel, and cannot be followed: an error at its line, never silence.

use super::keyword::Meaning;
use super::options::{OptionValue, Options};
use crate::spec::ConfigError;

/// Every refusal, in the order of the lines.
pub(super) fn refusals(options: &Options) -> Vec<ConfigError> {
    options.iter().filter_map(|setting| refusal(setting, options)).collect()
}

fn refusal(setting: &OptionValue, options: &Options) -> Option<ConfigError> {
    let (name, written) = (setting.keyword.name, setting.text());
    let lower = written.to_ascii_lowercase();
    if name == "RefuseConnection" {
        let what = format!("this configuration refuses connections to the host: {written}");
        return Some(setting.error(what, "remove the line, or the tunnel"));
    }
    let why = match setting.keyword.meaning {
        Meaning::Refused { defaults, why } if !defaults.contains(&lower.as_str()) => why,
        Meaning::Combined
            if name == "LocalCommand" && options.flag("PermitLocalCommand") == Some(true) && lower != "none" =>
        {
            "commands are not run at a login: remove it, or set `PermitLocalCommand no`"
        }
        Meaning::Combined | Meaning::Followed | Meaning::Harmless | Meaning::Noted { .. } | Meaning::Refused { .. } => {
            return None;
        }
    };
    Some(setting.error(format!("`{name} {written}` cannot be followed"), why))
}
