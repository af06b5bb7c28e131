"""What the benchmarks share: a stock sshd, ssh and tunneld as clients of it, cheap sources and sinks, and medians.

Standard library only. Everything stays on loopback and ends by itself.
"""
import atexit, json, multiprocessing, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TUNNELD = os.environ.get("TUNNELD_BIN", os.path.join(ROOT, "target/release/tunneld"))
TMP = tempfile.mkdtemp(prefix="tunneld-bench-")
MIB = 1 << 20
PATIENCE = 60
_children = []


@atexit.register
def _clean():
    for child in reversed(_children):
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    shutil.rmtree(TMP, ignore_errors=True)


def spawn(command, **options):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    _children.append(child)
    return child


def stop(child):
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


_port = 10000 + os.getpid() % 15000


def free_port():
    global _port
    while True:
        _port = 10000 + (_port - 9999) % 20000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", _port))
                return _port
            except OSError:
                continue


def wait_until(what, look, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    sys.exit(f"not in {patience} s: {what}")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def keygen(name):
    path = os.path.join(TMP, name)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
    return path


class Sshd:
    """A stock server; `lines` are added in front of its config."""

    def __init__(self, lines=""):
        self.port = free_port()
        self.key = keygen(f"user{self.port}")
        host = keygen(f"host{self.port}")
        self.known = os.path.join(TMP, f"known{self.port}")
        with open(self.known, "w") as file:
            public = " ".join(open(host + ".pub").read().split()[:2])
            file.write(f"[127.0.0.1]:{self.port} {public}\n")
        self.log = os.path.join(TMP, f"sshd{self.port}.log")
        config = os.path.join(TMP, f"sshd{self.port}.conf")
        with open(config, "w") as file:
            file.write(f"{lines}\nPort {self.port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {self.key}.pub\n"
                       f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nLogLevel VERBOSE\n")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.process = spawn(["/usr/sbin/sshd", "-D", "-f", config, "-E", self.log])
        wait_until("sshd listens", lambda: listens(self.port))


class Ssh:
    """`ssh -N -L`."""

    name = "ssh"

    def __init__(self, sshd, target, via=None, cipher=None):
        self.listen = free_port()
        options = ["-o", f"Ciphers={cipher}"] if cipher else []
        self.process = spawn(["ssh", "-F", "none", "-N", "-i", sshd.key, "-p", str(via or sshd.port), "-o", f"UserKnownHostsFile={sshd.known}",
                              "-o", f"HostKeyAlias=[127.0.0.1]:{sshd.port}", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", *options,
                              "-L", f"127.0.0.1:{self.listen}:127.0.0.1:{target}", "127.0.0.1"])
        wait_until("ssh listens", lambda: listens(self.listen))


class Tunneld:
    """One tunneld with `count` tunnels, the first of which forwards to `target`."""

    name = "tunneld"

    def __init__(self, sshd, target, via=None, cipher=None, count=1, lines=""):
        number = len(_children)
        self.socket = os.path.join(TMP, f"{number}.sock")
        self.listens = [free_port() for _ in range(count)]
        self.listen = self.listens[0]
        config = os.path.join(TMP, f"{number}.toml")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        with open(config, "w") as file:
            file.write(f'control_socket = "{self.socket}"\n[log]\nlevel = "warn"\n')
            for index, port in enumerate(self.listens):
                file.write(f'[[tunnel]]\nname = "t{index}"\nhost = "127.0.0.1"\nport = {via or sshd.port}\nuser = "{user}"\n'
                           f'identity_file = "{sshd.key}"\nidentity_agent = "none"\nuser_known_hosts_file = "{sshd.known}"\n'
                           f'host_key_alias = "[127.0.0.1]:{sshd.port}"\nlocal_forward = ["127.0.0.1:{port}:127.0.0.1:{target}"]\n')
                if cipher:
                    file.write(f'ciphers = "{cipher}"\n')
                file.write(lines)
        self.process = spawn([TUNNELD, "--config", config])
        started = time.monotonic()
        wait_until("tunneld is ready", self.ready)
        self.seconds_to_ready = time.monotonic() - started

    def status(self):
        answer = subprocess.run([TUNNELD, "status", "--json", "--control-socket", self.socket], capture_output=True, text=True)
        try:
            return json.loads(answer.stdout)
        except ValueError:
            return None

    def ready(self):
        status = self.status()
        return status and all(tunnel["ready"] for tunnel in status["tunnels"])


def cpu_seconds(pid):
    """User and system time of a process, all its threads, from the scheduler's own count."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def anonymous_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


class Server:
    """Source, sink and echo on one port. First byte: `d` sends, `u` reads, `e` echoes. Both heavy ways are free of copies
    through user space (sendfile, MSG_TRUNC), so that what is measured is the tunnel."""

    def __init__(self):
        self.block = open(os.path.join(TMP, "block"), "wb+")
        self.block.write(os.urandom(64 * MIB))
        self.block.flush()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.socket.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                head = connection.recv(9, socket.MSG_WAITALL)
                if len(head) < 9:
                    return
                size = int.from_bytes(head[1:], "big")
                if head[:1] == b"d":
                    self.send(connection, size)
                elif head[:1] == b"u":
                    connection.sendall(self.drain(connection, size).to_bytes(8, "big"))
                else:
                    while data := connection.recv(65536):
                        connection.sendall(data)
            except OSError:
                pass

    def send(self, connection, size):
        send(connection, self.block, size)

    def drain(self, connection, size):
        return drain(connection, size)


class PlainServer(Server):
    """As applications do it: both ends read and write so many bytes at a time, through user space."""

    CHUNK = 256 * 1024
    CONTENT = os.urandom(CHUNK)

    def send(self, connection, size):
        content = memoryview(self.CONTENT)
        while size:
            size -= connection.send(content[:min(size, self.CHUNK)])

    def drain(self, connection, size):
        buffer, left = bytearray(self.CHUNK), size
        while left:
            count = connection.recv_into(buffer, min(left, self.CHUNK))
            if count == 0:
                break
            left -= count
        return size - left


def send(connection, block, size):
    sent = 0
    while sent < size:
        offset = sent % (64 * MIB)
        sent += os.sendfile(connection.fileno(), block.fileno(), offset, min(size - sent, 64 * MIB - offset))


def drain(connection, size):
    buffer = bytearray(MIB)
    left = size
    while left:
        count = connection.recv_into(buffer, min(left, MIB), socket.MSG_TRUNC)
        if count == 0:
            break
        left -= count
    return size - left


def transfer(client, server, way, size):
    """MiB/s and client CPU seconds per GiB of one stream through `client`."""
    with socket.create_connection(("127.0.0.1", client.listen)) as connection:
        before, started = cpu_seconds(client.process.pid), time.monotonic()
        connection.sendall(way + size.to_bytes(8, "big"))
        if way == b"d":
            moved = server.drain(connection, size)
        else:
            server.send(connection, size)
            moved = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
        seconds = time.monotonic() - started
        spent = cpu_seconds(client.process.pid) - before
    if moved != size:
        sys.exit(f"{client.name}: {moved} of {size} bytes arrived")
    return size / MIB / seconds, spent / (size / (1 << 30))


def transfer_many(client, server, way, size, count):
    """MiB/s of `count` streams of `size` bytes at once, all together."""
    threads = [threading.Thread(target=transfer, args=(client, server, way, size)) for _ in range(count)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count * size / MIB / (time.monotonic() - started)


def connections_a_second(client, count=500):
    """Connections made, proven by one byte there and back, and closed, one after the other."""
    started = time.monotonic()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", client.listen)) as connection:
            connection.sendall(b"e" + bytes(8) + b"x")
            if connection.recv(1) != b"x":
                sys.exit(f"{client.name}: no echo")
    return count / (time.monotonic() - started)


def connections_beside(client, programs, count=250):
    """Connections a second of several programs at a time, each as above, and the client's processor time for each, in µs."""
    cpu, started = cpu_seconds(client.process.pid), time.monotonic()
    peers = [multiprocessing.Process(target=connections_a_second, args=(client, count)) for _ in range(programs)]
    for peer in peers:
        peer.start()
    for peer in peers:
        peer.join()
    made, taken = programs * count, time.monotonic() - started
    return made / taken, (cpu_seconds(client.process.pid) - cpu) / made * 1e6


def round_trip_us(client, rounds=2000):
    """Median and 99th percentile of one byte there and back, in microseconds."""
    times = []
    with socket.create_connection(("127.0.0.1", client.listen)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"e" + bytes(8))
        for _ in range(rounds):
            started = time.perf_counter_ns()
            connection.sendall(b"x")
            connection.recv(1)
            times.append((time.perf_counter_ns() - started) / 1000)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


class SlowPath:
    """A proxy to `port` that delays each way by `delay` seconds: a long path without a network."""

    HELD = 512 * MIB

    def __init__(self, port, delay):
        self.target, self.delay = port, delay
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.socket.accept()
            far = socket.create_connection(("127.0.0.1", self.target))
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pump(one, other)

    def _pump(self, source, sink):
        from collections import deque
        queue, ready = deque(), threading.Condition()
        held = 0

        def read():
            nonlocal held
            while True:
                try:
                    data = source.recv(256 * 1024)
                except OSError:
                    data = b""
                with ready:
                    while held > self.HELD:
                        ready.wait()
                    held += len(data)
                    queue.append((time.monotonic() + self.delay, data))
                    ready.notify_all()
                if not data:
                    return

        def write():
            nonlocal held
            while True:
                with ready:
                    while not queue:
                        ready.wait()
                    due, data = queue.popleft()
                    held -= len(data)
                    ready.notify_all()
                wait = due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                try:
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)
                except OSError:
                    return

        threading.Thread(target=read, daemon=True).start()
        threading.Thread(target=write, daemon=True).start()
