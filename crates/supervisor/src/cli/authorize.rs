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

use std::io::{self, Write as _};

use nix::unistd::geteuid;

use super::account::other_of_daemon;
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
    if let Some(daemon) = other_of_daemon(global, Some(&desired)) {
        let note = keys_are_others(&daemon.name, geteuid().is_root(), &tunnel.name, args.installs());
        // The lines matter more than a note that cannot be told.
        let _ = io::stderr().write_all(printable(&note).as_bytes());
    }
    block_on(async {
        let Some(over) = &args.install else {
            return print(&printable(&text(tunnel, &desired.tunnels, &args.from).await)).map(|()| exit::OK);
        };
        let install = Install { tunnel, from: &args.from, over, yes: args.yes };
        install::run(&install, &desired).await
    })
}

/// What to tell where the daemon runs as another account: default keys, an agent and a home are each account's own.
fn keys_are_others(daemon: &str, is_root: bool, tunnel: &str, installs: bool) -> String {
    let run_as = if is_root { format!("runuser -u {daemon} --") } else { format!("sudo -u {daemon}") };
    let then = if installs { ", and append what it prints" } else { "" };
    format!(
        "tunneld: the daemon runs as `{daemon}`, whose keys are others than this user's, which are looked at here\n\
         hint: run `{run_as} tunneld authorize {tunnel}`{then}\n"
    )
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::unistd::User;

    use super::*;

    #[test]
    fn keys_of_another_account_are_said_to_be_the_daemons() {
        let note = keys_are_others("tunneld", true, "web-db", false);
        assert!(note.contains("the daemon runs as `tunneld`, whose keys are others"), "{note}");
        assert!(note.ends_with("hint: run `runuser -u tunneld -- tunneld authorize web-db`\n"), "{note}");
        assert!(
            keys_are_others("tunneld", false, "web-db", true)
                .contains("run `sudo -u tunneld tunneld authorize web-db`, and")
        );
    }

    #[test]
    fn owner_of_the_control_socket_runs_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let global = GlobalArgs { control_socket: Some(socket.clone()), ..GlobalArgs::default() };
        assert_eq!(other_of_daemon(&global, None).map(|user| user.name), None, "this process' own");
        // Only root can give it away.
        let other = User::from_name("nobody").unwrap().filter(|_| geteuid().is_root());
        if let Some(other) = other {
            std::os::unix::fs::chown(&socket, Some(other.uid.as_raw()), None).unwrap();
            assert_eq!(other_of_daemon(&global, None).map(|user| user.uid), Some(other.uid));
        }
    }
}
