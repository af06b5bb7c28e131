//! The calls into the kernel.

use std::fmt;
use std::io;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::paths::Access;
use super::rules::Rule;

/// Rights that later kernels add are not taken away: among them is connecting to unix sockets (ABI 9), and forwards go
/// anywhere.
const FILES: ABI = ABI::V5;

#[derive(Debug)]
pub(super) struct Enforced {
    abi: String,
    /// The kernel is older than what was asked for.
    in_part: bool,
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ABI {}", self.abi)?;
        if self.in_part { f.write_str(", in part: a newer kernel can do more") } else { Ok(()) }
    }
}

/// Holds this thread, and those that it starts, to the rules.
///
/// # Errors
/// The kernel has no Landlock, or refuses.
pub(super) fn restrict(rules: &[Rule]) -> io::Result<Enforced> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(FILES))
        .and_then(|ruleset| ruleset.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    for rule in rules {
        // What went away since it was looked at needs no rule.
        let Ok(path) = PathFd::new(&rule.path) else { continue };
        let rights =
            if rule.path.is_dir() { rights(rule.access) } else { rights(rule.access) & AccessFs::from_file(FILES) };
        ruleset = ruleset.add_rule(PathBeneath::new(path, rights)).map_err(io::Error::other)?;
    }
    let status = ruleset.restrict_self().map_err(io::Error::other)?;
    enforced(&status).ok_or_else(|| {
        io::Error::other(
            "this kernel has no Landlock, it is switched off (`lsm=` at boot), or a system call filter forbids it",
        )
    })
}

fn enforced(status: &RestrictionStatus) -> Option<Enforced> {
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else { return None };
    let in_part = match status.ruleset {
        RulesetStatus::FullyEnforced => false,
        RulesetStatus::PartiallyEnforced => true,
        RulesetStatus::NotEnforced => return None,
    };
    Some(Enforced { abi: format!("{effective_abi:?}").trim_start_matches('V').to_owned(), in_part })
}

/// Never the right to run a program or to make devices.
fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match access {
        Access::Read => read,
        Access::Control => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
        Access::Write => {
            read | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSock
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
        }
    }
}
