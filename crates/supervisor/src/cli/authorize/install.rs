//! `authorize --install`: appends the lines to the login's authorized_keys, over a login that works already, as
//! ssh-copy-id(1) does.

mod append;

use std::time::Duration;

use tunnel_engine::spec::{SecretSource, SessionSpec};

use super::report::ServerReport;
use super::shared::{self, SharedLogin};
use crate::cli::problem::{Problem, print, printable};
use crate::cli::server;
use crate::config::{Desired, TunnelSpec};
use crate::exit;
use crate::os::{Terminal, ask_line};

/// From dial to authenticated: a password may have to be typed (sshd's LoginGraceTime is as long).
const LOGIN_TIMEOUT: Duration = Duration::from_secs(120);

/// What to install, and whether to ask.
pub(super) struct Install<'a> {
    pub(super) tunnel: &'a TunnelSpec,
    /// `from=` of the line.
    pub(super) from: &'a [String],
    /// `USER@HOST[:PORT]`.
    pub(super) over: &'a str,
    /// Without a question.
    pub(super) yes: bool,
}

/// Shows the lines, asks, logs in, and appends them.
pub(super) async fn run(install: &Install<'_>, desired: &Desired) -> Result<u8, Problem> {
    let session = session(install.over, desired)?;
    let login = login(shared::logins(install.tunnel, &desired.tunnels).await, install.tunnel, &session)?;
    let report = ServerReport { tunnel: &install.tunnel.name, shared: &login, from: install.from };
    let lines = report.keyed_lines();
    if lines.is_empty() {
        return Err(Problem::No(format!(
            "tunnel `{}` has no key to authorize: make one with `ssh-keygen -t ed25519 -N ''`, and name it as \
             `identity_file`",
            install.tunnel.name
        )));
    }
    let place = format!("~{}/.ssh/authorized_keys on {}", session.destination.user, session.destination.host_port());
    let shown: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    print(&printable(&format!("# For {place}:\n{shown}")))?;
    if !install.yes {
        confirm(&place)?;
    }
    let done = append::append(&session, &lines).await?;
    print(&printable(&done.text(&place, &install.tunnel.name))).map(|()| exit::OK)
}

/// The login to use: by the route and the known_hosts files of the config where the server is in it, with the user's own
/// keys, agent and password.
fn session(over: &str, desired: &Desired) -> Result<SessionSpec, Problem> {
    let own = server::by_ssh_config(over)?;
    let user = own.destination.user.clone();
    let mut session = match server::at(over, desired)? {
        Some(known) => SessionSpec { auth: own.auth, ..known },
        None => own,
    };
    session.destination.user = user;
    session.timing.connect_timeout = LOGIN_TIMEOUT;
    if Terminal::open().is_some() {
        let asker = Terminal::asker();
        session.auth.password.get_or_insert(SecretSource::Ask(asker.clone()));
        session.auth.passphrase.get_or_insert(SecretSource::Ask(asker));
    }
    Ok(session)
}

/// Which server of the tunnel's route that is.
fn login(mut logins: Vec<SharedLogin>, tunnel: &TunnelSpec, session: &SessionSpec) -> Result<SharedLogin, Problem> {
    let destination = |shared: &SharedLogin| shared.login.session.destination.clone();
    let at = session.destination.host_port();
    let found = logins.iter().position(|shared| destination(shared).host_port() == at);
    let login = match (found, logins.len()) {
        (Some(index), _) => logins.swap_remove(index),
        // By another name, as from inside its network.
        (None, 1) => logins.swap_remove(0),
        (None, _) => {
            let names: Vec<_> = logins.iter().map(|shared| format!("`{}`", destination(shared))).collect();
            return Err(Problem::No(format!(
                "tunnel `{}` does not go by `{at}`: its servers are {}",
                tunnel.name,
                names.join(", ")
            )));
        }
    };
    let (user, wanted) = (&session.destination.user, destination(&login));
    if *user != wanted.user {
        return Err(Problem::No(format!(
            "the tunnel logs in as `{}`, and `{user}` has another authorized_keys: install over `{}@{}`, or append what \
             `tunneld authorize {}` prints by hand",
            wanted.user, wanted.user, wanted.host, tunnel.name
        )));
    }
    Ok(login)
}

fn confirm(place: &str) -> Result<(), Problem> {
    let question = printable(&format!("Append this to {place} (yes/no)? "));
    match ask_line(&question) {
        Some(answer) if ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str()) => Ok(()),
        Some(_) => Err(Problem::No("nothing was written".to_owned())),
        None => Err(Problem::No(
            "nothing was written: there is no terminal to ask at; say --yes to append the lines without a question"
                .to_owned(),
        )),
    }
}
