//! What of a unit's settings matters to a tunnel: commands, environment, account, folder; the rest becomes remarks. Pure.

use std::path::{Path, PathBuf};

use super::ReadFile;
use super::command::ExecCommand;
use super::find::UnitFile;
use super::specifiers::Specifiers;
use super::syntax::{self, Assignment, words};
use crate::import::account::Account;
use crate::sshconfig::{HostFacts, System};

/// When systemd starts the service again. tunneld does that to a tunnel by itself.
const RESTARTING: &[&str] = &[
    "Restart",
    "RestartSec",
    "RestartSteps",
    "RestartMaxDelaySec",
    "SuccessExitStatus",
    "RestartPreventExitStatus",
    "RestartForceExitStatus",
    "StartLimitIntervalSec",
    "StartLimitInterval",
    "StartLimitBurst",
];
/// Commands of their own, which no tunnel needs.
const COMMANDS: &[&str] = &["ExecCondition", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost"];
/// Read here.
const READ: &[&str] =
    &["ExecStart", "Environment", "EnvironmentFile", "UnsetEnvironment", "User", "WorkingDirectory", "DefaultInstance"];
/// About the order at boot, and for readers.
const USUAL: &[&str] = &["Description", "Documentation", "After", "Before", "Wants", "WantedBy", "Alias", "RequiredBy"];

#[derive(Debug, Default)]
pub(super) struct UnitSettings {
    pub(super) starts: Vec<String>,
    environment: Vec<(String, String)>,
    environment_files: Vec<String>,
    unset: Vec<String>,
    user: Option<String>,
    folder: Option<String>,
    /// `Key=value` of every other setting, in order.
    others: Vec<Assignment>,
}

/// The variables of a unit, and the files that could not be read.
#[derive(Debug, Default)]
pub(super) struct UnitEnvironment {
    pub(super) variables: Vec<(String, String)>,
    missing: Vec<String>,
}

impl UnitEnvironment {
    /// A remark for each file that could not be read.
    pub(super) fn missing(&self) -> Vec<String> {
        let remark = |file| format!("EnvironmentFile={file}: cannot be read here, so its variables are missing");
        self.missing.iter().map(remark).collect()
    }
}

impl UnitSettings {
    pub(super) fn read(text: &str, specifiers: &Specifiers) -> Self {
        let mut settings = Self::default();
        for setting in syntax::settings(text) {
            settings.set(setting, specifiers);
        }
        settings
    }

    fn set(&mut self, setting: Assignment, specifiers: &Specifiers) {
        let Assignment { key, value, .. } = &setting;
        let expanded = || words(value).iter().map(|word| specifiers.expand(word)).collect::<Vec<_>>();
        match key.as_str() {
            // An empty one forgets those before it.
            "ExecStart" if value.is_empty() => self.starts.clear(),
            "ExecStart" => self.starts.push(value.clone()),
            "Environment" if value.is_empty() => self.environment.clear(),
            "Environment" => self.environment.extend(expanded().iter().filter_map(|word| pair(word))),
            "EnvironmentFile" if value.is_empty() => self.environment_files.clear(),
            "EnvironmentFile" => self.environment_files.push(specifiers.expand(value)),
            "UnsetEnvironment" => self.unset.extend(expanded()),
            "User" => self.user = Some(specifiers.expand(value)).filter(|user| !user.is_empty()),
            "WorkingDirectory" => self.folder = Some(specifiers.expand(value)).filter(|folder| !folder.is_empty()),
            _ if value.is_empty() => self.others.retain(|other| other.key != *key),
            _ => self.others.push(setting),
        }
    }

    /// Files win over Environment=, as in systemd.
    pub(super) fn environment(&self, read: ReadFile<'_>) -> UnitEnvironment {
        let mut environment = UnitEnvironment { variables: self.environment.clone(), missing: Vec::new() };
        for file in &self.environment_files {
            match read(Path::new(file.trim_start_matches('-'))) {
                Some(text) => environment.variables.extend(
                    syntax::lines(&text)
                        .iter()
                        .filter_map(|line| line.split_once('='))
                        .map(|(name, value)| (name.trim().to_owned(), words(value.trim()).join(" "))),
                ),
                None => environment.missing.push(file.clone()),
            }
        }
        let unset = |(name, value): &(String, String)| {
            self.unset.iter().any(|unset| unset == name || *unset == format!("{name}={value}"))
        };
        environment.variables.retain(|variable| !unset(variable));
        environment
    }

    /// Whom a command runs as, and where, with the unit's environment alone.
    pub(super) fn account(
        &self,
        command: &ExecCommand,
        file: &UnitFile,
        environment: &UnitEnvironment,
        facts: &System,
    ) -> Account {
        let facts = facts.clone().without_variables().with(environment.variables.iter().cloned());
        let user = match (&self.user, file.of_user) {
            (Some(user), false) if !command.privileged => Some(user.as_str()),
            (_, false) => Some("root"),
            (_, true) => None,
        };
        let mut account = Account::of(user, &facts);
        let home = account.facts.home().map(Path::to_owned).unwrap_or_default();
        let folder = match self.folder.as_deref().map(|folder| folder.trim_start_matches('-')) {
            Some("~") => home,
            Some(folder) => PathBuf::from(folder),
            None if file.of_user => home,
            None => PathBuf::from("/"),
        };
        account.facts = account.facts.in_folder(folder);
        account
    }

    /// What has no key, and why it needs none.
    pub(super) fn remarks(&self, environment: &UnitEnvironment) -> Vec<String> {
        let mut remarks = environment.missing();
        let show = |setting: &Assignment| format!("{}={}", setting.key, setting.value);
        let (restarting, others): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|setting| RESTARTING.contains(&setting.key.as_str()));
        if !restarting.is_empty() {
            let all = restarting.into_iter().map(show).collect::<Vec<_>>().join(" ");
            remarks.push(format!("{all}: tunneld starts a tunnel again by itself; when is said by `backoff`"));
        }
        let (commands, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|setting| COMMANDS.contains(&setting.key.as_str()));
        remarks.extend(
            commands.into_iter().map(|setting| format!("{}: has no equivalent, and is not run", show(setting))),
        );
        let is_reported = |setting: &&Assignment| {
            let known = READ.contains(&setting.key.as_str()) || USUAL.contains(&setting.key.as_str());
            !known && !setting.section.starts_with("X-")
        };
        let (unit, service): (Vec<_>, Vec<_>) =
            others.into_iter().filter(is_reported).partition(|one| one.section == "Unit");
        for (settings, of) in [(unit, "the unit"), (service, "the service")] {
            if !settings.is_empty() {
                let all = settings.into_iter().map(show).collect::<Vec<_>>().join(" ");
                remarks.push(format!(
                    "of {of}, and no longer in force: {all}; what is still wanted goes into tunneld.service"
                ));
            }
        }
        remarks
    }
}

fn pair(word: &str) -> Option<(String, String)> {
    word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}
