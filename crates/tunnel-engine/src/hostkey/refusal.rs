//! What a person reads when a host key is refused: which key, which lines, and the command that helps.

use std::io;
use std::path::Path;

use super::certificate::CertificateProblem;
use super::entry::LinePosition;
use super::key::HostKey;
use super::name::ServerName;
use super::revoked::{Objection, Unusable};
use crate::failure::{Failure, FailureKind};
use crate::shortage;
use crate::spec::{Destination, HostKeySpec, StrictHostKeyChecking};
use crate::words;

pub(super) fn unreadable(path: &Path, error: io::Error) -> Failure {
    let hint = if error.kind() == io::ErrorKind::InvalidInput {
        "known_hosts must be a regular file, or /dev/null for none: name another one"
    } else if error.kind() == io::ErrorKind::FileTooLarge {
        "name a smaller known_hosts file; one that is not read is not an empty one"
    } else {
        "make the file readable by the user that runs tunneld; an unreadable file is not an empty one"
    };
    Failure::new(FailureKind::HostKeyUnknown, format!("cannot read known_hosts file `{}`: {error}", path.display()))
        .with_hint(hint)
        .caused_by(error)
}

pub(super) fn unknown(
    spec: &HostKeySpec,
    destination: &Destination,
    server: &ServerName,
    key: &HostKey,
    certificate: Option<&CertificateProblem>,
) -> Failure {
    let files: Vec<String> = files(spec).map(|path| format!("`{}`", path.display())).collect();
    let looked = if files.is_empty() { "no known_hosts file is set".to_owned() } else { files.join(", ") };
    let certificate = certificate.map(|why| format!("; its certificate does not count: {why}")).unwrap_or_default();
    let message =
        format!("no host key is known for `{}`: it presents {key}{certificate} (looked in {looked})", server.lookup);
    let hint = match files_first(spec) {
        Some(file) => {
            let server = quote(&destination.host_port());
            let alias = spec.alias.as_ref().map(|alias| format!(" --host-key-alias {}", quote(alias)));
            let (alias, file) = (alias.unwrap_or_default(), quote(&file.display().to_string()));
            let fingerprint = key.fingerprint();
            format!(
                "compare {fingerprint} with the server's owner, then run `tunneld trust {server}{alias} --file {file}`"
            )
        }
        None => words::own("set user_known_hosts_file to a file that holds the server's key").into_owned(),
    };
    Failure::new(FailureKind::HostKeyUnknown, message).with_told_hint(hint)
}

pub(super) fn changed(
    spec: &HostKeySpec,
    server: &ServerName,
    key: &HostKey,
    conflicts: &[(LinePosition, HostKey)],
) -> Failure {
    let known: Vec<String> = conflicts.iter().map(|(at, key)| format!("`{at}` has {key}")).collect();
    let message = format!("host key of `{}` changed: it presents {key}, but {}", server.lookup, known.join(" and "));
    let mut commands: Vec<String> = Vec::new();
    for (at, _) in conflicts {
        let file = quote(&at.file.display().to_string());
        let printed = spec.command.as_ref().is_some_and(|command| command.program() == &*at.file);
        let command = match printed {
            true => words::about("the owner of the output of known_hosts_command {}", [&file]),
            false => format!("`ssh-keygen -f {file} -R {}`", force_quote(&server.lookup)),
        };
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    let no = match spec.strict {
        StrictHostKeyChecking::No => "; a tunnel is its forwards, and those ssh refuses over a changed key too",
        StrictHostKeyChecking::Yes | StrictHostKeyChecking::AcceptNew => "",
    };
    Failure::new(FailureKind::HostKeyChanged, message).with_told_hint(format!(
        "if the change is announced, remove the old key with {}; otherwise another machine may be in between{no}",
        commands.join(" and ")
    ))
}

pub(super) fn revoked(server: &ServerName, presented: &HostKey, at: &LinePosition, revoked: &HostKey) -> Failure {
    let message = if presented == revoked {
        format!("host key {presented} of `{}` is marked `@revoked` in `{at}`", server.lookup)
    } else {
        format!(
            "host key {presented} of `{}` is certified by {revoked}, which is marked `@revoked` in `{at}`",
            server.lookup
        )
    };
    Failure::new(FailureKind::HostKeyRevoked, message)
}

pub(super) fn objection(server: &ServerName, presented: &HostKey, objection: &Objection) -> Failure {
    if let Objection::Unusable(list, Unusable::Unreadable(error)) = objection
        && let Some(hint) = shortage::hint(error)
    {
        let message = format!("cannot read the list of revoked keys `{}`: {error}", list.display());
        return Failure::new(FailureKind::ResourceShortage, message).with_told_hint(hint);
    }
    let (message, hint) = match objection {
        Objection::Listed(list) => {
            let list = list.display();
            (
                format!("host key {presented} of `{}` is in the list of revoked keys `{list}`", server.lookup),
                format!(
                    "do not connect: ask the server's owner for its new key; the owner of `{list}` knows why it is there"
                ),
            )
        }
        Objection::Unusable(list, why) => {
            let list = list.display();
            (
                format!(
                    "host key {presented} of `{}` may be revoked: the list `{list}` cannot be used: {why}",
                    server.lookup
                ),
                words::about(
                    "mend `{}`, or take it out of revoked_host_keys: as in ssh, no host key is believed until then",
                    [&list.to_string()],
                ),
            )
        }
    };
    Failure::new(FailureKind::HostKeyRevoked, message).with_told_hint(hint)
}

pub(super) fn files(spec: &HostKeySpec) -> impl Iterator<Item = &Path> {
    spec.user_known_hosts.iter().chain(&spec.global_known_hosts).map(std::path::PathBuf::as_path)
}

fn files_first(spec: &HostKeySpec) -> Option<&Path> {
    files(spec).next()
}

/// For a command that a person pastes into a shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,~".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { force_quote(word) }
}

fn force_quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
