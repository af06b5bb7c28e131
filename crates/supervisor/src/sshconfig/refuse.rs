//! What is set, would change the tunnel, and cannot be followed: an error at its line, never silence.

use super::keyword::{Meaning, Shape};
use super::options::{OptionValue, Options};
use crate::spec::ConfigError;

/// Every refusal, in the order of the lines.
pub(super) fn refusals(options: &Options) -> Vec<ConfigError> {
    options.iter().filter_map(|setting| refusal(setting, options)).collect()
}

fn refusal(setting: &OptionValue, options: &Options) -> Option<ConfigError> {
    let name = setting.keyword.name;
    let command = matches!(setting.keyword.shape, Shape::Command);
    let written = if command { setting.rest.clone() } else { setting.words.join(" ") };
    let refuse = |why: &str| {
        let what = format!("`{name} {written}` cannot be followed");
        Some(ConfigError::new(setting.span.clone(), what, why))
    };
    let lower = written.to_ascii_lowercase();
    match (setting.keyword.meaning, name) {
        (Meaning::Followed, "RefuseConnection") => {
            let what = format!("this configuration refuses connections to the host: {written}");
            Some(ConfigError::new(setting.span.clone(), what, "remove the line, or the tunnel"))
        }
        (Meaning::Refused { defaults, why }, _) if !defaults.contains(&lower.as_str()) => refuse(why),
        (Meaning::Weighed, "LocalCommand") if options.flag("PermitLocalCommand") == Some(true) && lower != "none" => {
            refuse("commands are not run at a login: remove it, or set `PermitLocalCommand no`")
        }
        (
            Meaning::Weighed | Meaning::Followed | Meaning::Harmless | Meaning::Told { .. } | Meaning::Refused { .. },
            _,
        ) => None,
    }
}
