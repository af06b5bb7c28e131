//! From words to typed settings of a session.

use std::path::PathBuf;

use tunnel_engine::session::check_algorithms;
use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmKind, AlgorithmList, AlgorithmListError, AlgorithmSpec, IdentitySpec, IpQos,
    KnownHostsCommand, PermitRemoteOpen, RekeyLimit, StrictHostKeyChecking, UpdateHostKeys,
};

use super::facts::Facts;
use super::line::command_words;
use super::options::{Options, Setting};
use super::resolved::{HostsCommand, Wishes};
use super::tokens::{Tokens, tilde};
use super::value;
use crate::config::ConfigError;

/// ssh's own, as one would write it.
const USUAL_KNOWN_HOSTS: &str = "~/.ssh/known_hosts";

/// Of KnownHostsCommand: what each run has its own of.
const TOKENS_OF_A_RUN: &str = "HIKft";

/// Reads options; collects what is wrong.
pub(super) struct Reader<'a> {
    pub(super) options: &'a Options,
    pub(super) tokens: &'a Tokens,
    pub(super) facts: &'a dyn Facts,
    pub(super) errors: Vec<ConfigError>,
}

impl Reader<'_> {
    pub(super) fn wishes(&mut self) -> Wishes {
        let keys = self.keys_allowed();
        let options = self.options;
        Wishes {
            strict: options.word("StrictHostKeyChecking").map(strict),
            user_known_hosts: self.hosts_files("UserKnownHostsFile"),
            global_known_hosts: self.hosts_files("GlobalKnownHostsFile"),
            revoked_host_keys: self.hosts_files("RevokedHostKeys"),
            known_hosts_command: self.known_hosts_command(),
            update_host_keys: options.word("UpdateHostKeys").map(update),
            updates_unasked: self.updates_unasked(),
            ca_signatures: self.algorithms("CASignatureAlgorithms", AlgorithmKind::CaSignature),
            trust_loopback: options.flag("NoHostAuthenticationForLocalhost"),
            hash_known_hosts: options.flag("HashKnownHosts"),
            host_key_alias: options.word("HostKeyAlias").map(str::to_ascii_lowercase),
            identities: if keys { self.identities() } else { Some(Vec::new()) },
            certificates: if keys { self.paths("CertificateFile") } else { Some(Vec::new()) },
            agent: if keys { self.agent() } else { Some(AgentSpec::None) },
            identities_only: options.flag("IdentitiesOnly"),
            accepted: self.algorithms("PubkeyAcceptedAlgorithms", AlgorithmKind::PublicKey),
            required_rsa_size: options.number("RequiredRSASize"),
            algorithms: AlgorithmSpec {
                ciphers: self.algorithms("Ciphers", AlgorithmKind::Cipher),
                kex: self.algorithms("KexAlgorithms", AlgorithmKind::Kex),
                macs: self.algorithms("MACs", AlgorithmKind::Mac),
                host_keys: self.algorithms("HostKeyAlgorithms", AlgorithmKind::HostKey),
            },
            // Zero is no limit to ssh; a start without an end is no start.
            connect_timeout: options.time("ConnectTimeout").filter(|time| !time.is_zero()),
            server_alive_interval: options.time("ServerAliveInterval"),
            server_alive_count_max: options.number("ServerAliveCountMax"),
            address_family: options.word("AddressFamily").map(family),
            bind_address: options.word("BindAddress").map(str::to_owned),
            bind_interface: options.word("BindInterface").map(str::to_owned),
            tcp_keep_alive: options.flag("TCPKeepAlive"),
            ip_qos: self.ip_qos(),
            connection_attempts: self.connection_attempts(),
            rekey_limit: self.rekey_limit(),
            compression: options.flag("Compression"),
        }
    }

    fn note<T>(&mut self, read: Result<T, ConfigError>) -> Option<T> {
        read.map_err(|error| self.errors.push(error)).ok()
    }

    /// `PubkeyAuthentication`, and `publickey` in `PreferredAuthentications`.
    fn keys_allowed(&mut self) -> bool {
        if self.options.flag("PubkeyAuthentication") == Some(false) {
            return false;
        }
        let Some(setting) = self.options.get("PreferredAuthentications") else { return true };
        let methods: Vec<&str> = setting.first().split(',').collect();
        if !methods.iter().any(|method| matches!(*method, "publickey" | "password" | "keyboard-interactive")) {
            let what = format!("`{}` leaves no way to log in", setting.first());
            let hint = "the ways are publickey, keyboard-interactive and password";
            self.errors.push(ConfigError::new(setting.place.clone(), what, hint));
        }
        methods.contains(&"publickey")
    }

    /// `~`, tokens and `${NAME}`, in ssh's order.
    fn expand(&self, text: &str, setting: &Setting) -> Result<String, ConfigError> {
        let text = tilde(text, self.facts, &setting.place)?;
        self.tokens.expand(&text, Some(self.facts), &setting.place)
    }

    fn path(&self, text: &str, setting: &Setting) -> Result<PathBuf, ConfigError> {
        let path = self.facts.folder().join(self.expand(text, setting)?);
        // Two spellings of one path must be one path: they are compared.
        Ok(path.components().collect())
    }

    /// Every value of a keyword that accumulates; `none` names no file.
    fn paths(&mut self, name: &'static str) -> Option<Vec<PathBuf>> {
        let options = self.options;
        let named = options.all(name).filter(|setting| !setting.first().eq_ignore_ascii_case("none"));
        let read: Vec<_> = named.map(|setting| self.path(setting.first(), setting)).collect();
        options.get(name)?;
        Some(read.into_iter().filter_map(|path| self.note(path)).collect())
    }

    fn identities(&mut self) -> Option<Vec<IdentitySpec>> {
        let paths = self.paths("IdentityFile")?;
        Some(paths.into_iter().map(|path| IdentitySpec { path, explicit: true }).collect())
    }

    fn hosts_files(&mut self, name: &'static str) -> Option<Vec<PathBuf>> {
        let setting = self.options.get(name)?;
        if setting.first().eq_ignore_ascii_case("none") {
            return Some(Vec::new());
        }
        // The system's files are named without tokens.
        let plain = name == "GlobalKnownHostsFile";
        let read = |word: &String| if plain { Ok(self.facts.folder().join(word)) } else { self.path(word, setting) };
        let paths: Vec<_> = setting.words.iter().map(read).collect();
        Some(paths.into_iter().filter_map(|path| self.note(path)).collect())
    }

    /// ssh's own rule: only its usual file is kept up to date unasked, and not beside the DNS.
    fn updates_unasked(&self) -> bool {
        let dns = self.options.word("VerifyHostKeyDNS").is_some_and(|dns| value::flag(dns) != Some(false));
        let usual = self.options.get("UserKnownHostsFile").is_none_or(|setting| setting.words == [USUAL_KNOWN_HOSTS]);
        usual && !dns
    }

    /// Words, as ssh has it: no shell sees them. The program has no tokens.
    fn known_hosts_command(&mut self) -> Option<HostsCommand> {
        let setting = self.options.get("KnownHostsCommand")?;
        if setting.rest.eq_ignore_ascii_case("none") {
            return Some(HostsCommand::None);
        }
        let refuse = |what: String| {
            let hint = "write the absolute path of a program, and its arguments";
            ConfigError::new(setting.place.clone(), what, hint)
        };
        let tokens = self.tokens.leaving(TOKENS_OF_A_RUN);
        let expand = |(index, word): (usize, String)| match index {
            0 => Ok(word),
            _ => tokens.expand(&word, Some(self.facts), &setting.place),
        };
        let words = command_words(&setting.rest).ok_or_else(|| refuse("a quote is not closed".to_owned()));
        let words = words.and_then(|words| words.into_iter().enumerate().map(expand).collect::<Result<Vec<_>, _>>());
        let command = words.and_then(|words| KnownHostsCommand::new(words).map_err(|error| refuse(error.to_string())));
        self.note(command).map(HostsCommand::Run)
    }

    fn agent(&mut self) -> Option<AgentSpec> {
        let setting = self.options.get("IdentityAgent")?;
        let variable = |name: &str| {
            let socket = self.facts.variable(name).filter(|socket| !socket.is_empty());
            socket.map_or(AgentSpec::None, |socket| AgentSpec::Socket(socket.into()))
        };
        let text = setting.first();
        let agent = match (text, text.strip_prefix('$').filter(|name| !name.starts_with('{'))) {
            ("none", _) => Ok(AgentSpec::None),
            ("SSH_AUTH_SOCK", _) => Ok(variable("SSH_AUTH_SOCK")),
            // Without the variable there is no agent, as in ssh.
            (_, Some(name)) => Ok(variable(name)),
            (_, None) => self.path(text, setting).map(AgentSpec::Socket),
        };
        self.note(agent)
    }

    /// The class of a connection without a shell is the first of two.
    fn ip_qos(&mut self) -> Option<IpQos> {
        let setting = self.options.get("IPQoS")?;
        let read = |word: &String| {
            word.parse::<IpQos>().map_err(|error| {
                ConfigError::new(
                    setting.place.clone(),
                    error.to_string(),
                    "write classes such as `af21`, `cs1` or `none`",
                )
            })
        };
        let words: Vec<_> = setting.words.iter().map(read).collect();
        words.into_iter().filter_map(|word| self.note(word)).collect::<Vec<_>>().into_iter().next()
    }

    fn rekey_limit(&mut self) -> Option<RekeyLimit> {
        let setting = self.options.get("RekeyLimit")?;
        let read = value::rekey_limit(&setting.words).ok_or_else(|| {
            let what = format!("`{}` is not a limit of bytes and time", setting.words.join(" "));
            ConfigError::new(setting.place.clone(), what, "write bytes and a time, as in `1G 1h`, or `default none`")
        });
        self.note(read)
    }

    pub(super) fn permit_remote_open(&mut self) -> Option<PermitRemoteOpen> {
        let setting = self.options.get("PermitRemoteOpen")?;
        self.note(PermitRemoteOpen::parse(&setting.words).map_err(|error| {
            ConfigError::new(
                setting.place.clone(),
                error.to_string(),
                "write `any`, `none`, or words such as `host:port`",
            )
        }))
    }

    fn connection_attempts(&mut self) -> Option<u32> {
        let setting = self.options.get("ConnectionAttempts")?;
        let count = self.options.number("ConnectionAttempts").filter(|count| *count > 0);
        self.note(count.ok_or_else(|| {
            ConfigError::new(setting.place.clone(), "there is no connection without an attempt", "write 1 or more")
        }))
    }

    fn algorithms(&mut self, name: &'static str, kind: AlgorithmKind) -> AlgorithmList {
        let Some(setting) = self.options.get(name) else { return AlgorithmList::Default };
        let read = algorithms(setting.first(), kind).map_err(|error| {
            ConfigError::new(
                setting.place.clone(),
                error.to_string(),
                "write names with commas, or `+`, `-` or `^` and names",
            )
        });
        self.note(read).unwrap_or_default()
    }
}

fn strict(text: &str) -> StrictHostKeyChecking {
    match text.to_ascii_lowercase().as_str() {
        "no" | "false" | "off" => StrictHostKeyChecking::No,
        "accept-new" => StrictHostKeyChecking::AcceptNew,
        _ => StrictHostKeyChecking::Yes,
    }
}

fn update(text: &str) -> UpdateHostKeys {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => UpdateHostKeys::Yes,
        "ask" => UpdateHostKeys::Ask,
        _ => UpdateHostKeys::No,
    }
}

fn family(text: &str) -> AddressFamily {
    match text.to_ascii_lowercase().as_str() {
        "inet" => AddressFamily::Inet,
        "inet6" => AddressFamily::Inet6,
        _ => AddressFamily::Any,
    }
}

fn algorithms(text: &str, kind: AlgorithmKind) -> Result<AlgorithmList, AlgorithmListError> {
    let list = AlgorithmList::parse(text)?;
    check_algorithms(kind, &list)?;
    Ok(list)
}
