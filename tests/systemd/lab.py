"""A real systemd, booted in namespaces of this machine, with tunneld installed from this source tree.

Nothing outside is touched: the tree is an overlay that goes with the namespaces, the network is the lab's own.
"""
import atexit, json, os, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PATIENCE = 60
PORT = 3306
AUTOSSH = "/usr/lib/autossh/autossh"
# Greets each peer, many at once (sshd itself would turn a burst away: MaxStartups); then echoes.
TARGET = """
import socketserver as s
class H(s.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b'hello')
        while data := self.request.recv(4096): self.request.sendall(data)
s.ThreadingTCPServer.request_queue_size = 1024
s.ThreadingTCPServer.daemon_threads = True
s.ThreadingTCPServer(('127.0.0.1', 7000), H).serve_forever()
"""
# Connects to the forward's port again and again until there is a file `/run/enough`; every connection must be answered.
ASKER = f"""
import json, os, socket, threading, time
tally = {{"asked": 0, "refused": 0, "unanswered": 0, "longest": 0}}
def ask():
    tally["asked"] += 1
    begun = time.monotonic()
    try:
        peer = socket.create_connection(("127.0.0.1", {PORT}), {PATIENCE})
    except ConnectionRefusedError:
        tally["refused"] += 1
        return
    try:
        if peer.recv(5) != b"hello": raise OSError
        tally["longest"] = max(tally["longest"], time.monotonic() - begun)
    except OSError:
        tally["unanswered"] += 1
threads = []
while not os.path.exists("/run/enough"):
    threads.append(threading.Thread(target=ask)); threads[-1].start(); time.sleep(0.02)
for thread in threads: thread.join()
print(json.dumps(tally))
"""
# Connects to a port until its standard input ends, and says for how long in all no connection was taken.
REFUSALS = """
import socket, sys, threading, time
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
away, last = 0, time.monotonic()
while not done.wait(0.02):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60).close()
        refused = False
    except ConnectionRefusedError:
        refused = True
    now = time.monotonic()
    away, last = away + (now - last if refused else 0), now
print(away)
"""
# One connection that echoes what it is told, for as long as its standard input is open.
TALKER = f"""
import socket, sys
peer = socket.create_connection(("127.0.0.1", {PORT}), {PATIENCE})
peer.recv(5)
for line in sys.stdin:
    peer.sendall(line.encode())
    print(peer.recv(4096).decode(), end="", flush=True)
"""
UNITS = {
    "lab.target": "[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n",
    "lab-sshd.service": "[Service]\nExecStart=/usr/sbin/sshd -D -e -f /etc/lab/sshd_config\n",
    "lab-target.service": "[Service]\nExecStart=/usr/bin/python3 /etc/lab/target.py\n",
    # As people have it, but for the names of keys and hosts; `autossh` is a link to tunneld.
    "autossh.service": """[Unit]
Description=AutoSSH tunnel
After=network-online.target

[Service]
User=tunneld
Environment="AUTOSSH_GATETIME=0"
ExecStart=/usr/bin/autossh -M 0 -N -o "ServerAliveInterval 30" -o "ServerAliveCountMax 3" -o "ExitOnForwardFailure yes" -o "UserKnownHostsFile /etc/lab/known_hosts" -i /var/lib/tunneld/key -L 3307:127.0.0.1:7000 root@127.0.0.1

[Install]
WantedBy=multi-user.target
""",
    # Those of the units are a minute.
    "tunneld.service.d/lab.conf": "[Service]\nWatchdogSec=3\n",
    "user@.service.d/lab.conf": "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n",
}
MASKED = """systemd-logind.service systemd-udevd.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service
systemd-update-utmp.service systemd-udev-trigger.service systemd-firstboot.service systemd-binfmt.service
proc-sys-fs-binfmt_misc.automount systemd-remount-fs.service dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount
sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount""".split()
# Where `make install` puts what is in systemd/.
INSTALLED = {
    "tunneld.service": "usr/lib/systemd/system/tunneld.service",
    "tunneld@.service": "usr/lib/systemd/system/tunneld@.service",
    "user/tunneld.service": "usr/lib/systemd/user/tunneld.service",
    "tunneld.sysusers": "usr/lib/sysusers.d/tunneld.conf",
    "tunneld.tmpfiles": "usr/lib/tmpfiles.d/tunneld.conf",
}


def unavailable(binary):
    if os.getuid() != 0:
        return "it needs root"
    if not any(os.path.exists(path) for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")):
        return "systemd is not installed (Debian: apt-get install systemd)"
    if not os.path.exists(binary):
        return f"{binary} is not built: cargo build"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--cgroup", "--fork", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"namespaces are not permitted here: {tried.stderr.strip()}"


def tunnel(name="t", forward=f"{PORT}:127.0.0.1:7000", key="/var/lib/tunneld/key", more=""):
    """The TOML of one tunnel to the lab's sshd; `key` None: as `more` says."""
    identity = f'identity_file = "{key}"\n' if key else ""
    return (f'[[tunnel]]\nname = "{name}"\nhost = "127.0.0.1"\nuser = "root"\n{identity}'
            f'user_known_hosts_file = "/etc/lab/known_hosts"\nlocal_forward = ["{forward}"]\n{more}')


class Lab:
    """`tree`: the tree of another system than this machine's. `layer`: copied over the tree, as another systemd is."""

    def __init__(self, binary, tree="/", layer=None):
        self.folder = tempfile.mkdtemp(prefix="tunneld-systemd-")
        self.monitor = None
        atexit.register(self.close)
        mounts = [line.split() for line in open("/proc/self/mountinfo")]
        groups = [fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"]
        self.cgroup = os.path.join(groups[0], os.path.basename(self.folder)) if groups else sys.exit("systemd test: no cgroup2 is mounted")
        os.makedirs(f"{self.cgroup}/payload")
        self.lay_out([f"{root or tree}/usr/sbin/sshd" for root in (tree, layer)])
        self.monitor = subprocess.Popen(["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=KILL", "--propagation", "private",
                                         f"{HERE}/init", "enter", self.folder, self.cgroup, binary, tree, layer or ""],
                                        stdin=subprocess.DEVNULL, stdout=open(f"{self.folder}/log", "w"), stderr=subprocess.STDOUT)
        self.wait("systemd is up", lambda: self.do("systemctl", "is-active", "lab.target").stdout.strip() == "active")

    def lay_out(self, servers):
        """What is laid over the tree; `servers`: where sshd may be."""
        tree = f"{self.folder}/tree"

        def write(path, text, mode=0o644):
            os.makedirs(os.path.dirname(f"{tree}/{path}"), exist_ok=True)
            with open(f"{tree}/{path}", "w") as file:
                file.write(text)
            os.chmod(f"{tree}/{path}", mode)

        for name, text in UNITS.items():
            write(f"etc/systemd/system/{name}", text)
        for name in MASKED:
            os.symlink("/dev/null", f"{tree}/etc/systemd/system/{name}")
        os.makedirs(f"{tree}/usr/bin")
        os.symlink("tunneld", f"{tree}/usr/bin/autossh")
        for name, path in INSTALLED.items():
            write(path, open(f"{ROOT}/systemd/{name}").read())
        write("etc/hosts", "127.0.0.1 localhost lab relay\n")
        # The real one, for those who come from it: `/usr/bin/autossh` is a link to tunneld here.
        if os.path.exists(AUTOSSH):
            os.makedirs(os.path.dirname(tree + AUTOSSH))
            shutil.copy(AUTOSSH, tree + AUTOSSH)
        write("etc/sysusers.d/lab.conf", 'u someone 1000 "" /home/someone /bin/sh\nu tunnel 1001 "" /home/tunnel /bin/sh\nu sshd - "" /run/sshd\n')
        write("etc/lab/target.py", TARGET)
        for name, phrase in (("host_key", ""), ("user_key", ""), ("locked_key", "open sesame")):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", f"{self.folder}/{name}"], check=True)
            write(f"etc/lab/{name}", open(f"{self.folder}/{name}").read(), 0o600)
        accepted = "".join(open(f"{self.folder}/{name}.pub").read() for name in ("user_key", "locked_key"))
        write("etc/lab/authorized_keys", accepted)
        # OpenSSH 9.8 and newer keep out whoever often fails to log in, and earlier ones refuse the word.
        punishes = subprocess.run(["grep", "-qsai", "persourcepenalties", *servers]).returncode == 0
        write("etc/lab/sshd_config", "ListenAddress 127.0.0.1\nHostKey /etc/lab/host_key\nAuthorizedKeysFile /etc/lab/authorized_keys\nStrictModes no\nPidFile none\nUsePAM no\nMaxStartups 100\n" + "PerSourcePenalties no\n" * punishes)
        write("etc/lab/known_hosts", "127.0.0.1 " + " ".join(open(f"{self.folder}/host_key.pub").read().split()[:2]) + "\n")

    def enter(self):
        pid = open(f"{self.folder}/pid").read().strip()
        return ["nsenter", "-t", pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]

    def do(self, *command, **options):
        try:
            return subprocess.run([*self.enter(), *command], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
        except FileNotFoundError:
            return subprocess.CompletedProcess(command, 1, "", "the lab is not up")

    def must(self, *command):
        done = self.do(*command)
        if done.returncode:
            sys.exit(f"systemd test: {' '.join(command)}: {done.stderr}{done.stdout}")
        return done.stdout

    def write(self, path, text, owner="root", mode="644"):
        self.must("install", "-D", "-o", owner, "-m", mode, "/dev/null", path)
        subprocess.run([*self.enter(), "tee", path], input=text, text=True, stdout=subprocess.DEVNULL, check=True)

    def put(self, path, inside):
        """A file of this machine."""
        with open(path, "rb") as file:
            subprocess.run([*self.enter(), "tee", inside], stdin=file, stdout=subprocess.DEVNULL, check=True)

    def config(self, text):
        """The service's config from its next start or reload on."""
        self.write("/etc/tunneld.toml", 'pid_file = "/run/tunneld/tunneld.pid"\n' + text)

    def drop_in(self, name):
        """Installs an example, or removes all with None; for the next start."""
        folder = "/etc/systemd/system/tunneld.service.d"
        if name is None:
            self.must("find", folder, "-name", "*.conf", "!", "-name", "lab.conf", "-delete")
        else:
            self.write(f"{folder}/{name}", open(f"{ROOT}/systemd/examples/{name}").read())
        self.must("systemctl", "daemon-reload")

    def wait(self, what, look):
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            if time.monotonic() > end or (self.monitor and self.monitor.poll() is not None):
                log = open(f"{self.folder}/log").read()[-1000:]
                sys.exit(f"systemd test: not in {PATIENCE} s: {what}\n{log}\n{self.do('journalctl', '--no-pager', '-n', '30').stdout}")
            time.sleep(0.05)
        return found

    def prop(self, name, unit="tunneld"):
        return self.do("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def journal(self, unit="tunneld"):
        return self.do("journalctl", "-u", unit, "-o", "cat", "--no-pager").stdout

    def python(self, program, *words):
        return self.do("/usr/bin/python3", "-c", program, *words)

    def greeted(self, port):
        """Whether the target answers at a port, or at the path of a unix socket."""
        connect = (f"s = socket.create_connection(('127.0.0.1', {port}), 5)" if isinstance(port, int) else
                   f"s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect('{port}')")
        return self.python(f"import socket; {connect}; assert s.recv(5) == b'hello'").returncode == 0

    def wait_ready(self, unit="tunneld", tunnels=1):
        status = f"{tunnels}/{tunnels} ready"
        self.wait(f"{unit} is ready", lambda: self.prop("StatusText", unit).startswith(status) and self.prop("ActiveState", unit) == "active")

    def asker(self):
        """Asks without a pause until the returned function is called; that gives the tally."""
        self.do("rm", "-f", "/run/enough")
        asker = subprocess.Popen([*self.enter(), "/usr/bin/python3", "-c", ASKER], stdout=subprocess.PIPE, text=True)

        def enough():
            self.do("touch", "/run/enough")
            return json.loads(asker.communicate(timeout=2 * PATIENCE)[0])

        return enough

    def refusals(self, port):
        """Connects to a port again and again; the returned function says for how many seconds it was refused."""
        asker = subprocess.Popen([*self.enter(), "/usr/bin/python3", "-c", REFUSALS, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return lambda: float(asker.communicate(timeout=PATIENCE)[0])

    def talker(self):
        """A connection through the forward; the returned function says whether what is sent comes back."""
        peer = subprocess.Popen([*self.enter(), "/usr/bin/python3", "-uc", TALKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def talk(word):
            try:
                peer.stdin.write(f"{word}\n")
                peer.stdin.flush()
            except BrokenPipeError:
                return False
            return peer.stdout.readline() == f"{word}\n"

        return talk

    def close(self):
        if self.monitor:
            self.monitor.kill()
            self.monitor.wait()
        for _ in range(100):
            try:
                for folder, _, _ in os.walk(self.cgroup, topdown=False):
                    os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)


failed = []


def check(what, good, but=""):
    print(("ok    " if good else "FAIL  ") + what + ("" if good or not but else f": {but}"), flush=True)
    if not good:
        failed.append(what)
