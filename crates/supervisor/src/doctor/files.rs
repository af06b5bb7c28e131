//! The files that a login needs, before any login: can they be read, and would ssh's rules let them be used?

use std::io;
use std::time::SystemTime;

use nix::unistd::{AccessFlags, access};
use tunnel_engine::auth::{Inspected, inspect};
use tunnel_engine::failure::FailureKind;
use tunnel_engine::file::open_or_null;
use tunnel_engine::spec::{SessionSpec, StrictHostKeyChecking};

use super::check::{CERTIFICATE, Check, IDENTITY, KNOWN_HOSTS, SECRET};
use crate::spec::on_route;

/// Of the server, and of each jump host on the way to it.
pub(super) async fn checks(spec: &SessionSpec, now: SystemTime) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for spec in on_route(spec) {
        let inspected = inspect(&spec.auth, now).await;
        for check in inspected.iter().map(|file| of(file, now)).chain(known_hosts(spec)) {
            if !checks.contains(&check) {
                checks.push(check);
            }
        }
    }
    checks
}

fn of(file: &Inspected, now: SystemTime) -> Check {
    let name = match (file.is_certificate, file.key) {
        (true, _) => CERTIFICATE,
        (false, "identity_file") => IDENTITY,
        (false, _) => SECRET,
    };
    let subject = file.path.display().to_string();
    match &file.found {
        Ok(what) => Check::pass(name, subject, what),
        Err(failure) if failure.kind() == FailureKind::CertificateExpired => {
            let message = format!("{}; this machine's clock says {}", failure.message(), crate::history::rfc3339(now));
            let action = "compare this clock with the authority's (`date -u` on both); where it is right, have the \
                          certificate signed again: `ssh-keygen -s CA -I NAME -n USER -V -5m:+52w KEY.pub`";
            Check::fail(name, subject, message, action)
        }
        Err(failure) => Check::fail(name, subject, failure.message(), failure.hint()),
    }
}

/// Those of the user, and of the system's those that are there.
fn known_hosts(spec: &SessionSpec) -> impl Iterator<Item = Check> {
    let files = spec.host_key.user_known_hosts.iter().chain(&spec.host_key.global_known_hosts);
    files.filter_map(|path| {
        let subject = path.display().to_string();
        let written = spec.host_key.strict == StrictHostKeyChecking::AcceptNew
            && spec.host_key.user_known_hosts.first() == Some(path);
        Some(match open_or_null(path) {
            Ok(_) if written && access(path, AccessFlags::W_OK).is_err() => {
                let mut check =
                    Check::skip(KNOWN_HOSTS, &subject, "readable, and not writable: a new host key is not kept");
                check.action = Some(format!("make it writable by the user that runs tunneld: `chmod u+w {subject}`"));
                check
            }
            Ok(_) => Check::pass(KNOWN_HOSTS, subject, "readable"),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                if spec.host_key.global_known_hosts.contains(path) {
                    return None;
                }
                Check::skip(KNOWN_HOSTS, subject, "there is no such file")
            }
            Err(error) => {
                let no_file = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge);
                let first = match no_file {
                    true => "put a regular file in its place".to_owned(),
                    false => {
                        format!("make it readable by the user that runs tunneld (`chmod u+r {subject}`, or `chown`)")
                    }
                };
                let action = format!("{first}, or name another file with user_known_hosts_file");
                let words = error.to_string();
                let words = words.split(" (os error").next().unwrap_or_default().to_lowercase();
                Check::fail(KNOWN_HOSTS, subject, format!("it cannot be read: {words}"), action)
            }
        })
    })
}
