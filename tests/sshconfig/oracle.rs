//! Runs `ssh -G`, runs our reader, and compares.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use supervisor::sshconfig::{ConfigFiles, FileCache, ProxyRoute, Query, Resolved, System, resolve};
use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmList, Bind, Connect, Forward, ForwardKind, Listen, StrictHostKeyChecking,
    UpdateHostKeys,
};

/// Set for ssh and for us.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    ("TUNNEL_PORT", "7007"),
    ("KEYS", "/srv/keys"),
    ("AGENT", "/run/agent.sock"),
    ("SSH_AUTH_SOCK", "/run/auth.sock"),
];

/// Values by keyword, each keyword as often as ssh prints it.
pub(crate) type Values = HashMap<String, Vec<String>>;

/// What ssh says.
pub(crate) fn ssh(file: &Path, arguments: &[&str], host: &str) -> Result<Values, String> {
    let output = Command::new("ssh")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("SHELL", "/bin/sh")
        .envs(VARIABLES.iter().copied())
        .args(["-G", "-F"])
        .arg(file)
        .args(arguments)
        .arg(host)
        .output()
        .expect("ssh is installed");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut values = Values::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        values.entry(key.to_lowercase()).or_default().push(value.to_owned());
    }
    Ok(values)
}

pub(crate) fn account() -> nix::unistd::User {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("passwd is readable").expect("the account has an entry")
}

pub(crate) fn system() -> System {
    let account = account();
    let variables = VARIABLES.iter().chain(&[("SHELL", "/bin/sh")]);
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    System::new(Some(account.name), Some(account.dir), variables)
}

/// What we say; errors as `line: text`.
pub(crate) fn ours(file: &Path, host: &str) -> Result<Resolved, Vec<(Option<usize>, String)>> {
    let query = Query::new(host, ConfigFiles::One(file.to_owned()));
    resolve(&query, &FileCache::default(), &system()).map_err(|errors| {
        let one = |error: &supervisor::config::ConfigError| {
            (error.line_and_column().map(|(line, _)| line), format!("{} ({})", error.what(), error.hint()))
        };
        errors.iter().map(one).collect()
    })
}

/// Every difference between the two, in words.
pub(crate) fn differences(file: &Path, resolved: &Resolved, values: &Values) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |key: &str, ours: String, theirs: String| {
        if ours != theirs {
            found.push(format!("{key}: we say `{ours}`, ssh `{theirs}`"));
        }
    };
    let one = |key: &str| values.get(key).and_then(|all| all.first()).cloned().unwrap_or_default();
    let all = |key: &str| values.get(key).cloned().unwrap_or_default();
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    // The session that has the value, where the key is set.
    let set = |key: &str| resolved.settings.get(key).map(|tunnel| &tunnel.session);

    same("hostname", resolved.host.clone(), one("hostname"));
    same("user", resolved.user.clone(), one("user"));
    same("port", resolved.port.to_string(), one("port"));
    let strict = one("stricthostkeychecking");
    same(
        "stricthostkeychecking",
        strict_word(set("strict_host_key_checking").map(|s| s.host_key.strict)).to_owned(),
        if strict == "ask" { "true".to_owned() } else { strict },
    );
    let home = account().dir;
    let hosts = |paths: &Option<Vec<PathBuf>>, usual: [PathBuf; 2]| match paths.clone().unwrap_or(usual.to_vec()) {
        none if none.is_empty() => "none".to_owned(),
        some => some.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" "),
    };
    let user = ["known_hosts", "known_hosts2"].map(|name| home.join(".ssh").join(name));
    same(
        "userknownhostsfile",
        hosts(&set("user_known_hosts_file").map(|s| s.host_key.user_known_hosts.clone()), user),
        one("userknownhostsfile"),
    );
    let global = ["ssh_known_hosts", "ssh_known_hosts2"].map(|name| Path::new("/etc/ssh").join(name));
    same(
        "globalknownhostsfile",
        hosts(&set("global_known_hosts_file").map(|s| s.host_key.global_known_hosts.clone()), global),
        one("globalknownhostsfile"),
    );
    let revoked = set("revoked_host_keys").map(|s| s.host_key.revoked.clone()).unwrap_or_default();
    let revoked: Vec<_> = revoked.iter().map(|path| path.display().to_string()).collect();
    same("revokedhostkeys", revoked.join(" "), expand(&one("revokedhostkeys"), values));
    let command = match set("known_hosts_command").and_then(|s| s.host_key.command.as_ref()) {
        Some(command) => command.words().join(" ").replace("%%", "%"),
        None => String::new(),
    };
    same("knownhostscommand", command, expand(&one("knownhostscommand").replace('\'', ""), values));
    let update = match resolved.settings.updates() {
        UpdateHostKeys::Yes => "true",
        UpdateHostKeys::No => "false",
        // Without a terminal, or with a log that is quiet, ssh asks nothing.
        UpdateHostKeys::Ask if one("updatehostkeys") == "false" => "false",
        UpdateHostKeys::Ask => "ask",
    };
    same("updatehostkeys", update.to_owned(), one("updatehostkeys"));
    same(
        "nohostauthenticationforlocalhost",
        yes(set("no_host_authentication_for_localhost").map(|s| s.host_key.trust_loopback).unwrap_or(false)),
        one("nohostauthenticationforlocalhost"),
    );
    same(
        "hashknownhosts",
        yes(set("hash_known_hosts").map(|s| s.host_key.hash_names).unwrap_or(false)),
        one("hashknownhosts"),
    );
    same(
        "hostkeyalias",
        set("host_key_alias").and_then(|s| s.host_key.alias.clone()).unwrap_or_default(),
        one("hostkeyalias"),
    );

    let keys_allowed = one("pubkeyauthentication") != "false"
        && values.get("preferredauthentications").is_none_or(|methods| methods[0].split(',').any(|m| m == "publickey"));
    if keys_allowed {
        let expand = |key: &str| -> Vec<String> {
            let named = all(key).into_iter().filter(|name| !name.eq_ignore_ascii_case("none"));
            named.map(|name| expand(&name, values)).collect()
        };
        if let Some(identities) = &set("identity_file").map(|s| s.auth.identities.clone()) {
            let ours: Vec<_> = identities.iter().map(|identity| identity.path.display().to_string()).collect();
            same("identityfile", ours.join(" "), expand("identityfile").join(" "));
        } else {
            same("identityfile", "~/.ssh/id_rsa".to_owned(), one("identityfile"));
        }
        let certificates = set("certificate_file").map(|s| s.auth.certificates.clone()).unwrap_or_default();
        let ours: Vec<_> = certificates.iter().map(|path| path.display().to_string()).collect();
        same("certificatefile", ours.join(" "), expand("certificatefile").join(" "));
        let agent = match (one("identityagent").as_str(), &set("identity_agent").map(|s| s.auth.agent.clone())) {
            ("", None) => None,
            ("none", Some(AgentSpec::None)) => None,
            ("SSH_AUTH_SOCK", Some(AgentSpec::Socket(path))) if path == Path::new("/run/auth.sock") => None,
            ("$AGENT", Some(AgentSpec::Socket(path))) if path == Path::new("/run/agent.sock") => None,
            (theirs, Some(AgentSpec::Socket(path))) if path == Path::new(theirs) => None,
            (theirs, ours) => Some((format!("{ours:?}"), theirs.to_owned())),
        };
        let (ours, theirs) = agent.unwrap_or_default();
        same("identityagent", ours, theirs);
    } else {
        same(
            "no keys",
            format!("{:?}", set("identity_file").map(|s| s.auth.identities.clone())),
            "Some([])".to_owned(),
        );
    }
    same(
        "requiredrsasize",
        set("required_rsa_size").map(|s| s.auth.required_rsa_size).unwrap_or(1024).to_string(),
        one("requiredrsasize"),
    );
    same(
        "identitiesonly",
        yes(set("identities_only").map(|s| s.auth.identities_only).unwrap_or(false)),
        one("identitiesonly"),
    );
    for (key, list) in [
        ("ciphers", set("ciphers").map(|s| s.algorithms.ciphers.clone()).unwrap_or_default()),
        ("kexalgorithms", set("kex_algorithms").map(|s| s.algorithms.kex.clone()).unwrap_or_default()),
        ("macs", set("macs").map(|s| s.algorithms.macs.clone()).unwrap_or_default()),
        ("hostkeyalgorithms", set("host_key_algorithms").map(|s| s.algorithms.host_keys.clone()).unwrap_or_default()),
        (
            "pubkeyacceptedalgorithms",
            set("pubkey_accepted_algorithms").map(|s| s.auth.accepted.clone()).unwrap_or_default(),
        ),
        (
            "casignaturealgorithms",
            set("ca_signature_algorithms").map(|s| s.host_key.ca_signatures.clone()).unwrap_or_default(),
        ),
    ] {
        let theirs = one(key);
        let theirs: Vec<&str> = theirs.split(',').collect();
        let (ours, theirs) = match &list {
            AlgorithmList::Default => continue,
            AlgorithmList::Remove(names) => {
                (false, names.iter().any(|name| theirs.contains(&name.as_str()) && !name.contains('*')))
            }
            AlgorithmList::Replace(names) | AlgorithmList::Append(names) | AlgorithmList::Prepend(names) => {
                (true, theirs.iter().filter(|name| names.iter().any(|own| own == *name)).count() == names.len())
            }
        };
        same(key, ours.to_string(), theirs.to_string());
    }
    let timeout = set("connect_timeout")
        .map(|s| s.timing.connect_timeout)
        .map_or_else(|| "none".to_owned(), |time| time.as_secs().to_string());
    same(
        "connecttimeout",
        timeout,
        if one("connecttimeout") == "0" { "none".to_owned() } else { one("connecttimeout") },
    );
    let interval =
        set("server_alive_interval").map(|s| s.timing.server_alive_interval).map_or(0, |time| time.as_secs());
    same("serveraliveinterval", interval.to_string(), one("serveraliveinterval"));
    same(
        "serveralivecountmax",
        set("server_alive_count_max").map(|s| s.timing.server_alive_count_max).unwrap_or(3).to_string(),
        one("serveralivecountmax"),
    );
    same("compression", yes(set("compression").map(|s| s.compression).unwrap_or(false)), one("compression"));
    same(
        "tcpkeepalive",
        yes(set("tcp_keep_alive").map(|s| s.dial.tcp_keep_alive).unwrap_or(true)),
        one("tcpkeepalive"),
    );
    same(
        "exitonforwardfailure",
        yes(resolved.settings.get("exit_on_forward_failure").is_some_and(|tunnel| tunnel.exit_on_forward_failure)),
        one("exitonforwardfailure"),
    );
    same(
        "gatewayports",
        yes(resolved.settings.get("gateway_ports").is_some_and(|tunnel| tunnel.gateway_ports)),
        one("gatewayports"),
    );
    let permit = resolved.settings.get("permit_remote_open").map(|t| t.permit_remote_open.clone()).unwrap_or_default();
    same("permitremoteopen", permit.words().join(" "), one("permitremoteopen"));
    let unlink =
        resolved.settings.get("stream_local_bind_unlink").is_some_and(|tunnel| tunnel.stream_local_bind_unlink);
    same("streamlocalbindunlink", yes(unlink), one("streamlocalbindunlink"));
    let family = match set("address_family").map(|s| s.dial.address_family).unwrap_or_default() {
        AddressFamily::Any => "any",
        AddressFamily::Inet => "inet",
        AddressFamily::Inet6 => "inet6",
    };
    same("addressfamily", family.to_owned(), one("addressfamily"));
    same(
        "bindaddress",
        set("bind_address").and_then(|s| s.dial.bind_address.clone()).unwrap_or_default(),
        one("bindaddress"),
    );
    same(
        "bindinterface",
        set("bind_interface").and_then(|s| s.dial.bind_interface.clone()).unwrap_or_default(),
        one("bindinterface"),
    );
    same(
        "connectionattempts",
        set("connection_attempts").map(|s| s.dial.connection_attempts).unwrap_or(1).to_string(),
        one("connectionattempts"),
    );
    let rekey = set("rekey_limit").map(|s| s.rekey_limit).unwrap_or_default();
    let (bytes, time) = (rekey.bytes.map_or(0, |bytes| bytes.get()), rekey.time.map_or(0, |time| time.as_secs()));
    same("rekeylimit", format!("{bytes} {time}"), one("rekeylimit"));
    if let Some(class) = set("ip_qos").map(|s| s.dial.ip_qos) {
        // `interactive bulk`: a tunnel has the first.
        same("ipqos", class.to_string(), one("ipqos").split(' ').next().unwrap_or_default().to_owned());
    }
    for (key, kind) in [
        ("localforward", ForwardKind::Local),
        ("remoteforward", ForwardKind::Remote),
        ("dynamicforward", ForwardKind::Dynamic),
    ] {
        let ours =
            resolved.forwards.iter().filter(|(forward, _)| forward.kind == kind).map(|(forward, _)| show(forward));
        let mut theirs = all(key).iter().map(|line| line.replace("[]:", "[*]:")).collect::<Vec<_>>();
        if kind == ForwardKind::Dynamic {
            // ssh prints a local forward to a socket a second time, as a dynamic one.
            let locals = all("localforward");
            theirs.retain(|line| {
                !locals.iter().any(|local| local.replace("[]:", "[*]:").starts_with(&format!("{line} /")))
            });
        }
        same(key, ours.collect::<Vec<_>>().join(", "), theirs.join(", "));
    }
    let mut device = resolved.forwards.iter().map(|(forward, _)| forward);
    let device = device.rfind(|forward| forward.kind == ForwardKind::TunnelDevice);
    let mode = device.map_or("false", |device| match &device.listen {
        Listen::Device { mode, .. } => mode.as_str(),
        Listen::Tcp { .. } | Listen::Unix(_) => "none",
    });
    same("tunnel", mode.to_owned(), one("tunnel"));
    if let Some(device) = device {
        same("tunneldevice", show(device), one("tunneldevice"));
    }
    found.extend(way(file, resolved, values));
    found
}

fn strict_word(strict: Option<StrictHostKeyChecking>) -> &'static str {
    match strict {
        None | Some(StrictHostKeyChecking::Yes) => "true",
        Some(StrictHostKeyChecking::AcceptNew) => "accept-new",
        Some(StrictHostKeyChecking::No) => "false",
    }
}

/// As ssh prints it.
fn show(forward: &Forward) -> String {
    let listen = match &forward.listen {
        Listen::Tcp { bind: Bind::Default, port } => port.to_string(),
        Listen::Tcp { bind: Bind::Any, port } => format!("[*]:{port}"),
        Listen::Tcp { bind: Bind::Address(host), port } => format!("[{host}]:{port}"),
        Listen::Unix(path) => path.display().to_string(),
        Listen::Device { unit, .. } => unit.to_string(),
    };
    match (&forward.connect, forward.kind) {
        (Connect::Tcp { host, port }, _) => format!("{listen} [{host}]:{port}"),
        (Connect::Unix(path), _) => format!("{listen} {}", path.display()),
        (Connect::Socks, ForwardKind::Remote) => format!("{listen} [socks]:0"),
        (Connect::Socks, _) => listen,
        (Connect::Device(unit), _) => format!("{listen}:{unit}"),
    }
}

/// The jump host is asked for as ssh itself does, and compared in its turn.
fn way(file: &Path, resolved: &Resolved, values: &Values) -> Vec<String> {
    let one = |key: &str| values.get(key).map(|all| all[0].clone());
    match (&resolved.way, one("proxyjump"), one("proxycommand")) {
        (ProxyRoute::Direct, None, None) => Vec::new(),
        (ProxyRoute::Command(ours), None, Some(theirs)) if *ours == expand(&theirs, values) => Vec::new(),
        (ProxyRoute::Jump(jump), Some(theirs), None) => {
            let (extra, last) =
                theirs.rsplit_once(',').map_or((None, theirs.as_str()), |(extra, last)| (Some(extra), last));
            let (user, rest) = last.rsplit_once('@').map_or((None, last), |(user, rest)| (Some(user), rest));
            let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, port)) => (host, port.strip_prefix(':')),
                None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
            };
            let mut arguments = Vec::new();
            for (option, value) in [("-l", user), ("-p", port), ("-J", extra)] {
                arguments.extend(value.map(|value| [option, value]).into_iter().flatten());
            }
            match ssh(file, &arguments, host) {
                Ok(values) => {
                    differences(file, jump, &values).into_iter().map(|text| format!("jump {host}: {text}")).collect()
                }
                Err(error) => vec![format!("jump {host}: ssh says {error}")],
            }
        }
        (ours, jump, command) => {
            let ours = match ours {
                ProxyRoute::Direct => "direct".to_owned(),
                ProxyRoute::Jump(jump) => format!("jump {}", jump.alias),
                ProxyRoute::Command(command) => format!("command {command}"),
            };
            vec![format!("way: we say {ours}, ssh {jump:?} {command:?}")]
        }
    }
}

/// What ssh prints unexpanded, expanded by ssh's own values.
fn expand(text: &str, values: &Values) -> String {
    let account = account();
    let one = |key: &str| values.get(key).map(|all| all[0].clone()).unwrap_or_default();
    let machine = nix::unistd::gethostname().expect("a name").to_string_lossy().into_owned();
    let original = one("host");
    let alias = values.get("hostkeyalias").map_or_else(|| original.clone(), |all| all[0].clone());
    let mut text = match text.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", account.dir.display()),
        None => text.to_owned(),
    };
    for (token, value) in [
        ("%%", "\u{1}".to_owned()),
        ("%h", one("hostname")),
        ("%n", original),
        ("%p", one("port")),
        ("%r", one("user")),
        ("%u", account.name.clone()),
        ("%d", account.dir.display().to_string()),
        ("%i", account.uid.to_string()),
        ("%k", alias),
        ("%L", machine.split('.').next().unwrap_or_default().to_owned()),
        ("%l", machine.clone()),
        ("\u{1}", "%".to_owned()),
    ] {
        text = text.replace(token, &value);
    }
    for (name, value) in VARIABLES {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}
