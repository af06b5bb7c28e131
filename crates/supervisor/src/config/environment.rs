//! What a config takes from around it: environment variables and the account that runs tunneld. A value, so that
//! reading a config is a pure function of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::sshconfig::{HostFacts, System};

/// What systemd makes of `RuntimeDirectory=tunneld`.
const SERVICE_FOLDER: &str = "/run/tunneld";
const CONTROL_SOCKET: &str = "control.sock";

/// Where systemd has the service's credentials while it runs, for root and the service's user.
pub const SERVICE_CREDENTIALS: &str = "/run/credentials/tunneld.service";

/// The config of the system's daemon, and of accounts that have none of their own.
const SYSTEM_CONFIG: &str = "/etc/tunneld.toml";

/// A user's own config, in the folder of configs: the second name, which the user unit had at first, counts where there is
/// none of the first.
const OWN_CONFIGS: [&str; 2] = ["tunneld/config.toml", "tunneld/tunneld.toml"];

/// Variables, user name and home.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    pub(super) variables: HashMap<String, String>,
    /// Of the passwd entry.
    pub(super) user: Option<String>,
    /// Of the passwd entry: as ssh, not `$HOME`, unless there is no entry.
    pub(super) home: Option<PathBuf>,
    /// Where the running service has its credentials, for a process that systemd gave none.
    pub(super) service_credentials: Option<PathBuf>,
}

impl Environment {
    pub(super) fn of_this_process() -> Self {
        let account = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let variables: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let home = account.as_ref().map(|account| account.dir.clone());
        Self {
            user: account.map(|account| account.name).or_else(|| variables.get("USER").cloned()),
            home: home.or_else(|| variables.get("HOME").map(PathBuf::from)),
            variables,
            service_credentials: readable(Path::new(SERVICE_CREDENTIALS)),
        }
    }

    pub(super) fn of(system: &System) -> Self {
        let home = system.home().map(Path::to_owned);
        Self {
            variables: system.variables().clone(),
            user: system.user().map(str::to_owned),
            home,
            service_credentials: None,
        }
    }

    /// The same for ssh_config, with this machine's files and commands.
    pub(super) fn facts(&self) -> System {
        System::new(self.user.clone(), self.home.clone(), self.variables.clone())
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The folder of the credentials: systemd's for this process, else the running service's.
    pub(super) fn credentials(&self) -> Option<&Path> {
        self.variable("CREDENTIALS_DIRECTORY").map(Path::new).or(self.service_credentials.as_deref())
    }

    /// With a folder that stands for that of the credentials where there is none.
    pub(super) fn or_credentials(mut self, folder: Option<&Path>) -> Self {
        self.service_credentials = self.service_credentials.or_else(|| folder.map(Path::to_owned));
        self
    }

    /// Replaces every `${NAME}`; `$${` stands for `${` itself.
    pub(super) fn expand(&self, text: &str) -> Result<String, ExpandError> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expanded.push_str(before);
                expanded.push_str("${");
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}').ok_or(ExpandError::Unclosed)?;
            expanded.push_str(before);
            expanded.push_str(self.variables.get(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))?);
            rest = after;
        }
        Ok(expanded + rest)
    }

    /// `${NAME}` and a leading `~/`; a relative path starts from `folder`.
    pub(super) fn path(&self, text: &str, folder: &Path) -> Result<PathBuf, ExpandError> {
        self.path_without_variables(self.expand(text)?, folder)
    }

    /// The same of a text whose variables have been replaced.
    pub(super) fn path_without_variables(&self, text: String, folder: &Path) -> Result<PathBuf, ExpandError> {
        if text.is_empty() {
            return Err(ExpandError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(ExpandError::Control);
        }
        let path = match text.strip_prefix('~') {
            Some("") => self.home()?.to_owned(),
            Some(rest) => match rest.strip_prefix('/') {
                Some(rest) => self.home()?.join(rest.trim_start_matches('/')),
                None => return Err(ExpandError::OtherHome(text)),
            },
            None => folder.join(text),
        };
        // Two spellings of one path must be one path: they are compared.
        Ok(path.components().collect())
    }

    fn home(&self) -> Result<&Path, ExpandError> {
        self.home.as_deref().ok_or(ExpandError::Homeless)
    }

    /// systemd's StateDirectory=.
    pub(super) fn state_directory(&self) -> Option<PathBuf> {
        let list = self.variable("STATE_DIRECTORY")?;
        Some(PathBuf::from(list.split(':').next().unwrap_or(list)))
    }

    /// Where the control socket is by default: in systemd's RuntimeDirectory=, in the user's
    /// runtime folder, in /run.
    pub(super) fn control_socket(&self) -> PathBuf {
        let folder = match (self.variable("RUNTIME_DIRECTORY"), self.variable("XDG_RUNTIME_DIR")) {
            (Some(list), _) => PathBuf::from(list.split(':').next().unwrap_or(list)),
            (None, Some(folder)) => Path::new(folder).join("tunneld"),
            (None, None) => PathBuf::from(SERVICE_FOLDER),
        };
        folder.join(CONTROL_SOCKET)
    }

    /// The config file that a user's own tunnels are in: the system's for root, else in `$XDG_CONFIG_HOME`, which is
    /// `~/.config` unless it names an absolute path (XDG base directory specification).
    pub(super) fn own_config(&self, is_root: bool, exists: impl Fn(&Path) -> bool) -> PathBuf {
        let named = self.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let folder = named.or_else(|| self.home.as_ref().map(|home| home.join(".config")));
        let Some(folder) = folder.filter(|_| !is_root) else { return PathBuf::from(SYSTEM_CONFIG) };
        let [own, earlier] = OWN_CONFIGS.map(|name| folder.join(name));
        if !exists(&own) && exists(&earlier) { earlier } else { own }
    }

    /// The config file when none is named: a user's own where it exists, else the system's.
    pub(super) fn default_config(&self, is_root: bool, exists: impl Fn(&Path) -> bool) -> PathBuf {
        let own = self.own_config(is_root, &exists);
        if exists(&own) { own } else { PathBuf::from(SYSTEM_CONFIG) }
    }

    /// Where a client looks for it: there, or where a system service has it. A user who is logged in has a runtime
    /// folder of their own, root too.
    pub(super) fn control_socket_of_daemon(&self, exists: impl Fn(&Path) -> bool) -> PathBuf {
        let own = self.control_socket();
        let service = Path::new(SERVICE_FOLDER).join(CONTROL_SOCKET);
        if !exists(&own) && exists(&service) { service } else { own }
    }
}

/// Why a text with variables, or a path, means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    #[error("`${{` is not closed")]
    Unclosed,
    #[error("the path is empty")]
    Empty,
    #[error("the path holds control characters")]
    Control,
    #[error("`{0}`: the home of another user is not looked up")]
    OtherHome(String),
    #[error("`~` stands for nothing: the account that runs tunneld has no home")]
    Homeless,
}

impl ExpandError {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Unset(name) => {
                format!("set it where tunneld is started, for example `Environment={name}=…` in the unit")
            }
            Self::Unclosed => "write `${NAME}`".to_owned(),
            Self::Empty => "name a file, or leave the key out".to_owned(),
            Self::Control => "remove them".to_owned(),
            Self::OtherHome(_) | Self::Homeless => "write the whole path".to_owned(),
        }
    }
}

/// The folder, where this process may look into it.
fn readable(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).is_ok().then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_running_service_are_found_on_a_terminal() {
        let folder = tempfile::tempdir().unwrap();
        let found = readable(folder.path());
        assert_eq!(found.as_deref(), Some(folder.path()));
        assert_eq!(readable(&folder.path().join("gone")), None);
        let terminal = Environment { service_credentials: found, ..Environment::default() };
        assert_eq!(terminal.credentials(), Some(folder.path()));
        let service = Environment {
            service_credentials: Some("/other".into()),
            ..environment(&[("CREDENTIALS_DIRECTORY", "/own")])
        };
        assert_eq!(service.credentials(), Some(Path::new("/own")), "systemd's word goes first");
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment {
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            user: Some("me".to_owned()),
            home: Some("/home/me".into()),
            service_credentials: None,
        }
    }

    #[test]
    fn paths_expand_variables_and_home_relative_to_the_file() {
        let environment = environment(&[("KEYS", "/keys")]);
        for (text, want) in [
            ("/a/b", Ok("/a/b")),
            ("b", Ok("/etc/b")),
            ("./x//y/.", Ok("/etc/x/y")),
            ("~", Ok("/home/me")),
            ("~/k", Ok("/home/me/k")),
            ("${KEYS}/k", Ok("/keys/k")),
            ("/a$${KEYS}/$$${KEYS}", Ok("/a${KEYS}/$${KEYS}")),
            ("${NOPE}/k", Err(ExpandError::Unset("NOPE".into()))),
            ("${KEYS", Err(ExpandError::Unclosed)),
            ("", Err(ExpandError::Empty)),
            ("~you/k", Err(ExpandError::OtherHome("~you/k".into()))),
        ] {
            assert_eq!(environment.path(text, Path::new("/etc")), want.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn control_socket_is_in_the_first_runtime_folder() {
        let socket = |variables: &[(&str, &str)]| environment(variables).control_socket();
        let both = [("RUNTIME_DIRECTORY", "/run/a:/run/b"), ("XDG_RUNTIME_DIR", "/run/user/1")];
        assert_eq!(socket(&both), Path::new("/run/a/control.sock"));
        assert_eq!(socket(&both[1..]), Path::new("/run/user/1/tunneld/control.sock"));
        assert_eq!(socket(&[]), Path::new("/run/tunneld/control.sock"));
        assert_eq!(socket(&[("RUNTIME_DIRECTORY", "")]), Path::new("/run/tunneld/control.sock"));
    }

    #[test]
    fn users_have_a_config_of_their_own_before_the_systems() {
        let plain = environment(&[]);
        let elsewhere = environment(&[("XDG_CONFIG_HOME", "/conf")]);
        let relative = environment(&[("XDG_CONFIG_HOME", "conf")]);
        let own = Path::new("/home/me/.config/tunneld/config.toml");
        assert_eq!(plain.default_config(false, |path| path == own), own);
        assert_eq!(relative.default_config(false, |_| true), own);
        assert_eq!(elsewhere.default_config(false, |_| true), Path::new("/conf/tunneld/config.toml"));
        assert_eq!(plain.default_config(false, |_| false), Path::new("/etc/tunneld.toml"));
        assert_eq!(plain.default_config(true, |_| true), Path::new("/etc/tunneld.toml"));
        let earlier = Path::new("/home/me/.config/tunneld/tunneld.toml");
        assert_eq!(plain.default_config(false, |path| path == earlier), earlier);
        assert_eq!(plain.default_config(false, |path| path == earlier || path == own), own);
        assert_eq!(
            plain.own_config(false, |path| path == earlier),
            earlier,
            "what `init` finds there is not passed over"
        );
        assert_eq!(plain.own_config(false, |_| false), own);
    }

    #[test]
    fn client_without_a_socket_of_its_own_uses_the_services() {
        let environment = environment(&[("XDG_RUNTIME_DIR", "/run/user/0")]);
        let own = Path::new("/run/user/0/tunneld/control.sock");
        let service = Path::new("/run/tunneld/control.sock");
        assert_eq!(environment.control_socket_of_daemon(|path| path == service), service);
        assert_eq!(environment.control_socket_of_daemon(|_| true), own);
        assert_eq!(environment.control_socket_of_daemon(|_| false), own);
    }
}
