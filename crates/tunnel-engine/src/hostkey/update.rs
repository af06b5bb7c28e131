//! ssh_config UpdateHostKeys: after a login the server names all its host keys (OpenSSH PROTOCOL, hostkeys-00);
//! known_hosts follows, so that a key can change without an error. What may be changed is ssh's rule.

use std::io;
use std::path::{Path, PathBuf};

use russh::keys::PublicKey;

use super::blocking;
use super::entry::{Entry, EntryFilter, KeySource, Marker};
use super::key::HostKey;
use super::name::{HostNames, ServerName};
use super::replace::{self, Edit};
use super::store;
use super::verdict::lines;
use crate::spec::{HostKeySpec, PromptKind, PrompterHandle, UpdateHostKeys};

/// As ssh: no answer by then means no.
const ASKED_AT_MOST: u32 = 3;

/// A server has a handful, one of each type.
const MAX_ANNOUNCED: usize = 64;

/// Has known_hosts follow one server.
#[derive(Debug, Clone)]
pub struct Updates {
    files: Vec<PathBuf>,
    name: String,
    /// HostKeyAlgorithms that are no certificates; those that are not implemented here count too.
    accepted: Vec<String>,
    ask: Option<PrompterHandle>,
    /// New lines have the name as a hash, whatever the lines that are there have.
    hash_names: bool,
}

/// What known_hosts lacks, and what it has too much of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHostsChange {
    learned: Vec<HostKey>,
    gone: Vec<HostKey>,
    /// Gets the new lines: the first one that knows the server.
    file: PathBuf,
    /// The names of its lines are hashed.
    hashed: bool,
}

impl Updates {
    pub(super) fn new(spec: &HostKeySpec, server: &ServerName, accepted: Vec<String>) -> Option<Self> {
        let ask = match (spec.update, &spec.ask) {
            (UpdateHostKeys::Yes, _) => None,
            (UpdateHostKeys::Ask, Some(asker)) => Some(asker.clone()),
            (UpdateHostKeys::No, _) | (UpdateHostKeys::Ask, None) => return None,
        };
        let (files, name) = (spec.user_known_hosts.clone(), server.lookup.clone());
        store::writable(&name).then(|| Self { files, name, accepted, ask, hash_names: spec.hash_names })
    }

    /// What would change, if anything, and which keys the server has to prove first. Files are read off the runtime's
    /// thread.
    ///
    /// # Errors
    /// Why nothing can be changed, in words.
    pub async fn review(&self, announced: &[PublicKey]) -> Result<Option<(KnownHostsChange, Vec<PublicKey>)>, String> {
        if announced.len() > MAX_ANNOUNCED {
            return Err(format!("it announced more than {MAX_ANNOUNCED} keys"));
        }
        let pairs: Vec<(HostKey, &PublicKey)> =
            announced.iter().filter_map(|key| HostKey::of(key.key_data()).map(|ours| (ours, key))).collect();
        let keys: Vec<HostKey> = pairs.iter().map(|(key, _)| key.clone()).collect();
        let (files, name, announced) = (self.files.clone(), self.name.clone(), keys.clone());
        let read = blocking(move || Ok(relevant(&files, &name, announced)));
        let entries = read.await.map_err(|failure| failure.to_string())?.map_err(|error| error.to_string())?;
        let Some(change) = plan(&entries, &self.name, &self.accepted, &keys)? else { return Ok(None) };
        let change = KnownHostsChange { hashed: change.hashed || self.hash_names, ..change };
        let unproven = pairs.iter().filter(|(key, _)| change.learned.contains(key));
        let unproven = unproven.map(|(_, key)| (*key).clone()).collect();
        Ok(Some((change, unproven)))
    }

    /// Writes a change down whose keys are proven. Says in the log what it did, or why it could not.
    pub async fn apply(&self, change: KnownHostsChange) {
        if !self.agreed(&change).await {
            return;
        }
        let (files, name) = (self.files.clone(), self.name.clone());
        let written = blocking(move || {
            for path in &files {
                let (server, file) = (&name, path.display());
                match replace::replace(path, server, |entries| change.edit(entries, server, path)) {
                    Ok(edit) => edit.log_edit(server, path),
                    Err(error) => {
                        tracing::warn!(server, %file, %error, "`{server}`: `{file}` does not follow the server's host keys: {error}");
                    }
                }
            }
            Ok(())
        });
        if let Err(failure) = written.await {
            let server = self.name.as_str();
            tracing::warn!(server, kind = %failure.kind(), "`{server}`: known_hosts does not follow the server's host keys: {failure}");
        }
    }

    async fn agreed(&self, change: &KnownHostsChange) -> bool {
        let Some(asker) = self.ask.clone() else { return true };
        let names = |keys: &[HostKey]| keys.iter().map(ToString::to_string).collect();
        let question = PromptKind::UpdateHostKeys {
            server: self.name.clone(),
            learned: names(&change.learned),
            gone: names(&change.gone),
        };
        let answer = blocking(move || {
            let answers = (0..ASKED_AT_MOST).map_while(|again| asker.ask(&question, again));
            let clear = |answer: &str| match answer.trim().to_ascii_lowercase().as_str() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            };
            Ok(answers.into_iter().find_map(|answer| clear(&answer)).unwrap_or(false))
        });
        answer.await.unwrap_or(false)
    }
}

impl KnownHostsChange {
    /// What becomes of one file, as it is now.
    fn edit(&self, entries: &[Entry], name: &str, path: &Path) -> Edit {
        let known: Vec<&Entry> = lines(entries, name, Marker::Plain).collect();
        let gone = known.iter().filter(|entry| self.gone.contains(&entry.key));
        let gone = gone.map(|entry| (entry.at.line, entry.key.clone())).collect();
        // Another tunnel to this server may have been faster.
        let missing = |key: &&HostKey| *path == *self.file && !known.iter().any(|entry| entry.key == **key);
        let name = if self.hashed { HostNames::hashed(name) } else { Some(name.to_owned()) };
        let new = name.map(|name| {
            let line = |key: &HostKey| (format!("{name} {}", key.to_known_hosts()), key.clone());
            self.learned.iter().filter(missing).map(line).collect()
        });
        Edit { gone, new: new.unwrap_or_default() }
    }
}

/// The lines for `name`, and those with a key that is announced or that such a line has: a key that is known under
/// another name decides, too.
fn relevant(files: &[PathBuf], name: &str, mut keys: Vec<HostKey>) -> io::Result<Vec<Entry>> {
    let names = [name];
    let read = |wanted: EntryFilter<'_>| {
        let read = files.iter().map(|path| store::read(path, KeySource::User, wanted));
        read.collect::<io::Result<Vec<_>>>().map(|entries| entries.concat())
    };
    let own = EntryFilter::names(&names);
    keys.extend(read(own)?.into_iter().map(|entry| entry.key));
    read(own.or_keys(&keys))
}

/// ssh's rule: only where every line for the name is plain and for this name alone, and none of the keys is known under
/// another name. Types that HostKeyAlgorithms leaves out are left alone.
///
/// # Errors
/// Why there is a difference, and nothing may be done about it.
fn plan(
    entries: &[Entry],
    name: &str,
    accepted: &[String],
    announced: &[HostKey],
) -> Result<Option<KnownHostsChange>, String> {
    let is_ours = |key: &HostKey| accepted.iter().any(|name| key.serves(name));
    let (own, others): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.names.matches(name));
    let mut learned: Vec<HostKey> = Vec::new();
    for key in announced.iter().filter(|key| is_ours(key)) {
        if learned.contains(key) {
            return Err(format!("it announced {key} twice"));
        }
        learned.push(key.clone());
    }
    if learned.is_empty() {
        return Ok(None);
    }
    let gone = own.iter().filter(|entry| is_ours(&entry.key) && !announced.contains(&entry.key));
    let gone: Vec<HostKey> = gone.map(|entry| entry.key.clone()).collect();
    learned.retain(|key| !own.iter().any(|entry| entry.key == *key));
    if learned.is_empty() && gone.is_empty() {
        return Ok(None);
    }
    if let Some(entry) = own.iter().find(|entry| entry.marker != Marker::Plain || !entry.names.is_simple()) {
        return Err(format!("`{}` is not a line for this server alone", entry.at));
    }
    if let Some(entry) = others.iter().find(|entry| announced.contains(&entry.key) || gone.contains(&entry.key)) {
        return Err(format!("`{}` has one of its keys under another name", entry.at));
    }
    let Some(first) = own.first() else { return Err("no line is for it any more".to_owned()) };
    let hashed = matches!(first.names, HostNames::Hashed { .. });
    Ok(Some(KnownHostsChange { learned, gone, file: first.at.file.to_path_buf(), hashed }))
}

#[cfg(test)]
mod tests;
