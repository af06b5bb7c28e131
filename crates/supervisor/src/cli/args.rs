//! The command line as clap sees it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use super::authorize::AuthorizeArgs;
use super::completions::Shell;
use super::container;
use super::init::InitArgs;
use super::problem::Problem;
use super::trust::TrustArgs;
use crate::config;
use crate::protocol::MAX_WAIT_MS;
use crate::spec::duration_with_units;

/// Keeps SSH tunnels up. Without a command it runs the daemon in the foreground.
#[derive(Debug, Parser)]
#[command(name = "tunneld", disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 fine, 1 the answer is no, 3 no daemon answers, 64 wrong usage,\n\
    69 another instance runs, 73 cannot create pidfile or socket, 78 config error")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: GlobalArgs,
    /// Print the version
    #[arg(short = 'V', long)]
    pub(super) version: bool,
    /// With --version: the commit, how it was built, and the algorithms that it can offer
    #[arg(long, requires = "version")]
    pub(super) verbose: bool,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// Before or after the verb; a flag wins over the environment, which wins over the file.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct GlobalArgs {
    /// Config file [default: /etc/tunneld.toml, and before it for a user ~/.config/tunneld/config.toml]
    #[arg(short, long, global = true, env = "TUNNELD_CONFIG", value_name = "FILE", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
    /// Control socket, instead of the config file's
    #[arg(long, global = true, env = "TUNNELD_CONTROL_SOCKET", value_name = "PATH", hide_env_values = true)]
    pub(super) control_socket: Option<PathBuf>,
    /// error, warn, info, debug, trace, or a filter such as info,tunnel_engine=debug
    #[arg(long, global = true, env = "TUNNELD_LOG_LEVEL", value_name = "LEVEL", hide_env_values = true)]
    pub(super) log_level: Option<String>,
    /// Pidfile, instead of the config file's
    #[arg(long, global = true, env = "TUNNELD_PID_FILE", value_name = "PATH", hide_env_values = true)]
    pub(super) pid_file: Option<PathBuf>,
}

impl GlobalArgs {
    pub(super) fn config_file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(config::default_config)
    }

    /// The config file of a verb that needs one. A file that is named need not exist: reading it says so.
    pub(super) fn existing_config(&self) -> Result<PathBuf, Problem> {
        let path = self.config_file();
        if self.config.is_none() && matches!(path.try_exists(), Ok(false)) {
            return Err(Problem::NoConfig { own: config::own_config(), default: path });
        }
        Ok(path)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the daemon in the foreground
    Run,
    /// Run the daemon as a container's command: by the config file where there is one, else by the environment
    #[command(after_long_help = container::HELP)]
    Container {
        /// Print the config that the environment comes to, and run nothing
        #[arg(long)]
        print: bool,
    },
    /// Write a first config, check it, and say what is next; asks on a terminal for what is not given
    Init(InitArgs),
    /// Print what the servers of a tunnel have to allow: lines for authorized_keys and sshd_config
    Authorize(AuthorizeArgs),
    /// Show a server's host keys, and write them into known_hosts once they are said to be right
    Trust(TrustArgs),
    /// Read the config and print every error, or the tunnels as they would run
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how the tunnels are; exit 1 unless all of them are ready
    Status {
        /// Only these
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Again each second, until q or Ctrl-C
        #[arg(long, short)]
        watch: bool,
    },
    /// Say in one paragraph why a tunnel is as it is
    Why {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Print what happened: changes of phase and readiness, orders, reloads and changes of the network, with their
    /// causes
    Events {
        /// Only of these, and of tunneld as a whole
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// A JSON object a line
        #[arg(long)]
        json: bool,
        /// Go on with what happens from now on; exit 3 when the daemon ends
        #[arg(long, short)]
        follow: bool,
        /// Only of so long ago or less: seconds, or with a unit as in 1h
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        since: Option<Duration>,
    },
    /// Wait until the tunnels are ready; exit 1 when time is up, or when one cannot become ready by itself
    Wait {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// How long: seconds, or with a unit as in 2m
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
        timeout: Duration,
    },
    /// Start tunnels, and wait until they are ready; exit 1 when they are not in time, or cannot become it by
    /// themselves
    Start {
        #[command(flatten)]
        which: StartArgs,
    },
    /// Stop tunnels, until they are started again or the daemon is, and wait until they are stopped: connections may
    /// finish within stop_timeout
    Stop {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Return when the order is taken, as systemctl does with this flag
        #[arg(long)]
        no_block: bool,
    },
    /// End the sessions of tunnels, start them anew at once, and wait as `start` does
    Restart {
        #[command(flatten)]
        which: StartArgs,
    },
    /// Forget failures and start counts
    ResetFailed {
        /// Only of these
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Read the config again and apply what changed; a config with errors changes nothing
    Reload,
    /// Show what a reload would do
    Plan,
    /// Examine tunnels against their servers: log in once, ask for every forward, and say what would help. Exit 1 when
    /// anything fails. Connects once to each target. Leaves the tunnels of a running daemon alone
    Doctor {
        /// Only these
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what you have today as the TOML that means the same
    Import {
        #[command(subcommand)]
        from: ImportFrom,
    },
    /// Run as autossh does, with its options and its AUTOSSH_* environment; so does a link of that name
    #[command(disable_help_flag = true)]
    Autossh {
        #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Print the completion script of a shell: verbs, options, and the names of the tunnels
    Completions { shell: Shell },
    /// What a command line could go on with: for the completion scripts
    #[command(hide = true)]
    Complete {
        #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Show a tunnel, its loss and its recovery, on this machine alone
    Demo,
}

/// What is started, and how long its readiness is waited for.
#[derive(Debug, clap::Args)]
pub(super) struct StartArgs {
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<String>,
    /// How long to wait: seconds, or with a unit as in 2m. The tunnels go on trying after that
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub(super) timeout: Duration,
    /// Return when the order is taken, as systemctl does with this flag
    #[arg(long, conflicts_with = "timeout")]
    pub(super) no_block: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ImportFrom {
    /// Host aliases of ssh_config, with their forwards
    SshConfig {
        /// As you would type them after `ssh`
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
        /// Read this file instead of ~/.ssh/config and /etc/ssh/ssh_config
        #[arg(short = 'F', long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// An autossh or ssh command line, with NAME=value in front
    Autossh {
        #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        words: Vec<String>,
    },
    /// A unit file that runs autossh or ssh
    Unit {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => duration_with_units(text),
    };
    let time = time.ok_or("a time is a number of seconds, or has units, as in 500ms, 2m or 1h30m")?;
    if time > Duration::from_millis(MAX_WAIT_MS) { Err("longer than a year".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn times_are_those_of_ssh_in_both_cases() {
        for (text, seconds) in
            [("5M", 300), ("5m", 300), ("1H30M", 5400), ("0.5", 0), ("500MS", 0), ("1month", 2_630_016)]
        {
            assert_eq!(parse_time(text).map(|time| time.as_secs()), Ok(seconds), "{text}");
        }
        assert!(parse_time("M").is_err());
    }

    #[test]
    fn the_definitions_hold_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_verb() {
        for line in ["tunneld --control-socket /s status", "tunneld status --control-socket /s"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(args.global.control_socket, Some("/s".into()), "{line}");
        }
        let args = Args::try_parse_from(["tunneld", "-c", "/f"]).unwrap();
        assert_eq!(args.global.config_file(), PathBuf::from("/f"));
        assert!(args.verb.is_none());
    }

    #[test]
    fn verbose_goes_with_version_only() {
        let args = Args::try_parse_from(["tunneld", "--version", "--verbose"]).unwrap();
        assert!(args.version && args.verbose);
        assert!(Args::try_parse_from(["tunneld", "--verbose"]).is_err());
    }

    #[test]
    fn verbs_that_need_a_name_insist() {
        for verb in ["why", "wait", "start", "stop", "restart"] {
            assert!(Args::try_parse_from(["tunneld", verb]).is_err(), "{verb}");
        }
        for verb in ["status", "reset-failed", "reload", "plan", "check", "run", "demo", "autossh"] {
            assert!(Args::try_parse_from(["tunneld", verb]).is_ok(), "{verb}");
        }
    }

    #[test]
    fn a_time_is_seconds_or_has_a_unit() {
        assert_eq!(parse_time("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_time("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert!(parse_time("soon").unwrap_err().contains("as in 500ms"));
        for text in ["-1", "soon", "NaN", "inf", "2 years", ""] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
