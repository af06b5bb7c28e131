//! The host key that a server presented against every known_hosts file: pure.

use std::path::PathBuf;

use tunnel_engine::examine::LoginStep;
use tunnel_engine::hostkey::{KnownLine, Relation};

use super::check::{Check, HOST_KEY};

/// One check a file, and one for the verdict where the key is believed; a refusal is in the failure of the login.
pub(super) fn checks(server: &str, steps: &[&LoginStep]) -> Vec<Check> {
    let found = steps.iter().find_map(|step| {
        let LoginStep::HostKey { key, certified, files, lines } = step else { return None };
        Some((key, *certified, files, lines))
    });
    let Some((key, certified, files, lines)) = found else { return Vec::new() };
    let believed = steps.contains(&&LoginStep::Believed);
    let in_file = |file: &PathBuf| {
        let of_file: Vec<&KnownLine> = lines.iter().filter(|line| *line.at.file == **file).collect();
        lines_of(&file.display().to_string(), &of_file, believed)
    };
    let mut checks: Vec<Check> = files.iter().map(in_file).collect();
    if believed {
        let certificate = if certified { ", in a certificate" } else { "" };
        let why = if lines.iter().any(|line| matches!(line.relation, Relation::Same | Relation::Authority)) {
            "is believed"
        } else {
            "is believed without a line: strict_host_key_checking, or known_hosts_command, lets it pass; nothing was written down"
        };
        checks.push(Check::pass(HOST_KEY, server, format!("{key}{certificate}, {why}")));
    }
    checks
}

/// What one known_hosts file says about the server.
fn lines_of(file: &str, lines: &[&KnownLine], believed: bool) -> Check {
    let text = |line: &&KnownLine| {
        let number = line.at.line;
        let key = &line.key;
        match line.relation {
            Relation::Same => format!("line {number} holds the server's key"),
            Relation::Other => format!("line {number} holds another key, {key}"),
            Relation::Authority => format!("line {number} holds the authority of the server's certificate"),
            Relation::OtherAuthority => {
                format!("line {number} holds an authority that did not sign what the server shows, {key}")
            }
            Relation::Revokes => format!("line {number} revokes it, {key}"),
        }
    };
    let words = lines.iter().map(text).collect::<Vec<_>>().join("; ");
    let has = |relation| lines.iter().any(|line| line.relation == relation);
    if lines.is_empty() {
        Check::skip(HOST_KEY, file, "no line is for this server")
    } else if has(Relation::Revokes) {
        Check::fail(HOST_KEY, file, words, "do not connect; ask the server's owner for its new key")
    } else if has(Relation::Same) || has(Relation::Authority) {
        Check::pass(HOST_KEY, file, words)
    } else if believed {
        Check::skip(HOST_KEY, file, words)
    } else {
        let action = "ask the server's owner whether its key changed; if so, remove the line, else another machine may be in between";
        Check::fail(HOST_KEY, file, words, action)
    }
}
