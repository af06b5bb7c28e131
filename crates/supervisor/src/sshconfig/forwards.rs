//! `LocalForward`, `RemoteForward`, `DynamicForward`, and `Tunnel` with `TunnelDevice`.

use std::path::PathBuf;

use tunnel_engine::spec::{DeviceMode, Forward, ForwardKind, ForwardParseError, Listen, Side};

use super::options::OptionValue;
use super::settings::OptionReader;
use super::tokens::environment;
use crate::spec::{ConfigError, SourceSpan};

const KINDS: [(&str, ForwardKind); 3] = [
    ("LocalForward", ForwardKind::Local),
    ("RemoteForward", ForwardKind::Remote),
    ("DynamicForward", ForwardKind::Dynamic),
];

/// ssh's default for `TunnelDevice`.
const ANY: &str = "any:any";

/// Each once, even where several blocks ask for it.
pub(super) fn forwards(reader: &mut OptionReader<'_>) -> Vec<(Forward, SourceSpan)> {
    let mut found: Vec<(Forward, SourceSpan)> = Vec::new();
    let options = reader.options;
    if options.flag("ClearAllForwardings") == Some(true) {
        return found;
    }
    for (name, kind) in KINDS {
        for setting in options.all(name) {
            match forward(setting, kind, reader) {
                Ok(forward) if found.iter().any(|(known, _)| *known == forward) => {}
                Ok(forward) => found.push((forward, setting.span.clone())),
                Err(error) => reader.errors.push(error),
            }
        }
    }
    match device(reader) {
        Ok(device) => found.extend(device),
        Err(error) => reader.errors.push(error),
    }
    found
}

/// Which units, `TunnelDevice` says; `Tunnel`, whether and of what kind.
fn device(reader: &OptionReader<'_>) -> Result<Option<(Forward, SourceSpan)>, ConfigError> {
    let Some(tunnel) = reader.options.get("Tunnel") else { return Ok(None) };
    let mode = match tunnel.first().to_ascii_lowercase().as_str() {
        "no" | "false" => return Ok(None),
        "ethernet" => DeviceMode::Ethernet,
        _ => DeviceMode::PointToPoint,
    };
    let units = reader.options.get("TunnelDevice");
    let device = Forward::parse_device(units.map_or(ANY, |units| units.first())).map_err(|error| {
        let hint = "write `local:remote`, each `any` or a number, as in `any:any`";
        units.unwrap_or(tunnel).error(error.to_string(), hint)
    })?;
    let listen = match device.listen {
        Listen::Device { unit, .. } => Listen::Device { mode, unit },
        other @ (Listen::Tcp { .. } | Listen::Unix(_)) => other,
    };
    Ok(Some((Forward { listen, ..device }, tunnel.span.clone())))
}

fn forward(setting: &OptionValue, kind: ForwardKind, reader: &OptionReader<'_>) -> Result<Forward, ConfigError> {
    let refuse = |error: &ForwardParseError| setting.error(error.to_string(), error.hint());
    if kind == ForwardKind::Local && setting.words.len() < 2 {
        return Err(refuse(&ForwardParseError::Shape(kind)));
    }
    // ssh reads the two words as one with a colon between; a blank can only come from quotes.
    let text = setting.words.join(":");
    let text = environment(text.trim_start(), reader.facts, &setting.span)?;
    let forward = Forward::parse_argument(kind, &text).map_err(|error| refuse(&error))?;
    let path = |path: PathBuf, side| {
        let Some(text) = path.to_str() else { return Ok(path) };
        let text = reader.tokens.expand(text, None, &setting.span)?;
        // What a path means on the server is the server's business.
        let path = if side == Side::Here { reader.facts.folder().join(text) } else { PathBuf::from(text) };
        if path.as_os_str().len() > Forward::MAX_UNIX_PATH {
            return Err(refuse(&ForwardParseError::PathTooLong(path.display().to_string())));
        }
        Ok(path)
    };
    forward.with_paths(path)
}
