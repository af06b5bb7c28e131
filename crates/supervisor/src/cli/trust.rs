//! `trust`: shows a server's host keys, and writes those into known_hosts that the user says are right.
//!
//! ```text
//! word ─► server (config or ssh_config) ─► scan ─► standing of each key ─► verdict (pure) ─► known_hosts ─► daemon
//! ```

mod blocked;
mod fingerprint;
mod reader;
mod verdict;

use std::io::{self, Write};
use std::path::PathBuf;

use tunnel_engine::clock;
use tunnel_engine::dial::NetDialer;
use tunnel_engine::examine::{Scan, host_keys};
use tunnel_engine::hostkey::{HostKey, HostKeys, Trusted, Until};
use tunnel_engine::spec::SessionSpec;

use super::args::GlobalArgs;
use super::problem::{Problem, print, printable};
use super::{block_on, server};
use crate::exit;
use crate::os::ask_line;
use fingerprint::Fingerprint;
use reader::Reader;
use verdict::{Confirmation, ShownKey, TrustVerdict};

/// As ssh asks until it is yes or no; an answer that is neither this often is a no.
const MAX_UNCLEAR_ANSWERS: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct TrustArgs {
    /// The server: a host of the config, also a jump host, a tunnel's name, or a host as after `ssh`
    #[arg(value_name = "HOST[:PORT]")]
    host: String,
    /// Do not ask: the key with this fingerprint is right; also the line of `ssh-keygen -lf KEY` on the server
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<Fingerprint>,
    /// Write into this file [default: the first user_known_hosts_file of the config or of ssh_config]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The name that known_hosts has for the server, instead of HOST
    #[arg(long, value_name = "NAME")]
    host_key_alias: Option<String>,
}

impl TrustArgs {
    pub(super) const fn names_file(&self) -> bool {
        self.file.is_some()
    }
}

pub(super) fn run(global: &GlobalArgs, args: TrustArgs) -> Result<u8, Problem> {
    let desired = server::config_if_any(global)?;
    let mut spec = server::named(&args.host, desired.as_ref())?;
    if let Some(file) = args.file {
        // Only what this file has counts.
        spec.host_key.user_known_hosts = vec![std::path::absolute(file).map_err(Problem::Start)?];
        spec.host_key.global_known_hosts.clear();
    }
    spec.host_key.alias = args.host_key_alias.or(spec.host_key.alias);
    let done = block_on(trust(&spec, args.fingerprint.as_ref()))?;
    desired.iter().for_each(|desired| blocked::retry(desired, &spec));
    let reader = Reader::of_daemon(global, desired.as_ref());
    let file = spec.host_key.user_known_hosts.first();
    if let Some(warning) = file.and_then(|file| reader?.warning(file)) {
        // The key is written; a warning that cannot be told changes nothing about that.
        let _ = io::stderr().write_all(printable(&warning).as_bytes());
    }
    Ok(done)
}

async fn trust(spec: &SessionSpec, fingerprint: Option<&Fingerprint>) -> Result<u8, Problem> {
    let Some(file) = spec.host_key.user_known_hosts.first() else {
        return Err(Problem::No("no known_hosts file is set for this server: name one with --file".to_owned()));
    };
    let Scan { keys, cut_short } = host_keys(spec, &NetDialer::new()).await?;
    let until = Until { deadline: clock::Deadline::after(spec.timing.connect_timeout), given_up: Default::default() };
    let known = HostKeys::load(&spec.host_key, &spec.destination, until).await?;
    let mut shown = Vec::new();
    for key in &keys {
        shown.push(ShownKey { key: key.clone(), standing: known.standing(key).await });
    }
    print(&printable(&verdict::table(known.name(), &shown)))?;
    if let Some(failure) = cut_short {
        print(&printable(&format!("  it may have more: {failure}\n")))?;
    }
    if let Some(failure) = verdict::objection(&shown).or_else(|| known.replaced(&keys)) {
        return Err(failure.into());
    }
    let new = match verdict::judge(&shown, fingerprint) {
        TrustVerdict::Known => {
            return print(&format!("`{}` is known already\n", known.name())).map(|()| exit::OK);
        }
        TrustVerdict::Other => {
            return Err(Problem::No(format!(
                "none of these keys has the fingerprint that was given, and nothing was written: it is another server's, or \
                 another machine answers in place of `{}`",
                known.name()
            )));
        }
        TrustVerdict::Write(new) => new,
        TrustVerdict::Ask(new) => asked(new, file)?,
    };
    let written = known.trust(file, &new).await;
    match written.map_err(|error| Problem::No(format!("cannot write `{}`: {error}", file.display())))? {
        Trusted::Changed(failure) => Err(failure.into()),
        Trusted::Written => {
            let names: Vec<_> = new.iter().map(HostKey::kind).collect();
            let text = format!(
                "wrote {} of `{}` into {}: a tunnel that waits for it goes on by itself\n",
                names.join(", "),
                known.name(),
                file.display()
            );
            print(&printable(&text)).map(|()| exit::OK)
        }
    }
}

/// The keys that the user says are right.
fn asked(new: Vec<HostKey>, file: &std::path::Path) -> Result<Vec<HostKey>, Problem> {
    print(verdict::COMPARE)?;
    let question =
        format!("Are these the server's keys, to be written into {} (yes/no/[fingerprint])? ", file.display());
    let mut prompt = printable(&question);
    for _ in 0..MAX_UNCLEAR_ANSWERS {
        let Some(answer) = ask_line(&prompt) else {
            return Err(Problem::No(
                "nothing was written: there is no terminal to ask at; say which key is right with --fingerprint SHA256:…"
                    .to_owned(),
            ));
        };
        match verdict::answer(&answer, &new) {
            Confirmation::Trust(keys) => return Ok(keys),
            Confirmation::No => break,
            Confirmation::Unclear => "Please type 'yes', 'no' or the fingerprint: ".clone_into(&mut prompt),
        }
    }
    Err(Problem::No("nothing was written".to_owned()))
}
