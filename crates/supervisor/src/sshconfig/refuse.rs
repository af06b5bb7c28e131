//! What is set, would change the tunnel, and cannot be followed: an error at its line, never silence.

use super::keyword::{Meaning, Shape};
use super::options::{Options, Setting};
use crate::config::ConfigError;

/// What our own keys sign with. A list that leaves one of them out would have to hold keys back.
const SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
];

/// Every refusal, in the order of the lines.
pub(super) fn refusals(options: &Options) -> Vec<ConfigError> {
    options.iter().filter_map(|setting| refusal(setting, options)).collect()
}

fn refusal(setting: &Setting, options: &Options) -> Option<ConfigError> {
    let name = setting.keyword.name;
    let command = matches!(setting.keyword.shape, Shape::Command);
    let written = if command { setting.rest.clone() } else { setting.words.join(" ") };
    let refuse = |why: &str| {
        let what = format!("`{name} {written}` cannot be followed");
        Some(ConfigError::new(setting.place.clone(), what, why))
    };
    let lower = written.to_ascii_lowercase();
    match (setting.keyword.meaning, name) {
        (Meaning::Followed, "RefuseConnection") => {
            let what = format!("this configuration refuses connections to the host: {written}");
            Some(ConfigError::new(setting.place.clone(), what, "remove the line, or the tunnel"))
        }
        (Meaning::Refused { defaults, why }, _) if !defaults.contains(&lower.as_str()) => refuse(why),
        (Meaning::Weighed, "LocalCommand") if options.flag("PermitLocalCommand") == Some(true) && lower != "none" => {
            refuse("commands are not run at a login: remove it, or set `PermitLocalCommand no`")
        }
        (Meaning::Weighed, "CASignatureAlgorithms") if narrows(&lower) => {
            refuse("certificates are taken whatever their authority signs with")
        }
        (Meaning::Weighed | Meaning::Followed | Meaning::Harmless | Meaning::Refused { .. }, _) => None,
    }
}

/// Does the list take away what is used otherwise? What it adds is harmless.
fn narrows(list: &str) -> bool {
    let matches = |pattern: &str| SIGNATURES.iter().any(|name| tunnel_engine::spec::wildcard(pattern, name));
    match (list.strip_prefix('-'), list.starts_with(['+', '^'])) {
        (Some(removed), _) => removed.split(',').any(matches),
        (None, true) => false,
        (None, false) => {
            SIGNATURES.iter().any(|name| !list.split(',').any(|kept| tunnel_engine::spec::wildcard(kept, name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_signatures_is_refused_where_it_takes_a_key_away() {
        let fedora =
            "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,ssh-ed25519,rsa-sha2-256,rsa-sha2-512";
        for (list, want) in [
            (fedora, false),
            ("+ssh-rsa", false),
            ("^ssh-ed25519", false),
            ("-ssh-dss", false),
            ("-rsa*", true),
            ("ssh-ed25519", true),
        ] {
            assert_eq!(narrows(list), want, "{list}");
        }
    }
}
