//! From words to typed settings of a session.

use std::path::PathBuf;

use tunnel_engine::session::check_algorithms;
use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmKind, AlgorithmList, IdentitySpec, IpQos, KnownHostsCommand, PermitRemoteOpen,
    RekeyLimit, StrictHostKeyChecking, UpdateHostKeys,
};

use super::host_facts::HostFacts;
use super::line::command_words;
use super::options::{OptionValue, Options};
use super::tokens::{Tokens, tilde};
use super::value;
use crate::spec::settings::{At, Field, Settings, keys_of_ssh_config};
use crate::spec::{ConfigError, MAX_DURATION, SettingKey};

/// ssh's own, as one would write it.
const USUAL_KNOWN_HOSTS: &str = "~/.ssh/known_hosts";

/// Of KnownHostsCommand: what each run has its own of.
const TOKENS_OF_A_RUN: &str = "HIKft";

/// Reads options; collects what is wrong.
pub(super) struct OptionReader<'a> {
    pub(super) options: &'a Options,
    pub(super) tokens: &'a Tokens,
    pub(super) facts: &'a dyn HostFacts,
    pub(super) errors: Vec<ConfigError>,
}

impl OptionReader<'_> {
    /// What is set of the keys that ssh_config has a keyword for, each by its row.
    pub(super) fn settings(&mut self) -> Settings {
        let mut settings = Settings::default();
        settings.updates_unasked = self.updates_unasked();
        let allowed = self.keys_allowed();
        for (key, keyword) in keys_of_ssh_config() {
            if allowed || !matches!(key.field, Field::Identities(_) | Field::Certificates(_) | Field::Agent(_)) {
                self.read(key, keyword, &mut settings);
            }
        }
        if !allowed {
            settings.set("identity_file", |t| &mut t.session.auth.identities, Vec::new());
            settings.set("certificate_file", |t| &mut t.session.auth.certificates, Vec::new());
            settings.set("identity_agent", |t| &mut t.session.auth.agent, AgentSpec::None);
        }
        settings
    }

    fn read(&mut self, key: &SettingKey, name: &'static str, settings: &mut Settings) {
        let options = self.options;
        match key.field {
            Field::Flag(at) => put(settings, key, at, options.flag(name)),
            Field::Count(from, to, at) => put(settings, key, at, self.count(name, from).map(|count| count.min(to))),
            // Zero is no limit to ssh; a start without an end is no start.
            Field::Time(from, at) => {
                let time = options.time(name).filter(|time| *time >= from);
                put(settings, key, at, time.map(|time| time.min(MAX_DURATION)));
            }
            Field::Word(at) => put(settings, key, at, options.word(name).map(|word| Some(word.to_owned()))),
            Field::HostName(at) => {
                put(settings, key, at, options.word(name).map(|word| Some(word.to_ascii_lowercase())))
            }
            Field::Paths(at) => put(settings, key, at, self.hosts_files(name)),
            Field::Certificates(at) => put(settings, key, at, self.paths(name)),
            Field::Identities(at) => put(settings, key, at, self.identities(name)),
            Field::Agent(at) => put(settings, key, at, self.agent(name)),
            Field::Algorithms(kind, at) => put(settings, key, at, self.algorithms(name, kind)),
            Field::Strict(at) => put(settings, key, at, options.word(name).map(strict)),
            Field::HostsCommand(at) => put(settings, key, at, self.known_hosts_command(name)),
            Field::UpdateHostKeys(at) => put(settings, key, at, options.word(name).map(update)),
            Field::Family(at) => put(settings, key, at, options.word(name).map(family)),
            Field::IpQos(at) => put(settings, key, at, self.ip_qos(name)),
            Field::RekeyLimit(at) => put(settings, key, at, self.rekey_limit(name)),
            Field::Mask(at) => put(settings, key, at, options.word(name).and_then(value::mask)),
            Field::PermitRemoteOpen(at) => put(settings, key, at, self.permit_remote_open(name)),
            // `Apart` is read in `resolve`. The others have no keyword.
            Field::Apart | Field::TomlOnly(_) => {}
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
            self.errors.push(setting.error(what, hint));
        }
        methods.contains(&"publickey")
    }

    /// `~`, tokens and `${NAME}`, in ssh's order.
    fn expand(&self, text: &str, setting: &OptionValue) -> Result<String, ConfigError> {
        let text = tilde(text, self.facts, &setting.span)?;
        self.tokens.expand(&text, Some(self.facts), &setting.span)
    }

    fn path(&self, text: &str, setting: &OptionValue) -> Result<PathBuf, ConfigError> {
        let path = self.facts.folder().join(self.expand(text, setting)?);
        // Two spellings of one path must be one path: they are compared.
        Ok(path.components().collect())
    }

    /// Every value of a keyword that accumulates; `none` names no file.
    fn paths(&mut self, name: &'static str) -> Option<Vec<PathBuf>> {
        let options = self.options;
        let named = options.all(name).filter(|setting| !setting.is_none());
        let read: Vec<_> = named.map(|setting| self.path(setting.first(), setting)).collect();
        options.get(name)?;
        Some(read.into_iter().filter_map(|path| self.note(path)).collect())
    }

    fn identities(&mut self, name: &'static str) -> Option<Vec<IdentitySpec>> {
        let paths = self.paths(name)?;
        Some(paths.into_iter().map(|path| IdentitySpec { path, explicit: true }).collect())
    }

    fn hosts_files(&mut self, name: &'static str) -> Option<Vec<PathBuf>> {
        let setting = self.options.get(name)?;
        if setting.is_none() {
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
    fn known_hosts_command(&mut self, name: &'static str) -> Option<Option<KnownHostsCommand>> {
        let setting = self.options.get(name)?;
        if setting.rest.eq_ignore_ascii_case("none") {
            return Some(None);
        }
        let refuse = |what: String| setting.error(what, "write the absolute path of a program, and its arguments");
        let tokens = self.tokens.leaving(TOKENS_OF_A_RUN);
        let expand = |(index, word): (usize, String)| match index {
            0 => Ok(word),
            _ => tokens.expand(&word, Some(self.facts), &setting.span),
        };
        let words = command_words(&setting.rest).ok_or_else(|| refuse("a quote is not closed".to_owned()));
        let words = words.and_then(|words| words.into_iter().enumerate().map(expand).collect::<Result<Vec<_>, _>>());
        let command = words.and_then(|words| KnownHostsCommand::new(words).map_err(|error| refuse(error.to_string())));
        self.note(command).map(Some)
    }

    fn agent(&mut self, name: &'static str) -> Option<AgentSpec> {
        let setting = self.options.get(name)?;
        let variable = |name: &str| {
            let socket = self.facts.variable(name).filter(|socket| !socket.is_empty());
            socket.map_or(AgentSpec::None, |socket| AgentSpec::Socket(socket.into()))
        };
        let text = setting.first();
        let usual = matches!(text, "SSH_AUTH_SOCK" | "$SSH_AUTH_SOCK");
        if usual && variable("SSH_AUTH_SOCK") == AgentSpec::None {
            // What is the default anyway; an import must not write down that this shell has no agent.
            return None;
        }
        let agent = match (text, text.strip_prefix('$').filter(|name| !name.starts_with('{'))) {
            ("none", _) => Ok(AgentSpec::None),
            ("SSH_AUTH_SOCK", _) => Ok(variable("SSH_AUTH_SOCK")),
            // Without the variable there is no agent, as in ssh.
            (_, Some(name)) => Ok(variable(name)),
            (_, None) => self.path(text, setting).map(AgentSpec::Socket),
        };
        self.note(agent)
    }

    fn ip_qos(&mut self, name: &'static str) -> Option<IpQos> {
        let setting = self.options.get(name)?;
        let hint = "write classes such as `af21`, `cs1` or `none`";
        let read = value::ip_qos(setting.words.iter().map(String::as_str));
        self.note(read.map_err(|error| setting.error(error.to_string(), hint))).flatten()
    }

    fn rekey_limit(&mut self, name: &'static str) -> Option<RekeyLimit> {
        let setting = self.options.get(name)?;
        let read = value::rekey_limit(&setting.words).ok_or_else(|| {
            let what = format!("`{}` is not a limit of bytes and time", setting.words.join(" "));
            setting.error(what, "write bytes and a time, as in `1G 1h`, or `default none`")
        });
        self.note(read)
    }

    fn permit_remote_open(&mut self, name: &'static str) -> Option<PermitRemoteOpen> {
        let setting = self.options.get(name)?;
        let hint = "write `any`, `none`, or words such as `host:port`";
        self.note(PermitRemoteOpen::parse(&setting.words).map_err(|error| setting.error(error.to_string(), hint)))
    }

    /// Of these keywords only `ConnectionAttempts` may not be 0.
    fn count(&mut self, name: &'static str, least: u32) -> Option<u32> {
        let setting = self.options.get(name)?;
        let count = self.options.number(name).filter(|count| *count >= least);
        self.note(count.ok_or_else(|| setting.error("there is no connection without an attempt", "write 1 or more")))
    }

    fn algorithms(&mut self, name: &'static str, kind: AlgorithmKind) -> Option<AlgorithmList> {
        let setting = self.options.get(name)?;
        let list = AlgorithmList::parse(setting.first()).and_then(|list| check_algorithms(kind, &list).map(|()| list));
        self.note(list.map_err(|error| setting.error(error.to_string(), error.hint())))
    }
}

fn put<T>(settings: &mut Settings, key: &SettingKey, at: At<T>, value: Option<T>) {
    if let Some(value) = value {
        settings.set(key.name, at, value);
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
