"""packaging/lease on two hosts that share a real etcd and a real sshd: one of them carries, whatever happens to it.

A "host" is a copy of the script with its tunneld; the server says who is connected, every 20 ms.
"""
import os, re, signal, socket, subprocess, threading, time

import lab
from checks import check, note

KEY = "/tunneld/web"
TTL = 6
SCRIPT = os.path.join(lab.ROOT, "packaging/lease/tunneld-lease")


class Etcd:
    def __init__(self):
        client, peer = lab.free_port(), lab.free_port()
        self.port = client
        urls = [f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"]
        self.process = lab.spawn(
            ["etcd", "--data-dir", os.path.join(lab.TMP, "etcd"), "--listen-client-urls", urls[0], "--advertise-client-urls", urls[0],
             "--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1], "--initial-cluster", f"default={urls[1]}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lab.wait_until("etcd answers", lambda: self.ctl("endpoint", "health").returncode == 0)

    def ctl(self, *words):
        environment = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": f"http://127.0.0.1:{self.port}"}
        return subprocess.run(["etcdctl", *words], env=environment, capture_output=True, text=True)

    def holder(self):
        return self.ctl("get", KEY, "--print-value-only").stdout.strip()


class Relay:
    """The way of one host to etcd, which can be cut."""

    def __init__(self, target):
        self.target, self.cut, self.pairs = target, False, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.listener.accept()
            if self.cut:
                self.pairs.append((peer, None))  # as a host that drops packets: open, and silent
                continue
            way = socket.create_connection(("127.0.0.1", self.target))
            self.pairs.append((peer, way))
            for source, sink in ((peer, way), (way, peer)):
                threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    def carry(self, source, sink):
        try:
            while data := source.recv(65536):
                if not self.cut:
                    sink.sendall(data)
        except OSError:
            pass
        if not self.cut:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Host:
    def __init__(self, name, etcd, sshd, port):
        self.name, self.etcd, self.relay = name, etcd, Relay(etcd.port)
        self.config = os.path.join(lab.TMP, f"{name}.toml")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        with open(self.config, "w") as file:
            file.write(f'control_socket = "{lab.TMP}/{name}.sock"\nstop_timeout = "1s"\n'
                       f'[[tunnel]]\nname = "web"\nhost = "127.0.0.1"\nport = {sshd.port}\nuser = "{user}"\n'
                       f'identity_file = "{sshd.key}"\nidentity_agent = "none"\nuser_known_hosts_file = "{sshd.known}"\n'
                       f'remote_forward = ["127.0.0.1:{port}:127.0.0.1:{lab.free_port()}"]\n')
        self.process = None

    def start(self):
        self.relay.cut = False
        environment = {**os.environ, "ETCDCTL_ENDPOINTS": f"http://127.0.0.1:{self.relay.port}",
                       "TUNNELD": lab.TUNNELD, "TUNNELD_LEASE_TTL": str(TTL)}
        with open(os.path.join(lab.TMP, f"{self.name}.log"), "a") as log:
            self.process = lab.spawn([SCRIPT, KEY, "--config", self.config], env=environment, stdout=log, stderr=log)

    def tunneld(self):
        """The pid of its daemon, if it runs one."""
        children = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid=,comm="], capture_output=True, text=True).stdout
        found = re.findall(r"(\d+) tunneld$", children, re.M)
        return int(found[0]) if found else None

    def carries(self):
        return subprocess.run([lab.TUNNELD, "status", "--control-socket", f"{lab.TMP}/{self.name}.sock"], capture_output=True).returncode == 0


class Watch(threading.Thread):
    """How many clients the server has at once: the most ever."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.most, self.looks = f"{port:04X}", 0, 0
        self.start()

    def run(self):
        while True:
            with open("/proc/net/tcp") as file:
                rows = [line.split() for line in file.readlines()[1:]]
            # Established, at the server's end: a client that was killed is gone from here when its socket is.
            clients = sum(1 for row in rows if row[1].endswith(":" + self.port) and row[3] == "01")
            self.most, self.looks = max(self.most, clients), self.looks + 1
            time.sleep(0.02)


def other_carries(what, host, since, within):
    lab.wait_until(f"{host.name} carries: {what}", host.carries, within + 20)
    took = time.monotonic() - since
    check(f"{what}: the other host carries", took <= within, f"{took:.1f} s")
    note(f"{what}: {took:.1f} s until the other host carries (ttl {TTL} s)")


def run():
    etcd, sshd, port = Etcd(), lab.Sshd("ClientAliveInterval 2"), lab.free_port()
    a, b = (Host(name, etcd, sshd, port) for name in ("a", "b"))
    a.start()
    lab.wait_until("a carries", a.carries)
    watch = Watch(sshd.port)
    b.start()
    time.sleep(TTL + 2)  # the lease is renewed, and b stays out
    check("a keeps the lease, b waits without a daemon", a.carries() and b.tunneld() is None)

    killed, since = a.tunneld(), time.monotonic()
    a.process.kill()
    a.process.wait()
    other_carries("kill -9 of the script", b, since, TTL + 3)
    check("kill -9 of the script: its tunneld died with it", not os.path.exists(f"/proc/{killed}"))

    a.start()
    time.sleep(1)
    since = time.monotonic()
    os.kill(b.tunneld(), signal.SIGKILL)
    b.process.wait()
    other_carries("kill -9 of tunneld", a, since, 4)

    b.start()
    time.sleep(1)
    since = time.monotonic()
    a.process.terminate()
    code = a.process.wait()
    other_carries("SIGTERM", b, since, 4)
    check("SIGTERM ends it with tunneld's exit code", code == 0, str(code))

    a.start()
    time.sleep(1)
    since = time.monotonic()
    b.relay.cut = True
    lab.wait_until("b's tunneld ends", lambda: b.tunneld() is None, TTL + 5)
    ended = time.monotonic() - since
    check("cut off from etcd: tunneld ends before the lease does", ended < TTL, f"{ended:.1f} s")
    other_carries("cut off from etcd", a, since, TTL + 3)

    check("the server never had two clients at once", watch.most == 1, f"{watch.most} in {watch.looks} looks")

    b.process.terminate()
    b.process.wait()
    b.start()
    time.sleep(1)
    # An operator who takes the lease away gives it to another host at once: the first one notices at its next renewal.
    since = time.monotonic()
    lease = re.search(r'"lease":(\d+)', etcd.ctl("get", KEY, "--write-out=json").stdout)
    etcd.ctl("lease", "revoke", f"{int(lease[1]):x}")
    lab.wait_until("one of the two carries again", lambda: (a.carries() != b.carries()) and etcd.holder(), TTL + 5)
    note(f"revoked by hand: {time.monotonic() - since:.1f} s until one of the two carries")

    for host in (a, b):
        host.process.terminate()
        host.process.wait()
