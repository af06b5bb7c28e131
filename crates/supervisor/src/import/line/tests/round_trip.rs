//! Random lines from a fixed seed: what is printed loads as the tunnel that the autossh frontend would run, and
//! the same line in a unit, with systemd's quotes and variables, prints the same.

use std::fmt::Write;
use std::path::Path;

use fastrand::Rng;
use tunnel_engine::spec::Route;

use super::super::*;
use crate::autossh::settings::TranslationInput;
use crate::config::{self, Overrides, TunnelSpec, load_text};
use crate::import::unit::{UnitFile, unit};

const LINES: u64 = 600;

const OPTIONS: &[&[&str]] = &[
    &["-p", "2222"],
    &["-l", "svc"],
    &["-i", "/k/one"],
    &["-i", "/k/t w o"],
    &["-i/k/per%%cent"],
    &["-4"],
    &["-6"],
    &["-b", "192.0.2.9"],
    &["-c", "aes256-ctr,3des-cbc"],
    &["-m", "hmac-sha2-256"],
    &["-J", "me@j1:2200,j2"],
    &["-J", "[2001:db8::7]:22"],
    &["-g"],
    &["-C"],
    &["-T"],
    &["-nq"],
    &["-vv"],
    &["-x"],
    &["-A"],
    &["-f"],
    &["-M", "0"],
    &["-M20000"],
    &["-M", "20000:7"],
    &["-o", "ServerAliveInterval 30"],
    &["-oServerAliveCountMax=7"],
    &["-o", "TCPKeepAlive=no"],
    &["-o", "ExitOnForwardFailure yes"],
    &["-o", "ConnectTimeout=90"],
    &["-o", "StrictHostKeyChecking=accept-new"],
    &["-o", "StrictHostKeyChecking off"],
    &["-o", "UserKnownHostsFile=/dev/null"],
    &["-o", "UserKnownHostsFile \"/k h\" /x"],
    &["-o", "GlobalKnownHostsFile /g/${X}"],
    &["-o", "RevokedHostKeys=/r"],
    &["-o", "KnownHostsCommand /bin/keys '%H of %h' 100%%"],
    &["-o", "UpdateHostKeys=no"],
    &["-o", "UpdateHostKeys=ask"],
    &["-o", "NoHostAuthenticationForLocalhost=yes"],
    &["-o", "CASignatureAlgorithms=-rsa*"],
    &["-o", "HostKeyAlias=Alias"],
    &["-o", "IdentitiesOnly=yes"],
    &["-o", "IdentityAgent=none"],
    &["-o", "IdentityAgent=/run/a%%b"],
    &["-o", "CertificateFile=/c-cert.pub"],
    &["-o", "PubkeyAuthentication=no"],
    &["-o", "KexAlgorithms=^curve25519-sha256"],
    &["-o", "HostKeyAlgorithms +ssh-rsa"],
    &["-o", "ProxyCommand=nc -X 5 -x p:1080 %h %p"],
    &["-o", "ProxyCommand sh -c 'exec nc \"$0\" %p' %h"],
    &["-o", "AddressFamily=inet6"],
    &["-B", "lo"],
    &["-o", "RekeyLimit 512M 1h"],
    &["-o", "RequiredRSASize=3072"],
    &["-o", "ConnectionAttempts=4"],
    &["-o", "IPQoS=af21 cs1"],
    &["-o", "PubkeyAcceptedAlgorithms=-rsa*"],
    &["-o", "StreamLocalBindMask=0111"],
    &["-o", "StreamLocalBindUnlink yes"],
    &["-o", "PermitRemoteOpen=db:5432 *:80"],
    &["-o", "ControlMaster=auto"],
    &["-L", "8080:db:5432"],
    &["-L8081:[::1]:80"],
    &["-L", "/run/l\\ s.sock:db:5432"],
    &["-L", "127.0.0.1:8082:/var/run/docker.sock"],
    &["-R", "2222:localhost:22"],
    &["-R", "*:9000:127.0.0.1:80"],
    &["-R", "9001"],
    &["-R", "/run/r:/run/t"],
    &["-R", "0:localhost:22"],
    &["-D", "1080"],
    &["-D", "[::1]:1081"],
];
const VARIABLES: &[&str] = &[
    "AUTOSSH_GATETIME=0",
    "AUTOSSH_GATETIME=45",
    "AUTOSSH_POLL=60",
    "AUTOSSH_FIRST_POLL=30",
    "AUTOSSH_MAXSTART=5",
    "AUTOSSH_MAXSTART=-1",
    "AUTOSSH_MAXLIFETIME=3600",
    "AUTOSSH_PORT=0",
    "AUTOSSH_PIDFILE=/run/a b.pid",
    "AUTOSSH_LOGLEVEL=4",
    "AUTOSSH_DEBUG=1",
];
const HOSTS: &[&str] =
    &["relay.example", "u@relay.example", "ssh://w@relay.example:2022/", "10.0.0.5", "::1", "a@b@relay", "RELAY"];

fn line(seed: u64) -> Invocation {
    let mut die = Rng::with_seed(seed);
    let mut words: Vec<String> = ["-N", "-F", "none"].map(str::to_owned).to_vec();
    let host = die.usize(0..12);
    let mut jumps = 0;
    for turn in 0..12 {
        if turn == host {
            words.push(HOSTS[die.usize(..HOSTS.len())].to_owned());
        }
        let option = OPTIONS[die.usize(..OPTIONS.len())];
        jumps += usize::from(option[0] == "-J");
        if option[0] != "-J" || jumps == 1 {
            words.extend(option.iter().map(|word| (*word).to_owned()));
        }
    }
    let environment = (0..die.usize(0..4)).map(|_| VARIABLES[die.usize(..VARIABLES.len())]);
    let environment = environment.filter_map(|pair| pair.split_once('='));
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Invocation { environment, words, ..Invocation::find(&["autossh".to_owned()]) }
}

/// What the frontend makes of it, with tunneld's timing.
fn frontend(invocation: &Invocation) -> TunnelSpec {
    let variable = |name: &str| if name == FAST { Some("fast".to_owned()) } else { invocation.variable(name) };
    let Ok(ParsedArgv::Tunnel(line)) = argv::parse(&invocation.words, Dialect::Autossh, &variable) else {
        panic!("{:?}", invocation.words)
    };
    let environment = AutosshEnvironment::read(&variable).unwrap();
    let wanted = TranslationInput { line: &line, environment: &environment, monitor: MonitorPort::Off };
    let mut spec =
        settings::tunnel(&wanted, None).unwrap_or_else(|errors| panic!("{:?}: {errors:?}", invocation.words)).spec;
    spec.name = UniqueNames::default().of(&line.host);
    if !invocation.environment.iter().any(|(name, _)| name == "AUTOSSH_GATETIME") {
        spec.policy.gate_time = Duration::ZERO;
    }
    if spec.session.dial.via != Route::Direct {
        // Without an effect, in ssh too.
        (spec.session.dial.bind_address, spec.session.dial.bind_interface) = (None, None);
    }
    spec
}

/// What does not hold for a line; `None` where it does, and something was compared.
type Checked = Result<bool, String>;

/// Checks every line, and shows the first few that fail: one alone says little about the cause.
fn over_all_lines(check: impl Fn(u64, &Invocation) -> Checked) {
    const SHOWN: usize = 4;
    let (mut compared, mut failures) = (0, Vec::new());
    for seed in 0..LINES {
        let invocation = line(seed);
        match check(seed, &invocation) {
            Ok(counts) => compared += u64::from(counts),
            Err(failure) => {
                failures.push(format!("line {seed}: {:?} {:?}\n{failure}", invocation.environment, invocation.words));
            }
        }
    }
    let shown = failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {LINES} fail:\n{shown}", failures.len());
    assert!(compared > LINES / 2, "only {compared} were compared");
}

#[test]
fn imported_lines_are_what_the_frontend_runs() {
    over_all_lines(|_, invocation| {
        let mut wanted = frontend(invocation);
        let text = of(invocation, &config::facts()).map_err(|error| error.to_string())?;
        unreported(invocation, &text)?;
        if wanted.forwards.is_empty() {
            return if text.contains("# there is no LocalForward") { Ok(false) } else { Err(text) };
        }
        let loaded = load_text(Path::new("/printed.toml"), &text, &Overrides::default());
        let mut got = loaded.map_err(|errors| format!("{text}{errors}"))?.tunnels.remove(0);
        for spec in [&mut wanted, &mut got] {
            spec.forwards.sort_by_key(|forward| forward.kind);
        }
        if got == wanted { Ok(true) } else { Err(format!("{text}{got:?}\n{wanted:?}")) }
    });
}

/// What of the line is neither in a key nor in a comment.
fn unreported(invocation: &Invocation, text: &str) -> Result<(), String> {
    for (option, remark) in
        [("-f", "# -f: "), ("-vv", "# -v: "), ("-nq", "# -q: "), ("-M20000", "# -M "), ("-A", "# -A has no effect")]
    {
        // Of two monitor ports the last counts, and of `-q` and `-v` what they come to.
        let has = |option: &str| invocation.words.iter().any(|word| word == option);
        let again = match option {
            "-M20000" => invocation.words.iter().filter(|word| word.starts_with("-M")).count() > 1,
            "-vv" | "-nq" => has("-vv") && has("-nq"),
            _ => false,
        };
        if !again && invocation.words.iter().any(|word| word == option) && !text.contains(remark) {
            return Err(format!("{text}does not report {option}"));
        }
    }
    for (name, value) in &invocation.environment {
        let key = match name.as_str() {
            // As without it.
            "AUTOSSH_GATETIME" | "AUTOSSH_MAXSTART" | "AUTOSSH_PORT" => continue,
            "AUTOSSH_MAXLIFETIME" => "max_lifetime",
            "AUTOSSH_POLL" => "poll",
            "AUTOSSH_FIRST_POLL" => "first_poll",
            other => other,
        };
        if !text.contains(key) && !text.contains(&format!("{name}={value}")) {
            return Err(format!("{text}does not report {name}={value}"));
        }
    }
    if text.contains("not carried") { Err(text.to_owned()) } else { Ok(()) }
}

/// As systemd.syntax(7) takes it, in one of its ways.
fn quoted(word: &str, die: &mut Rng) -> String {
    let word = word.replace('%', "%%").replace('\\', "\\\\");
    let plain = |c: char| !c.is_whitespace() && !"\"'".contains(c);
    match die.u8(0..4) {
        0 | 1 if !word.is_empty() && word.chars().all(plain) => word,
        2 if !word.contains('\'') => format!("'{word}'"),
        3 => word.replace(' ', "\\x20").replace('"', "\\\"").replace('\'', "\\'"),
        _ => format!("\"{}\"", word.replace('"', "\\\"")),
    }
}

/// The line as it might be in a unit.
fn unit_of(invocation: &Invocation, die: &mut Rng) -> (String, String) {
    let facts = config::facts();
    let mut text = "[Unit]\nDescription=a tunnel\n[Service]\n".to_owned();
    let mut file = String::new();
    let _ = writeln!(text, "User={}\nWorkingDirectory={}", facts.user().unwrap(), facts.folder().display());
    for (name, value) in &invocation.environment {
        // Of two of one name the last counts, and all of a file come after all of these.
        let twice = invocation.environment.iter().filter(|(other, _)| other == name).count() > 1;
        let _ = match die.bool() || twice {
            true => writeln!(text, "Environment={}", quoted(&format!("{name}={value}"), die)),
            false => writeln!(file, "# of {name}\n{name}=\"{value}\""),
        };
    }
    let mut start = "ExecStart=".to_owned();
    start.push_str(["", "-", "@", ":-"][die.usize(0..4)]);
    let literal = start.contains(':');
    start.push_str("/usr/bin/autossh");
    if start.contains('@') {
        start.push_str(" name-in-ps");
    }
    for (index, word) in invocation.words.iter().enumerate() {
        start.push_str([" ", "  ", " \\\n   ", " \\\n# between\n\t"][die.usize(0..4)]);
        if !literal && die.u8(0..5) == 0 {
            let _ = writeln!(text, "Environment={}", quoted(&format!("W{index}={word}"), die));
            let _ = write!(start, "\"${{W{index}}}\"");
        } else {
            let word = if literal { word.clone() } else { word.replace('$', "$$") };
            start.push_str(&quoted(&word, die));
        }
    }
    let _ = writeln!(text, "EnvironmentFile=-/etc/default/a\n{start}\nRestart=always");
    (text, file)
}

#[test]
fn imported_units_print_what_their_lines_print() {
    let facts = config::facts();
    // The name is the unit's.
    let is_key = |line: &&str| !line.starts_with('#') && !line.starts_with("name ");
    let keys = |text: &str| text.lines().filter(is_key).collect::<Vec<_>>().join("\n");
    over_all_lines(|seed, invocation| {
        let (text, file) = unit_of(invocation, &mut Rng::with_seed(seed + 1_000_000));
        let got = unit(&UnitFile::of_text("a.service", &text), &|_: &Path| Some(file.clone()), &facts);
        let got = keys(&got.map_err(|error| format!("{text}\n{error}"))?);
        let wanted = keys(&of(invocation, &facts).map_err(|error| error.to_string())?);
        if got == wanted { Ok(true) } else { Err(format!("{text}{file}\n{got}\n{wanted}")) }
    });
}
