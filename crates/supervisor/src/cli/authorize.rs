//! `authorize`: what the servers of a tunnel have to allow, and nothing more, as the lines that their owners add.
//!
//! ```text
//! tunnel ─► needs (a login for each server of the route) ─► shared (with the tunnels that have the same login)
//!        ─► report (by sshd_config: options, Match block) ─► text, or install
//! ```

mod install;
mod needs;
mod report;
mod shared;
mod sshd_config;

use nix::unistd::geteuid;

use super::args::GlobalArgs;
use super::block_on;
use super::problem::{Problem, print, printable};
use super::run::overrides;
use crate::config::{self, TunnelSpec};
use crate::exit;
use crate::supervise;
use install::Install;
use report::ServerReport;

#[derive(Debug, clap::Args)]
pub(super) struct AuthorizeArgs {
    /// The tunnel
    #[arg(value_name = "NAME")]
    name: String,
    /// The key may be used from these addresses only, as sshd(8) has it: 192.0.2.7, 10.0.0.0/8, *.example.com
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    from: Vec<String>,
    /// Append the line to that login's ~/.ssh/authorized_keys, after showing it; the login has to work already
    #[arg(long, value_name = "USER@HOST[:PORT]")]
    install: Option<String>,
    /// Do not ask before
    #[arg(long, requires = "install")]
    yes: bool,
}

impl AuthorizeArgs {
    pub(super) const fn installs(&self) -> bool {
        self.install.is_some()
    }
}

pub(super) fn run(global: &GlobalArgs, args: AuthorizeArgs) -> Result<u8, Problem> {
    let desired = config::load(&global.existing_config()?, &overrides(global)).map_err(Problem::Config)?;
    let tunnel = find(&desired.tunnels, &args.name)?;
    if let Some(user) = desired.global.user.as_ref().filter(|_| args.installs() && geteuid().is_root()) {
        return Err(Problem::No(format!(
            "the tunnels run as `{user}`, by that user's keys, which root does not have: append what `tunneld authorize {}` \
             prints, or run this as `{user}`",
            tunnel.name
        )));
    }
    block_on(async {
        let Some(over) = &args.install else {
            return print(&printable(&text(tunnel, &desired.tunnels, &args.from).await)).map(|()| exit::OK);
        };
        let install = Install { tunnel, from: &args.from, over, yes: args.yes };
        install::run(&install, &desired).await
    })
}

async fn text(tunnel: &TunnelSpec, all: &[TunnelSpec], from: &[String]) -> String {
    let logins = shared::logins(tunnel, all).await;
    let texts = logins.iter().map(|shared| ServerReport { tunnel: &tunnel.name, shared, from }.text());
    texts.collect::<Vec<_>>().join("\n")
}

fn find<'a>(tunnels: &'a [TunnelSpec], name: &str) -> Result<&'a TunnelSpec, Problem> {
    let found = supervise::named(tunnels, &[name.to_owned()]).map_err(Problem::No)?;
    found.into_iter().next().ok_or_else(|| Problem::No(format!("no tunnel is named `{name}`")))
}

/// sshd's lists have commas, and nothing that would end the option.
fn pattern(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_graphic() && !"\"\\,".contains(c);
    match !text.is_empty() && text.chars().all(fine) {
        true => Ok(text.to_owned()),
        false => Err("write one pattern of a host name or address, and --from again for the next".to_owned()),
    }
}
