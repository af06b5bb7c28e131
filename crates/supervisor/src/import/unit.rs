//! A unit file that runs autossh or ssh: its commands with their environment, and what else it says. What a
//! setting means is said by systemd.service(5), systemd.exec(5) and systemd.unit(5).

mod command;
mod find;
mod settings;
mod specifiers;
mod syntax;
#[cfg(test)]
pub(super) mod tests;

use std::path::Path;

use super::ImportError;
use super::account::Account;
use super::keys::{KeyLines, UniqueNames};
use super::line;
use crate::sshconfig::System;
use command::ExecCommand;
use settings::UnitSettings;
use specifiers::Specifiers;

pub use find::{UnitFile, read_part};

/// Reads the text of a file that a unit names, or gives `None`.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The tables of a unit's commands.
///
/// # Errors
/// No command in it is autossh's or ssh's, or one means no tunnel, or it is a template and no instance is named.
pub fn unit(file: &UnitFile, read: ReadFile<'_>, facts: &System) -> Result<String, ImportError> {
    let file = &file.with_default_instance();
    let specifiers = Specifiers::of(file, facts);
    let settings = UnitSettings::read(&file.text, &specifiers);
    let environment = settings.environment(read);
    let commands: Vec<ExecCommand> =
        settings.starts.iter().flat_map(|start| ExecCommand::of(start, &specifiers)).collect();
    if file.is_template() && specifiers.instance_was_asked_for() {
        let example = file.path.with_file_name(file.name.replacen('@', "@NAME", 1));
        return Err(ImportError::one(format!(
            "{} is a template: name one of its instances, as in `tunneld import unit {}`",
            file.name,
            example.display()
        )));
    }
    let (ours, rest): (Vec<_>, Vec<_>) = commands.into_iter().partition(ExecCommand::runs_ssh);
    let others: Vec<String> =
        rest.iter().map(|command| format!("ExecStart={}: runs neither autossh nor ssh", command.text)).collect();
    let (mut tables, mut names) = (Vec::new(), UniqueNames::of_unit(&file.name));
    for command in &ours {
        let mut keys = KeyLines::default();
        if tables.is_empty() {
            settings.remarks(&environment).iter().chain(&others).for_each(|remark| keys.remark(remark));
        }
        let account = settings.account(command, file, &environment, facts);
        let mut unset = Vec::new();
        let invocation = command.invocation(&account.facts, &mut unset);
        if specifiers.instance_was_asked_for() && !file.name.contains('@') {
            unset.push("%i is empty: the unit's name has no instance, as `tunnel@relay.service` has".to_owned());
        }
        unset.iter().for_each(|unset| keys.remark(unset));
        let account = match invocation.account(&account.facts) {
            Some(user) => Account::of(Some(&user), &account.facts),
            None => account,
        };
        line::tunnel(&mut keys, &invocation, &account, &mut names).map_err(|ImportError(mut errors)| {
            errors.extend(environment.missing());
            errors.append(&mut unset);
            ImportError(errors)
        })?;
        let unknown = specifiers.unknown();
        if !unknown.is_empty() {
            keys.remark(format!("{unknown}: systemd's, and not filled in here"));
        }
        tables.push(keys.write());
    }
    if tables.is_empty() {
        let mut errors = vec!["no ExecStart of this unit runs autossh or ssh".to_owned()];
        errors.extend(others);
        return Err(ImportError(errors));
    }
    Ok(tables.join("\n"))
}
