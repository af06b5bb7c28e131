//! Whole files in, answers or errors out, on a machine that is made up. What one file comes to is compared with ssh's
//! own answer in `tests/sshconfig`; here is what that cannot see: several files, their owners, other machines.

mod classes;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tunnel_engine::spec::UpdateHostKeys;

use super::{ConfigFiles, FileCache, HostFacts, ProxyRoute, Query, Resolved, Text, resolve};

#[derive(Default)]
struct TestHost {
    files: HashMap<PathBuf, Text>,
    commands: Vec<&'static str>,
    /// The account is not in passwd.
    is_nameless: bool,
}

impl TestHost {
    fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), Text { text: text.to_owned(), trusted: true });
        self
    }

    fn untrusted(mut self, path: &str) -> Self {
        self.files.insert(path.into(), Text { text: "Port 1\n".to_owned(), trusted: false });
        self
    }
}

impl HostFacts for TestHost {
    fn user(&self) -> Option<&str> {
        (!self.is_nameless).then_some("me")
    }
    fn home(&self) -> Option<&Path> {
        Some(Path::new("/home/me"))
    }
    fn uid(&self) -> u32 {
        1000
    }
    fn home_of(&self, user: &str) -> Option<PathBuf> {
        (user == "you").then(|| "/home/you".into())
    }
    fn variable(&self, name: &str) -> Option<&str> {
        (name == "HOME").then_some("/not/by/passwd")
    }
    fn folder(&self) -> PathBuf {
        "/work".into()
    }
    fn hostname(&self) -> String {
        "box.example.com".to_owned()
    }
    fn addresses(&self) -> Vec<IpAddr> {
        vec![IpAddr::from([192, 168, 7, 9])]
    }
    fn read(&self, path: &Path) -> io::Result<Text> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn files(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| tunnel_engine::spec::wildcard(pattern, &path.display().to_string()))
            .cloned()
            .collect();
        found.sort();
        found
    }
    fn run(&self, command: &str) -> io::Result<bool> {
        Ok(self.commands.contains(&command))
    }
}

const USER: &str = "/home/me/.ssh/config";
const SYSTEM: &str = "/etc/ssh/ssh_config";

fn ask(machine: &TestHost, host: &str) -> Result<Resolved, String> {
    resolve(&Query::new(host, ConfigFiles::Usual), &FileCache::default(), machine)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn good(machine: &TestHost, host: &str) -> Resolved {
    ask(machine, host).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn usual_agent_that_this_shell_lacks_is_left_to_the_default() {
    let is_set = |value: &str| {
        let host = TestHost::default().with("/f", &format!("IdentityAgent {value}\n"));
        let query = Query::new("h", ConfigFiles::One("/f".into()));
        resolve(&query, &FileCache::default(), &host).unwrap().settings.has("identity_agent")
    };
    assert!(!is_set("SSH_AUTH_SOCK") && !is_set("$SSH_AUTH_SOCK"));
    assert!(is_set("none") && is_set("/a") && is_set("$OTHER"));
}

#[test]
fn without_any_file_a_host_is_itself() {
    let host = good(&TestHost::default(), "Web");
    assert_eq!((host.host.as_str(), host.user.as_str(), host.port), ("web", "me", 22));
    assert!(matches!(host.way, ProxyRoute::Direct));
    let mut nothing = crate::spec::Settings::default();
    nothing.updates_unasked = true;
    assert_eq!(host.settings, nothing);
    assert_eq!(host.files, [PathBuf::from(USER), PathBuf::from(SYSTEM)]);
}

#[test]
fn account_without_a_name_logs_in_only_by_a_user_of_its_own() {
    let nameless = TestHost { is_nameless: true, ..TestHost::default() };
    assert!(!good(&nameless, "web").has_users());
    let jump = nameless.with(SYSTEM, "Host web\nProxyJump gate\nUser u\nHost other\nUser u\nProxyJump u@gate\n");
    assert!(!good(&jump, "web").has_users(), "the jump host has none");
    assert!(good(&jump, "other").has_users());
}

#[test]
fn the_users_file_comes_before_the_systems() {
    let machine = TestHost::default()
        .with(USER, "Host web\n  Port 1\n  IdentityFile ~/a\n")
        .with(SYSTEM, "Host *\n  Port 2\n  User you\n  IdentityFile ~/b\n");
    let host = good(&machine, "web");
    assert_eq!((host.user.as_str(), host.port), ("you", 1));
    let paths: Vec<_> = host
        .settings
        .get("identity_file")
        .map(|t| &t.session.auth.identities)
        .unwrap()
        .iter()
        .map(|identity| identity.path.clone())
        .collect();
    assert_eq!(paths, [PathBuf::from("/home/me/a"), PathBuf::from("/home/me/b")]);
}

#[test]
fn included_paths_start_from_the_folder_of_their_kind() {
    let machine = TestHost::default()
        .with(USER, "Include conf.d/*\nInclude ~you/x\n")
        .with("/home/me/.ssh/conf.d/1", "Port 1\n")
        .with("/home/you/x", "User you\n")
        .with(SYSTEM, "Include ssh_config.d/*.conf\n")
        .with("/etc/ssh/ssh_config.d/a.conf", "TCPKeepAlive no\n");
    let host = good(&machine, "web");
    assert_eq!(
        (host.user.as_str(), host.port, host.settings.get("tcp_keep_alive").map(|t| &t.session.dial.tcp_keep_alive)),
        ("you", 1, Some(&false))
    );
    assert_eq!(host.files.len(), 5);
    let error = ask(&TestHost::default().with(SYSTEM, "Include ~/x\n"), "web").unwrap_err();
    assert!(error.contains("/etc/ssh/ssh_config:1:9"), "{error}");
}

#[test]
fn file_that_includes_itself_is_one_error() {
    let error = ask(&TestHost::default().with(USER, "Port 1\nInclude config\n"), "web").unwrap_err();
    assert!(error.contains("/home/me/.ssh/config:2:9: error: includes are nested more than 16 deep"), "{error}");
    // Each line of three on each level would be read: 43 million times.
    let error = ask(&TestHost::default().with(USER, &"Include config\n".repeat(3)), "web").unwrap_err();
    assert_eq!(error.matches("error: ").count(), 1, "{error}");
}

#[test]
fn files_that_include_each_other_in_many_ways_are_told() {
    let level = |at: usize| format!("/home/me/.ssh/level{at}");
    let includes = |at: usize| format!("Include level{}\n", at + 1).repeat(3);
    let machine = (1..15)
        .fold(TestHost::default().with(USER, &includes(0)), |machine, at| machine.with(&level(at), &includes(at)));
    let error = ask(&machine.with(&level(15), "Port 1\n"), "web").unwrap_err();
    assert!(error.contains("more than 100000 files are included"), "{error}");
    assert_eq!(error.matches("error: ").count(), 1, "{error}");
}

#[test]
fn files_that_others_can_write_are_not_believed() {
    let error = ask(&TestHost::default().untrusted(USER), "web").unwrap_err();
    assert!(error.contains("chmod go-w /home/me/.ssh/config"), "{error}");
    let machine = TestHost::default().with(USER, "Include x\n").untrusted("/home/me/.ssh/x");
    assert!(ask(&machine, "web").unwrap_err().contains("/home/me/.ssh/x"));
    // As ssh: the system's own file, and one that is named.
    assert_eq!(good(&TestHost::default().untrusted(SYSTEM), "web").port, 1);
    let machine = TestHost::default().untrusted("/f");
    let query = Query::new("web", ConfigFiles::One("/f".into()));
    assert_eq!(resolve(&query, &FileCache::default(), &machine).unwrap().port, 1);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let query = Query::new("web", ConfigFiles::One("/f".into()));
    let errors = resolve(&query, &FileCache::default(), &TestHost::default()).unwrap_err();
    assert_eq!(errors[0].to_string(), "/f: error: there is no such file\nhint: name the ssh_config to read\n");
}

#[test]
fn user_that_no_log_line_takes_is_too_long() {
    let user = |length: usize| {
        let machine = TestHost::default().with("/f", &format!("Host h\n User {}\n", "u".repeat(length)));
        resolve(&Query::new("h", ConfigFiles::One("/f".into())), &FileCache::default(), &machine)
    };
    assert_eq!(user(255).unwrap().user.len(), 255);
    let errors = user(256).unwrap_err();
    assert!(errors[0].to_string().starts_with("/f:2:7: error: the user is longer than 255 bytes\n"), "{}", errors[0]);
}

#[test]
fn nothing_of_a_private_key_is_quoted() {
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg\nAAAAx==\n-----END OPENSSH PRIVATE KEY-----\n";
    let query = Query::new("web", ConfigFiles::One("/f".into()));
    let shown = |text: &str| {
        let errors = resolve(&query, &FileCache::default(), &TestHost::default().with("/f", text)).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<String>()
    };
    assert!(
        shown(key).starts_with("/f: error: the file is a private key, not an ssh_config\nhint: "),
        "{}",
        shown(key)
    );
    let below_a_line = shown(&format!("User u\n{key}"));
    assert!(below_a_line.contains("/f:3:1: error: `…` has no value"), "{below_a_line}");
    assert!(!below_a_line.contains("b3Blb") && !below_a_line.to_lowercase().contains("aaaa"), "{below_a_line}");
}

#[test]
fn criteria_that_this_ssh_does_not_know_are_answered() {
    for (criteria, want) in [
        ("localnetwork 192.168.7.0/24", true),
        ("localnetwork 10.0.0.0/8,192.168.8.0/24", false),
        ("tagged work", true),
        ("!tagged work", false),
        ("tagged home", false),
        ("command \"\"", true),
        ("sessiontype none", true),
        ("sessiontype shell,exec", false),
        ("tagged=work host=web", true),
    ] {
        let machine = TestHost::default().with(USER, &format!("Tag work\nMatch {criteria}\nPort 1\n"));
        assert_eq!(good(&machine, "web").port == 1, want, "{criteria}");
    }
    for criteria in ["localnetwork lan", "version OpenSSH_10*", "moon full"] {
        let machine = TestHost::default().with(USER, &format!("Match {criteria}\nPort 1\n"));
        assert!(ask(&machine, "web").unwrap_err().contains("/home/me/.ssh/config:1:"), "{criteria}");
    }
}

#[test]
fn commands_are_asked_only_where_the_rest_holds() {
    let text = "Match host other exec \"no\"\nPort 1\nMatch exec \"yes %h %u %L\"\nPort 2\n";
    let machine = TestHost { commands: vec!["yes web me box"], ..TestHost::default() }.with(USER, text);
    assert_eq!(good(&machine, "web").port, 2);
}

#[test]
fn known_hosts_command_keeps_tokens_of_a_run() {
    let text = "HostKeyAlias 50%\nKnownHostsCommand /bin/%h -x '%r %H' \"%k\" 100%% # %K %C\n";
    let settings = good(&TestHost::default().with(USER, text), "web").settings;
    let command = settings.get("known_hosts_command").map(|t| &t.session.host_key.command);
    let Some(Some(command)) = command else { panic!("{command:?}") };
    let words = command.words();
    assert_eq!(words[..6], ["/bin/%h", "-x", "me %H", "50%%", "100%%", "#"]);
    assert_eq!((words[6].as_str(), words[7].len()), ("%K", 40));
    for (text, want) in
        [("keys %H", "not an absolute path"), ("/keys %z", "`%z` stands for"), ("/keys 'a", "not closed")]
    {
        let error = ask(&TestHost::default().with(USER, &format!("KnownHostsCommand {text}\n")), "web").unwrap_err();
        assert!(error.contains(want) && error.contains("config:1:"), "{text}: {error}");
    }
}

#[test]
fn known_hosts_is_kept_up_to_date_as_ssh_would() {
    for (text, want) in [
        ("", UpdateHostKeys::Yes),
        ("UserKnownHostsFile ~/.ssh/known_hosts\n", UpdateHostKeys::Yes),
        ("UserKnownHostsFile ~/.ssh/known_hosts ~/more\n", UpdateHostKeys::No),
        ("UserKnownHostsFile /home/me/.ssh/known_hosts\n", UpdateHostKeys::No),
        ("VerifyHostKeyDNS ask\n", UpdateHostKeys::No),
        ("VerifyHostKeyDNS no\n", UpdateHostKeys::Yes),
        ("UpdateHostKeys ask\nUserKnownHostsFile /x\n", UpdateHostKeys::Ask),
        ("UpdateHostKeys no\n", UpdateHostKeys::No),
    ] {
        assert_eq!(good(&TestHost::default().with(USER, text), "web").settings.updates(), want, "{text}");
    }
}

#[test]
fn a_connection_can_be_refused_by_the_configuration() {
    let error =
        ask(&TestHost::default().with(USER, "Host old\n RefuseConnection \"it is gone\"\n"), "old").unwrap_err();
    assert!(error.contains("it is gone") && error.contains("config:2:"), "{error}");
    assert!(ask(&TestHost::default().with(USER, "Host old\n RefuseConnection \"it is gone\"\n"), "new").is_ok());
}

#[test]
fn errors_are_located_even_in_blocks_that_do_not_apply() {
    let text = "Host other\n  Prot 22\n  Port x\nHost *\nPKCS11Provider /x.so\n";
    let error = ask(&TestHost::default().with(USER, text), "web").unwrap_err();
    let expected = "\
/home/me/.ssh/config:2:3: error: `Prot` is not a keyword of ssh_config
    Prot …
    ^^^^
hint: did you mean `Port`?
/home/me/.ssh/config:3:8: error: `x` is not a port
    Port x
         ^
";
    assert!(error.starts_with(expected), "{error}");
    assert!(error.contains("/home/me/.ssh/config:5:16: error: `PKCS11Provider /x.so` cannot be followed"), "{error}");
}

#[test]
fn given_values_win_but_not_for_jump_hosts() {
    let machine = TestHost::default()
        .with(USER, "Host web\n ProxyJump gate\n IdentityFile /k/%r@%p\nHost *\n Port 5\n User you\n");
    let library = FileCache::default();
    let mut query = Query::new("web", ConfigFiles::Usual);
    query.option("Port=7", &library).unwrap();
    query.option("User = root", &library).unwrap();
    let host = resolve(&query, &library, &machine).unwrap();
    assert_eq!((host.user.as_str(), host.port), ("root", 7));
    assert_eq!(
        host.settings.get("identity_file").map(|t| &t.session.auth.identities).unwrap()[0].path,
        Path::new("/k/root@7")
    );
    let ProxyRoute::Jump(gate) = host.way else { panic!("no jump host") };
    assert_eq!((gate.user.as_str(), gate.port), ("you", 5));
    let error = query.option("Prot=7", &library).unwrap_err();
    assert!(error.to_string().starts_with("command line:1:1: error"), "{error}");
}

#[test]
fn jump_hosts_are_named_with_the_tokens_of_the_server() {
    let text = "Host web\n ProxyJump %r@gate-%n,%%u@%h.near:5\n Hostname inner\n User you\n Port 7\n";
    let host = good(&TestHost::default().with(USER, text), "web");
    let ProxyRoute::Jump(near) = host.way else { panic!("no jump host") };
    assert_eq!((near.user.as_str(), near.host.as_str(), near.port), ("%u", "inner.near", 5));
    let ProxyRoute::Jump(gate) = near.way else { panic!("no second jump host") };
    assert_eq!((gate.user.as_str(), gate.host.as_str(), gate.port), ("you", "gate-web", 22));
    let unknown = TestHost::default().with(USER, "ProxyJump %x@gate\n");
    let errors = resolve(&Query::new("web", ConfigFiles::Usual), &FileCache::default(), &unknown).unwrap_err();
    assert!(errors[0].to_string().contains("`%x` stands for nothing here"), "{}", errors[0]);
}

/// The notes, and what ssh says.
fn remarks(machine: &TestHost, host: &str) -> (Vec<String>, Vec<String>) {
    let resolved = good(machine, host);
    let said = resolved.said_by_ssh.iter().map(|said| format!("{:?} {}", said.level, said.text)).collect();
    (resolved.notes.iter().map(ToString::to_string).collect(), said)
}

#[test]
fn what_has_no_effect_is_noted_once_at_its_line() {
    let text = "IgnoreUnknown Use*\nProtocol 2\nCompressionLevel 6\nHost web\n ControlMaster auto\n ControlPath none\n \
                RemoteCommand top -b\n UseKeychain yes\n GSSAPIAuthentication yes\n ForwardAgent yes\n SessionType none\n\
                Host other\n Cipher 3des\n AddKeysToAgent yes\nMatch final\n Port 7\n";
    let (notes, _) = remarks(&TestHost::default().with(USER, text), "web");
    let expected = [
        "2:1: `Protocol` has no effect: OpenSSH has dropped it too",
        "3:1: `CompressionLevel` has no effect: OpenSSH has dropped it too",
        "8:2: `UseKeychain` has no effect: it is unknown, and `IgnoreUnknown` names it",
        "7:16: RemoteCommand `top -b` is not run: only the forwards are kept, as with -N",
        "9:23: `GSSAPIAuthentication yes` has no effect: logins are by key or password only",
        "5:16: ControlMaster auto has no effect: the session is this process's own: no master connection is used or made",
    ];
    assert_eq!(notes, expected.map(|note| format!("{USER}:{note}")));
    let defaults = "ControlMaster no\nRemoteCommand none\nGSSAPIAuthentication no\nFingerprintHash sha256\n";
    assert_eq!(remarks(&TestHost::default().with(USER, defaults), "web"), Default::default());
}

#[test]
fn notes_are_those_of_jump_hosts_too() {
    let text = "Host web\n ProxyJump gate\nHost gate\n AddKeysToAgent yes\n";
    let (notes, _) = remarks(&TestHost::default().with(USER, text), "web");
    assert_eq!(notes, [format!("{USER}:4:17: `AddKeysToAgent yes` has no effect: keys are not added to an agent")]);
}

#[test]
fn what_is_remarked_cannot_drive_a_terminal() {
    let text = "IgnoreUnknown x*\nAddKeysToAgent \u{1b}[2J\nx\u{1b}[2J 1\n";
    let (notes, said) = remarks(&TestHost::default().with(USER, text), "web");
    assert_eq!((notes.len(), said.len()), (2, 1), "{notes:?} {said:?}");
    // ssh writes keywords in lower case.
    let escaped = |text: &String| text.to_ascii_lowercase().contains("\u{fffd}[2j");
    assert!(notes.iter().chain(&said).all(escaped), "{notes:?} {said:?}");
}

#[test]
fn options_that_ssh_dropped_are_noted_with_its_words() {
    let library = FileCache::default();
    let mut query = Query::new("web", ConfigFiles::None);
    query.option("CompressionLevel=6", &library).unwrap();
    let resolved = resolve(&query, &library, &TestHost::default()).unwrap();
    assert_eq!(resolved.said_by_ssh[0].text, "command-line line 0: Unsupported option \"compressionlevel\"");
    assert_eq!(resolved.notes.len(), 1);
}
