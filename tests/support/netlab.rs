//! Three hosts on one machine: client - router - server, each a network namespace, with a stock sshd on the server.
//! Nothing is added to the machine's own namespace, and all goes when the last descriptor and process of it have gone.
//!
//! Processes and sockets belong to the host whose [`Host::run`] made them.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, setns, unshare};
use tempfile::TempDir;

use crate::process::{Process, children_of, kill_pid};
use crate::{eventually, keys};

const CLIENT: &str = "10.77.1.2";
const MOVED: &str = "10.77.1.3";
const SERVER: &str = "10.77.2.2";
/// The router's end and the client's.
const SECOND: [&str; 2] = ["10.77.3.1", "10.77.3.2"];
const ROUTER: [&str; 2] = ["10.77.1.1", "10.77.2.1"];

/// One host.
pub struct Host(File);

/// The three, and sshd.
pub struct Netlab {
    /// Where tunneld runs.
    pub client: Host,
    /// Between the two.
    pub router: Host,
    /// Where sshd runs.
    pub server: Host,
    dir: TempDir,
    sshd: Process,
}

impl Netlab {
    /// The server's address.
    pub const SERVER: &str = SERVER;

    /// The client's.
    pub const CLIENT: &str = CLIENT;

    /// Where `user_key` and `known_hosts` are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Makes them. `None` for a user who may not make namespaces, after a word on the terminal; root, and a run with
    /// CI in the environment, must be able to.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same with more lines for sshd_config.
    pub fn start_with(sshd_config: &str) -> Option<Self> {
        let [client, router, server] = match [(); 3].map(|()| Host::new()) {
            [Ok(client), Ok(router), Ok(server)] => [client, router, server],
            [Err(error), ..] | [_, Err(error), _] | [_, _, Err(error)] => {
                let must = nix::unistd::getuid().is_root() || std::env::var_os("CI").is_some();
                assert!(!must, "network namespaces are not permitted here: {error}");
                // Not by a macro: the test harness would swallow it.
                let notice = b"\nNOT TESTED: network namespaces need root\n";
                let _ = std::io::Write::write_all(&mut std::io::stderr(), notice);
                return None;
            }
        };
        for (host, name, address, gateway) in
            [(&client, "client", CLIENT, ROUTER[0]), (&server, "server", SERVER, ROUTER[1])]
        {
            router.ip(&format!("link add {name} type veth peer name eth0 netns {}", host.path()));
            router.ip(&format!("address add {gateway}/24 dev {name}"));
            router.ip(&format!("link set {name} up"));
            host.ip("link set lo up");
            host.ip(&format!("address add {address}/24 dev eth0"));
            host.ip("link set eth0 up");
            host.ip(&format!("route add default via {gateway}"));
        }
        router.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).expect("a router forwards");
        router.nft("add table ip faults; add chain ip faults forward { type filter hook forward priority 0; }");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let sshd = server.run(|| start_sshd(dir.path(), sshd_config));
        Some(Self { client, router, server, dir, sshd })
    }

    /// The TOML of one tunnel from the client to the server, with more lines.
    pub fn tunnel_toml(&self, lines: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            "[[tunnel]]\nname = \"t\"\nhost = \"{SERVER}\"\nuser = \"{}\"\nidentity_file = \"{dir}/user_key\"\n\
             user_known_hosts_file = \"{dir}/known_hosts\"\nidentity_agent = \"none\"\n{lines}\n",
            keys::user()
        )
    }

    /// The router drops everything, without a word.
    pub fn drop_all(&self) {
        self.router.nft("add rule ip faults forward drop");
    }

    /// The router drops what the server says.
    pub fn drop_answers(&self) {
        self.router.nft(&format!("add rule ip faults forward ip saddr {SERVER} drop"));
    }

    /// The router forwards everything again.
    pub fn undrop(&self) {
        self.router.nft("flush chain ip faults forward");
    }

    /// The client's link goes down, and its routes with it.
    pub fn link_down(&self) {
        self.client.ip("link set eth0 down");
    }

    /// The link is back, and so is the route, as a network manager would have it.
    pub fn link_up(&self) {
        self.client.ip("link set eth0 up");
        self.client.ip(&format!("route add default via {}", ROUTER[0]));
    }

    /// The client has another address from now on.
    pub fn move_client(&self) {
        self.client.ip(&format!("address del {CLIENT}/24 dev eth0"));
        self.client.ip(&format!("address add {MOVED}/24 dev eth0"));
        self.client.ip(&format!("route replace default via {}", ROUTER[0]));
    }

    /// Another interface of the client, of this name; gives its address. The default route stays what it is.
    pub fn second_interface(&self, name: &str) -> &'static str {
        self.router.ip(&format!("link add second type veth peer name {name} netns {}", self.client.path()));
        self.router.ip(&format!("address add {}/24 dev second", SECOND[0]));
        self.router.ip("link set second up");
        self.client.ip(&format!("address add {}/24 dev {name}", SECOND[1]));
        self.client.ip(&format!("link set {name} up"));
        SECOND[1]
    }

    /// Pids of sshd's sessions.
    pub fn sessions(&self) -> Vec<u32> {
        children_of(self.sshd.pid())
    }

    /// SIGKILL for each session of sshd.
    pub fn kill_sessions(&self) {
        for pid in self.sessions() {
            let below = children_of(pid);
            kill_pid(pid);
            below.into_iter().for_each(kill_pid);
        }
    }
}

impl Drop for Netlab {
    fn drop(&mut self) {
        self.kill_sessions();
        self.sshd.kill();
    }
}

impl Host {
    fn new() -> std::io::Result<Self> {
        let made = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        made.join().expect("a thread of its own").map(Self)
    }

    /// Does it there, in a thread of its own.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("a namespace of ours");
                what()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// As `ip` takes it for a namespace.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// ip(8) there.
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        self.command("ip", &arguments.split(' ').collect::<Vec<_>>());
    }

    #[track_caller]
    fn nft(&self, rule: &str) {
        self.command("nft", &[rule]);
    }

    #[track_caller]
    fn command(&self, program: &str, arguments: &[&str]) {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let done = self.run(|| Command::new(program).args(arguments).env("PATH", path).output());
        let done = done.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

fn start_sshd(dir: &Path, more: &str) -> Process {
    let host_key = keys::generate(dir, "host_key", &[]);
    let user_key = keys::generate(dir, "user_key", &[]);
    std::fs::write(dir.join("known_hosts"), format!("{SERVER} {}\n", keys::public(&host_key))).expect("known_hosts");
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}.pub\nStrictModes no\nPidFile none\n{more}\n",
        host_key.display(),
        user_key.display()
    );
    std::fs::write(dir.join("sshd_config"), config).expect("sshd_config");
    // sshd's privilege separation folder, which a package's start script would make.
    let _ = std::fs::create_dir_all("/run/sshd");
    let mut command = Command::new("/usr/sbin/sshd");
    command.arg("-D").arg("-f").arg(dir.join("sshd_config")).arg("-E").arg(dir.join("sshd.log"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let sshd = Process::spawn(&mut command);
    eventually("sshd listens", || std::net::TcpStream::connect((SERVER, 22)).ok());
    sshd
}
