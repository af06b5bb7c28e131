//! Whose ssh it was: what `~`, ssh's own files and relative paths are of.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tunnel_engine::spec::IdentitySpec;

use crate::config::{identities_of, user_known_hosts_of};
use crate::sshconfig::{HostFacts, ProxyRoute, Resolved, SYSTEM_FILE, System};

/// An account of this machine.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) facts: System,
    /// Its home, where it is another account than the one that imports: its defaults are written down then.
    other: Option<PathBuf>,
    /// What a user should know about it.
    pub(super) remarks: Vec<String>,
}

impl Account {
    /// The one of this name; without a name, the one that imports.
    pub(super) fn of(user: Option<&str>, facts: &System) -> Self {
        let Some(user) = user.filter(|user| facts.user() != Some(user)) else {
            return Self { facts: facts.clone(), other: None, remarks: Vec::new() };
        };
        let mut remarks = vec![format!(
            "runs as {user} today: the files below are that account's, and the account that runs tunneld must be able to read them"
        )];
        let home = facts.home_of(user).unwrap_or_else(|| {
            let home = PathBuf::from("/home").join(user);
            remarks.push(format!("there is no account {user} here: its home is taken to be {}", home.display()));
            home
        });
        let variables = [("HOME", home.display().to_string()), ("USER", user.to_owned()), ("LOGNAME", user.to_owned())];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let facts = facts.clone().of_account(user, &home).with(variables);
        Self { facts, other: Some(home), remarks }
    }

    /// The ssh_config of another account may be unreadable: then the system's alone is read, and a remark says so.
    pub(super) fn skip_unreadable_config(&self, named: &mut Option<String>) -> Option<String> {
        let own = self.other.as_ref().filter(|_| named.is_none())?.join(".ssh/config");
        let error = self.facts.read(&own).err().filter(|error| error.kind() == ErrorKind::PermissionDenied)?;
        let system = self.facts.read(Path::new(SYSTEM_FILE)).is_ok();
        *named = Some(if system { SYSTEM_FILE } else { "none" }.to_owned());
        Some(format!("{} is passed over: {error}; import as root, or as that account, to count it in", own.display()))
    }
}

/// Where a table says nothing, the files are those of the account that runs tunneld.
pub(super) fn fill_in(resolved: &mut Resolved, account: &Account) {
    let Some(home) = &account.other else { return };
    let settings = &mut resolved.settings;
    if !settings.has("identity_file") {
        let identities = existing(identities_of(home), &account.facts);
        settings.set("identity_file", |t| &mut t.session.auth.identities, identities);
    }
    if !settings.has("user_known_hosts_file") {
        settings.set("user_known_hosts_file", |t| &mut t.session.host_key.user_known_hosts, user_known_hosts_of(home));
    }
    if let ProxyRoute::Jump(jump) = &mut resolved.way {
        fill_in(jump, account);
    }
}

/// A file that is named must exist; of the default ones, those that exist count, and all where none can be seen.
fn existing(identities: Vec<IdentitySpec>, facts: &System) -> Vec<IdentitySpec> {
    let exists = |identity: &&IdentitySpec| {
        !facts.files(&glob::Pattern::escape(&identity.path.display().to_string())).is_empty()
    };
    let found: Vec<_> = identities.iter().filter(exists).cloned().collect();
    if found.is_empty() { identities } else { found }
}
