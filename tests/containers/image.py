"""The image as people use it: built by buildah, run by podman, in a network of its own. No daemon of either; root."""
import os, shutil, signal, socket, struct, subprocess, sys, threading, time

import lab
from checks import check, note

IMAGE = "localhost/tunneld-test"
STATIC = os.environ.get("TUNNELD_STATIC", os.path.join(lab.ROOT, "target/static/tunneld"))
STORE = os.path.join(lab.TMP, "store")
COMMON = ["--root", STORE, "--runroot", os.path.join(lab.TMP, "runroot"), "--storage-driver", "vfs"]
# This machine may lack what podman's own defaults ask for: the right to raise limits, and a cgroup tree for each container.
LIMITS = ["--ulimit", "nofile=1024:4096", "--ulimit", "nproc=512:512", "--cgroups", "disabled", "--pull", "never"]
USER = 65532


def podman(*words, **options):
    return subprocess.run(["podman", *COMMON, *words], capture_output=True, text=True, timeout=120, **options)


class Container:
    def __init__(self, name, options, words=()):
        self.name = name
        started = podman("run", "--detach", "--name", name, "--network", "host", *LIMITS, *options, IMAGE, *words)
        check(f"{name}: starts", started.returncode == 0, started.stderr)

    def tunneld(self, *words):
        return podman("exec", self.name, "/usr/bin/tunneld", *words)

    def why(self):
        return " ".join(self.tunneld("why", "127.0.0.1").stdout.split())

    def health(self):
        """The image's own health check, as its exit code says."""
        return podman("healthcheck", "run", self.name).returncode == 0

    def log(self):
        logs = podman("logs", self.name)
        return logs.stdout + logs.stderr

    def wait(self, look, what, patience=20):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if look():
                return check(f"{self.name}: {what}", True)
            time.sleep(0.1)
        check(f"{self.name}: {what}", False, self.log() + self.tunneld("status").stdout)

    def stop(self):
        since = time.monotonic()
        stopped = podman("stop", "--time", "10", self.name)
        code = podman("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout.strip()
        took = time.monotonic() - since
        check(f"{self.name}: SIGTERM ends it with 0", stopped.returncode == 0 and code == "0" and took < 8, f"{code} {took:.1f} s")
        podman("rm", "--force", self.name)


def echo_server():
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            peer, _ = server.accept()
            peer.sendall(b"hello")
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def greets(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as peer:
            peer.settimeout(5)
            return peer.recv(5) == b"hello"
    except OSError:
        return False


class Dns(threading.Thread):
    """Answers `relay.test` with 127.0.0.1, on port 53 of this network's loopback, and counts the questions."""

    def __init__(self):
        super().__init__(daemon=True)
        self.asked = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            question, peer = self.socket.recvfrom(512)
            self.asked += 1
            end = question.index(b"\0", 12) + 5
            kind = struct.unpack("!H", question[end - 4:end - 2])[0]
            name = question[12:end - 4].lower()
            known = name == b"\5relay\4test\0" and kind == 1
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1" if known else b""
            code = 0x8180 if name == b"\5relay\4test\0" else 0x8183
            head = question[:2] + struct.pack("!HHHHH", code, 1, bool(known), 0, 0)
            self.socket.sendto(head + question[12:end] + answer, peer)


def mount(source, target, owner=USER, mode=0o400):
    """A copy of a file for the container's user, as one mounts a secret."""
    copy = os.path.join(lab.TMP, f"mount{len(os.listdir(lab.TMP))}")
    shutil.copy(source, copy)
    os.chown(copy, owner, owner)
    os.chmod(copy, mode)
    return ["--volume", f"{copy}:{target}:ro"]


def build():
    context = os.path.join(lab.TMP, "image")
    os.makedirs(context)
    with open(os.path.join(context, "rootfs.tar"), "wb") as file:
        subprocess.run([os.path.join(lab.ROOT, "packaging/container/rootfs")], stdout=file, check=True)
    shutil.copy(STATIC, os.path.join(context, "tunneld"))
    containerfile = os.path.join(lab.ROOT, "packaging/container/Containerfile")
    built = subprocess.run(["buildah", *COMMON, "build", "--isolation", "chroot", "--format", "docker", "-t", IMAGE, "-f", containerfile, context],
                           capture_output=True, text=True)
    check("buildah builds it without a daemon", built.returncode == 0, built.stderr)
    note(f"image: {podman('images', '--format', '{{.Size}}', IMAGE).stdout.strip()}, the program {os.path.getsize(STATIC) / 1e6:.1f} MB")


def by_config(sshd, target):
    """A mounted config and key, nothing that can be written but /run, names by /etc/hosts."""
    port, config = lab.free_port(), os.path.join(lab.TMP, "container.toml")
    known = os.path.join(lab.TMP, "known_by_name")
    with open(known, "w") as file:
        file.write(open(sshd.known).read().replace("[127.0.0.1]", "[relay.hosts]"))
    with open(config, "w") as file:
        file.write(f'[[tunnel]]\nname = "web"\nhost = "relay.hosts"\nport = {sshd.port}\nuser = "root"\nidentity_file = "/key"\n'
                   f'user_known_hosts_file = "/known"\nlocal_forward = ["127.0.0.1:{port}:127.0.0.1:{target}"]\n')
    files = [*mount(config, "/etc/tunneld.toml"), *mount(sshd.key, "/key"), *mount(known, "/known")]
    safe = ["--read-only", "--read-only-tmpfs=false", "--tmpfs", "/run:mode=1777", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
    web = Container("by-config", [*files, *safe, "--add-host", "relay.hosts:127.0.0.1"])
    web.wait(lambda: greets(port), "carries; its server's name is in /etc/hosts")
    check("by-config: the health check is well", web.health())
    pid = podman("inspect", "--format", "{{.State.Pid}}", "by-config").stdout.strip()
    with open(f"/proc/{pid}/status") as file:
        status = file.read()
    check("by-config: runs as a user other than root, without capabilities", f"Uid:\t{USER}" in status and "CapEff:\t0000000000000000" in status)
    sshd.process.send_signal(signal.SIGSTOP)
    subprocess.run(["ss", "--kill", "--tcp", "state", "established", f"( sport = :{sshd.port} )"], capture_output=True)
    web.wait(lambda: not web.health(), "the health check fails while the tunnel is not ready", 90)
    sshd.process.send_signal(signal.SIGCONT)
    web.wait(web.health, "and is well again with the server", 60)
    check("by-config: reload in the container", web.tunneld("reload").returncode == 0)
    web.stop()


def by_variables(sshd, target, dns):
    """jnovack/autossh's variables; the server's name is in DNS alone; any user."""
    port = lab.free_port()
    known = os.path.join(lab.TMP, "known_by_dns")
    with open(known, "w") as file:
        file.write(open(sshd.known).read().replace("[127.0.0.1]", "[relay.test]"))
    variables = {"SSH_REMOTE_HOST": "relay.test", "SSH_REMOTE_PORT": sshd.port, "SSH_REMOTE_USER": "root", "SSH_MODE": "-L",
                 "SSH_BIND_IP": "127.0.0.1", "SSH_TUNNEL_PORT": port, "SSH_TARGET_HOST": "127.0.0.1", "SSH_TARGET_PORT": target}
    environment = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    resolver = os.path.join(lab.TMP, "resolv.conf")
    with open(resolver, "w") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1\n")
    files = [*mount(sshd.key, "/id_rsa", 4242), *mount(known, "/known_hosts", 4242), "--volume", f"{resolver}:/etc/resolv.conf:ro"]
    shown = podman("run", "--rm", "--network", "none", *LIMITS, *files, *environment, "--user", "4242:4242", IMAGE, "container", "--print")
    check("by-variables: --print shows the config", "relay.test" in shown.stdout and shown.returncode == 0, shown.stderr)
    box = Container("by-variables", [*files, *environment, "--user", "4242:4242"])
    box.wait(lambda: greets(port), "carries, as user 4242 that no passwd knows; its server's name is in DNS")
    check("by-variables: DNS was asked", dns.asked > 0)
    check("by-variables: the health check is well", box.health())
    box.stop()


def by_ssh_files(sshd, target):
    """cagataygurturk/docker-ssh-tunnel's variables, with the ~/.ssh of some user mounted where it has it."""
    port, folder = lab.free_port(), os.path.join(lab.TMP, "dotssh")
    os.makedirs(folder)
    shutil.copy(sshd.key, os.path.join(folder, "id_rsa"))
    with open(os.path.join(folder, "config"), "w") as file:
        file.write(f"Host mysql-tunnel\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile ~/.ssh/id_rsa\n"
                   f"  User root\n  ServerAliveInterval 15\n")
    for name in ("", "id_rsa", "config"):
        os.chown(os.path.join(folder, name), 4242, 4242)
    variables = {"TUNNEL_HOST": "mysql-tunnel", "REMOTE_HOST": "127.0.0.1", "LOCAL_PORT": port, "REMOTE_PORT": target, "SSH_DEBUG": "-v"}
    environment = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    box = Container("by-ssh-files", ["--volume", f"{folder}:/root/ssh:ro", "--user", "4242:4242", *environment])
    box.wait(lambda: greets(port), "carries by the mounted ssh_config, as another user than the image's")
    check("by-ssh-files: says that any host key is believed", "any host key is believed" in box.log(), box.log())
    box.stop()


def refusals(sshd):
    """What people get wrong, and what they read then."""
    def run(*options):
        return podman("run", "--rm", "--network", "none", *LIMITS, *options)

    bare = run(IMAGE)
    told = "mount a config as /etc/tunneld.toml" in bare.stderr
    check("nothing mounted, nothing set: 78, and what to do", bare.returncode == 78 and told, bare.stderr)
    typo = run("--env", "SSH_REMOTE_HSOT=x", IMAGE)
    check("a misspelt variable: 78, and the right one", typo.returncode == 78 and "did you mean SSH_REMOTE_HOST?" in typo.stderr, typo.stderr)
    key = run("--env", "SSH_REMOTE_HOST=x", IMAGE)
    check("no key: 78, and where it is looked for", key.returncode == 78 and "/id_rsa" in key.stderr, key.stderr)
    sealed = run("--read-only", "--read-only-tmpfs=false", *mount(sshd.key, "/id_rsa"), "--env", "SSH_REMOTE_HOST=x", IMAGE)
    check("nothing to write to at all: 73", sealed.returncode == 73 and "/run/tunneld" in sealed.stderr, sealed.stderr)

    for what, owner, files, words in [
        ("a key of another user", 0, "/id_rsa", "may not read it"),
        ("known hosts of another user", 0, "/known_hosts", "cannot read known_hosts file"),
    ]:
        options = []
        for source, target in ((sshd.key, "/id_rsa"), (sshd.known, "/known_hosts")):
            options += mount(source, target, owner if target == files else USER, 0o600)
        variables = {"SSH_REMOTE_HOST": "127.0.0.1", "SSH_REMOTE_PORT": sshd.port, "SSH_TUNNEL_PORT": lab.free_port()}
        environment = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        box = Container(what.replace(" ", "-"), [*options, *environment])
        box.wait(lambda: words in box.why(), f"why says that it may not read {files}")
        check(f"{what}: the health check fails", not box.health())
        box.stop()


def other_verbs():
    def run(*words):
        return podman("run", "--rm", "--network", "none", *LIMITS, *words)

    version = run(IMAGE, "--version")
    check("the image's program says its version", version.stdout.startswith("tunneld "), version.stderr)
    demo = run(IMAGE, "demo")
    check("the demonstration runs in it", demo.returncode == 0, demo.stdout + demo.stderr)
    for words in ([IMAGE, "autossh", "-V"], ["--entrypoint", "/usr/bin/autossh", IMAGE, "-V"]):
        check(f"autossh in it: {' '.join(words[:-1])}", "autossh 1.4g" in run(*words).stdout)


def inside():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # crun refuses a machine whose second tree of cgroups has controllers. In this mount namespace alone.
    subprocess.run(["umount", "/sys/fs/cgroup/unified"], capture_output=True)
    build()
    sshd, target, dns = lab.Sshd(), echo_server(), Dns()
    other_verbs()
    by_config(sshd, target)
    by_variables(sshd, target, dns)
    by_ssh_files(sshd, target)
    refusals(sshd)
    podman("rm", "--all", "--force")


def run():
    if os.getuid() != 0:
        return check("the image is tested as root", False)
    for tool in ("buildah", "podman", "crun", "conmon"):
        if not shutil.which(tool):
            return check(f"{tool} is installed (apt install buildah podman crun conmon)", False)
    if not os.path.exists(STATIC):
        return check(f"{STATIC} is built (make static)", False)
    here = os.path.dirname(os.path.abspath(__file__))
    inner = (f"import sys; sys.path[:0] = ['{here}', '{os.path.dirname(lab.__file__)}']; sys.dont_write_bytecode = True; "
             "import image, checks; image.inside(); sys.exit(len(checks.failed))")
    ended = subprocess.run(["unshare", "--mount", "--net", sys.executable, "-c", inner])
    check("all of the image's checks", ended.returncode == 0, f"{ended.returncode} failed")
