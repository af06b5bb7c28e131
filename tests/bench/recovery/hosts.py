"""Three hosts in network namespaces: client - router - server, and the faults that befall them.

Needs root: sshd's privilege separation does not work in a user namespace with one user. Nothing is added to the
machine's own network namespace.
"""
import os, shutil, signal, subprocess, time

CLIENT, MOVED, SERVER = "10.77.1.2", "10.77.1.3", "10.77.2.2"
ROUTER_OF_CLIENT, ROUTER_OF_SERVER = "10.77.1.1", "10.77.2.1"


def unavailable():
    """Why namespaces cannot be had here, or None."""
    if os.getuid() != 0:
        return "network namespaces with a real sshd need root"
    for program in ["ip", "nft", "nsenter", "sshd", "ssh", "autossh"]:
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return f"{program} is missing (Debian: apt-get install iproute2 nftables openssh-server openssh-client autossh)"
    tried = subprocess.run(["unshare", "--net", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"network namespaces are not permitted here: {tried.stderr.strip()}"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Hosts:
    """One set of the three, with a stock sshd on the server. `name` must be short: it is part of names."""

    def __init__(self, name, folder):
        self.folder = folder
        self.spaces = {host: f"tnl-{name}-{host}" for host in ("client", "router", "server")}
        self.children = []
        os.makedirs(folder)
        for space in self.spaces.values():
            run("ip", "netns", "add", space)
        for host, address, gateway in (("client", CLIENT, ROUTER_OF_CLIENT), ("server", SERVER, ROUTER_OF_SERVER)):
            self.do("router", "ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", self.spaces[host])
            self.do("router", "ip", "address", "add", f"{gateway}/24", "dev", host)
            self.do("router", "ip", "link", "set", host, "up")
            self.do(host, "ip", "link", "set", "lo", "up")
            self.do(host, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            self.do(host, "ip", "link", "set", "eth0", "up")
            self.do(host, "ip", "route", "add", "default", "via", gateway)
        self.do("router", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.do("router", "nft", "add table ip faults; add chain ip faults forward { type filter hook forward priority 0; }")
        self.keys()
        self.sshd = None
        self.start_sshd()

    def do(self, host, *command):
        return run("nsenter", f"--net=/run/netns/{self.spaces[host]}", "--", *command)

    def spawn(self, host, *command, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        child = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.spaces[host]}", "--", *command], **options)
        self.children.append(child)
        return child

    def path(self, name):
        return os.path.join(self.folder, name)

    def keys(self):
        for name in ("host_key", "user_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name))
        with open(self.path("known_hosts"), "w") as file:
            file.write(f"{SERVER} {' '.join(open(self.path('host_key.pub')).read().split()[:2])}\n")
        with open(self.path("sshd_config"), "w") as file:
            file.write(f"HostKey {self.path('host_key')}\nAuthorizedKeysFile {self.path('user_key')}.pub\nStrictModes no\nPidFile none\n")
        os.makedirs("/run/sshd", exist_ok=True)

    def sshd_log(self):
        try:
            return open(self.path("sshd.log")).read()
        except FileNotFoundError:
            return ""

    # Faults. Each begins with one call and ends with one.

    def start_sshd(self):
        before = self.sshd_log().count("Server listening")
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin")
        self.sshd = self.spawn("server", program, "-D", "-f", self.path("sshd_config"), "-E", self.path("sshd.log"))
        end = time.monotonic() + 30
        while self.sshd_log().count("Server listening") == before:
            if time.monotonic() > end:
                raise RuntimeError("sshd does not listen")
            time.sleep(0.02)

    def sshd_pids(self):
        pids = [int(pid) for pid in run("ip", "netns", "pids", self.spaces["server"]).split()]
        return [pid for pid in pids if self.comm(pid) == "sshd"]

    @staticmethod
    def comm(pid):
        try:
            return open(f"/proc/{pid}/comm").read().strip()
        except OSError:
            return ""

    def signal_sshd(self, number, sessions_only=False):
        for pid in self.sshd_pids():
            if not (sessions_only and pid == self.sshd.pid):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass

    def kill_server(self):
        self.signal_sshd(signal.SIGKILL)
        self.sshd.wait()

    def kill_sessions(self):
        self.signal_sshd(signal.SIGKILL, sessions_only=True)

    def freeze_server(self):
        self.signal_sshd(signal.SIGSTOP)

    def thaw_server(self):
        self.signal_sshd(signal.SIGCONT)

    def drop(self, *match):
        self.do("router", "nft", " ".join(["add rule ip faults forward", *match, "drop"]))

    def drop_all(self):
        self.drop("counter")

    def drop_answers(self):
        self.drop("ip saddr", SERVER)

    def undrop(self):
        self.do("router", "nft", "flush chain ip faults forward")

    def link_down(self):
        self.do("client", "ip", "link", "set", "eth0", "down")

    def link_up(self):
        self.do("client", "ip", "link", "set", "eth0", "up")
        self.do("client", "ip", "route", "add", "default", "via", ROUTER_OF_CLIENT)

    def move_client(self):
        self.do("client", "ip", "address", "del", f"{CLIENT}/24", "dev", "eth0")
        self.do("client", "ip", "address", "add", f"{MOVED}/24", "dev", "eth0")
        self.do("client", "ip", "route", "replace", "default", "via", ROUTER_OF_CLIENT)

    def close(self):
        for space in self.spaces.values():
            for number in (signal.SIGCONT, signal.SIGKILL):
                # Whatever runs in a namespace that this object made, it started.
                for pid in run("ip", "netns", "pids", space).split():
                    try:
                        os.kill(int(pid), number)
                    except ProcessLookupError:
                        pass
        for child in self.children:
            child.wait()
        for space in self.spaces.values():
            run("ip", "netns", "del", space)
