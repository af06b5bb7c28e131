//! ssh_config KnownHostsCommand: a program that prints known_hosts lines, bounded in time and in what it may say.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PublicKeyOrCertificate;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::key::HostKey;
use super::name::ServerName;
use super::store::MAX_FILE_BYTES;
use crate::child::{ChildGroup, how_it_ended};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::spec::{Destination, KnownHostsCommand};
use crate::words::is_unseen;

/// What is kept of what it complains of.
const MAX_COMPLAINT: usize = 400;
/// So that a command that hangs is named before the whole attempt is given up.
const BEFORE_THE_END: Duration = Duration::from_millis(200);

/// How long there is time for a command.
#[derive(Debug, Clone)]
pub struct Until {
    /// The end of the attempt that it is a part of.
    pub deadline: clock::Deadline,
    /// Cancelled when that attempt is given up.
    pub given_up: CancellationToken,
}

/// A server, as the command is told of it.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) destination: &'a Destination,
    pub(super) server: &'a ServerName,
    /// `None`: which algorithms to offer is asked before there is a key.
    pub(super) presented: Option<&'a PublicKeyOrCertificate>,
}

/// What the command prints.
///
/// # Errors
/// `known_hosts_command_failed`: it cannot be run, fails, says too much or takes too long.
pub(super) async fn ask(command: &KnownHostsCommand, about: About<'_>, until: &Until) -> Result<Vec<u8>, Failure> {
    let failed = |what: String| {
        let program = command.program().display();
        let message = format!("known_hosts_command `{program}` for `{}` {what}", about.server.lookup);
        Failure::new(FailureKind::KnownHostsCommandFailed, message)
    };
    let mut process = Command::new(command.program());
    process.args(arguments(command, about).iter().map(OsStr::new));
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let group = ChildGroup::spawn(&mut process)
        .map_err(|error| failed(format!("could not be run: {error}")).caused_by(error))?;
    let run = async {
        tokio::select! {
            ran = run(group) => ran,
            () = until.given_up.cancelled() => Err("was ended with the attempt that it was for".to_owned()),
        }
    };
    match clock::timeout(until.deadline.left().saturating_sub(BEFORE_THE_END), run).await {
        Ok(ran) => ran.map_err(failed),
        Err(_) => Err(failed("did not end in time and was killed".to_owned())),
    }
}

/// The group is dropped at the end, however it ends: so does all that the command started.
async fn run(mut group: ChildGroup) -> Result<Vec<u8>, String> {
    let child = group.leader();
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("has no pipes".to_owned());
    };
    let wait = async { group.wait().await.map_err(|error| format!("was lost: {error}")) };
    let (lines, complaint, status) = tokio::try_join!(lines(stdout), complaint(stderr), wait)?;
    if status.success() { Ok(lines) } else { Err(ended(status, &complaint)) }
}

fn ended(status: ExitStatus, complaint: &str) -> String {
    let how = how_it_ended(status);
    if complaint.is_empty() { how } else { format!("{how}: `{complaint}`") }
}

fn arguments(command: &KnownHostsCommand, about: About<'_>) -> Vec<String> {
    const NONE: &str = "NONE";
    let About { destination, server, presented } = about;
    let of_key = |value: fn(&PublicKeyOrCertificate) -> Option<String>| {
        presented.and_then(value).unwrap_or_else(|| NONE.to_owned())
    };
    command.expand(|letter| match letter {
        'H' => server.lookup.clone(),
        'I' => if presented.is_some() { "HOSTNAME" } else { "ORDER" }.to_owned(),
        'h' => destination.canonical_host(),
        'k' => server.principal.clone(),
        'p' => destination.port.to_string(),
        'r' => destination.user.clone(),
        't' => of_key(|presented| Some(kind(presented))),
        'f' => of_key(|presented| HostKey::of(presented.public_key().key_data()).map(|key| key.fingerprint())),
        'K' => of_key(|presented| blob(presented).map(|blob| STANDARD.encode(blob))),
        other => format!("%{other}"),
    })
}

/// `ssh-ed25519`, and for a certificate the name of that form.
fn kind(presented: &PublicKeyOrCertificate) -> String {
    match presented.certificate() {
        Some(certificate) => certificate.algorithm().to_certificate_type(),
        None => presented.public_key().algorithm().as_str().to_owned(),
    }
}

fn blob(presented: &PublicKeyOrCertificate) -> Option<Vec<u8>> {
    match presented.certificate() {
        Some(certificate) => certificate.to_bytes().ok(),
        None => presented.public_key().to_bytes().ok(),
    }
}

async fn lines(stdout: impl AsyncRead + Unpin) -> Result<Vec<u8>, String> {
    let mut lines = Vec::new();
    let read = stdout.take(MAX_FILE_BYTES + 1).read_to_end(&mut lines).await;
    read.map_err(|error| format!("could not be listened to: {error}"))?;
    if lines.len() as u64 > MAX_FILE_BYTES {
        return Err("printed more than a known_hosts file may hold".to_owned());
    }
    Ok(lines)
}

/// Its first line that says something. The rest is read too: a full pipe would stop it.
async fn complaint(mut stderr: impl AsyncRead + Unpin) -> Result<String, String> {
    let mut said = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        let room = (2 * MAX_COMPLAINT).saturating_sub(said.len());
        said.extend_from_slice(&chunk[..read.min(room)]);
    }
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Ok(first.chars().take(MAX_COMPLAINT).map(|c| if is_unseen(c) { '?' } else { c }).collect())
}
