//! `init`: a first config, from the command line or from answers on a terminal. It is read as the daemon reads it before
//! it is written, and never takes the place of another file unasked.
//!
//! ```text
//! flags ─► questions (for what is missing) ─► Wanted ─► toml (pure) ─► config::load_text ─► write ─► next (pure)
//! ```

mod next;
mod questions;
mod toml;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use tunnel_engine::clock;
use tunnel_engine::hostkey::{HostKeys, Until};
use tunnel_engine::spec::ForwardKind;

use super::args::GlobalArgs;
use super::problem::{Problem, print, printable};
use crate::config::{self, Overrides, TunnelSpec};
use crate::exit;
use next::NextContext;
use write::ServiceAccount;

/// The options of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The server as after `ssh`, a Host alias of ~/.ssh/config too
    #[arg(value_name = "[USER@]HOST[:PORT]")]
    server: Option<String>,
    /// Listen here, connect from the server, as 3307:127.0.0.1:3306; may be given again, as all three
    #[arg(short = 'L', long, value_name = "SPEC")]
    local: Vec<String>,
    /// Listen on the server, connect from here, as 2222:localhost:22
    #[arg(short = 'R', long, value_name = "SPEC")]
    remote: Vec<String>,
    /// Listen here as a SOCKS proxy, as 1080
    #[arg(short = 'D', long, value_name = "SPEC")]
    dynamic: Vec<String>,
    /// Name of the tunnel [default: the host's]
    #[arg(long)]
    name: Option<String>,
    /// Private key file [default: those of ssh]
    #[arg(short, long, value_name = "FILE")]
    identity: Option<String>,
    /// Write here [default: /etc/tunneld.toml for root, else ~/.config/tunneld/config.toml]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// A tunnel as the user describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct InitTunnel {
    /// `[user@]host[:port]`.
    server: String,
    /// As after ssh's option.
    forwards: Vec<(ForwardKind, String)>,
    name: Option<String>,
    identity: Option<String>,
}

pub(super) fn run(global: &GlobalArgs, args: InitArgs) -> Result<u8, Problem> {
    let own = config::own_config();
    let path = args.output.clone().or_else(|| global.config.clone()).unwrap_or_else(|| own.clone());
    let path = std::path::absolute(path).map_err(Problem::Start)?;
    if path.symlink_metadata().is_ok() && !args.force {
        return Err(Problem::No(format!(
            "`{}` exists, and is left as it is: add a [[tunnel]] to it, name another file with --output, or replace it \
             with --force",
            path.display()
        )));
    }
    let force = args.force;
    let mut wanted = questions::complete(args)?;
    wanted.identity = wanted.identity.map(|file| from_here(&file)).transpose().map_err(Problem::Start)?;
    let account = ServiceAccount::that_runs(&path);
    let text = toml::config(&wanted, &config::facts());
    let desired =
        config::load_text_for(&path, &text, &Overrides::default(), &account.facts()).map_err(Problem::Config)?;
    write::write(&path, &text, force, &account).map_err(|error| {
        Problem::No(format!("cannot write `{}`: {error}; name another file with --output", path.display()))
    })?;
    let next = |tunnel| NextContext {
        path: &path,
        is_default: path == own,
        tunnel,
        host_known: is_host_known(tunnel),
        service: account.is_service(),
        home: account.home(),
    };
    let text: String = desired.tunnels.iter().map(|tunnel| next(tunnel).text()).collect();
    print(&printable(&text)).map(|()| exit::OK)
}

/// A relative path in a config starts from the config's folder; one that is typed, from the current one.
fn from_here(file: &str) -> io::Result<String> {
    let path = Path::new(file);
    let whole = path.is_absolute() || file.starts_with(['~', '$']);
    if whole { Ok(file.to_owned()) } else { std::path::absolute(path).map(|path| path.display().to_string()) }
}

/// Whether known_hosts has lines for the server. What cannot be read knows nothing.
fn is_host_known(tunnel: &TunnelSpec) -> bool {
    let spec = &tunnel.session;
    let until = Until { deadline: clock::Deadline::after(spec.timing.connect_timeout), given_up: Default::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let keys = runtime.ok().map(|runtime| runtime.block_on(HostKeys::load(&spec.host_key, &spec.destination, until)));
    keys.is_some_and(|keys| keys.is_ok_and(|keys| keys.has_lines()))
}
