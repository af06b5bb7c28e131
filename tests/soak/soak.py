#!/usr/bin/env python3
"""Six tunnels of different kinds under traffic, and a fault each ten seconds: nothing that was taken is lost, everything is
ready again, and memory, descriptors, threads and tasks are where they were.

    SOAK_SECONDS=1200 soak.py [--markdown FILE]

TUNNELD_BIN names another binary than target/release/tunneld. Standard library only, on loopback; it needs openssh-server.
"""
import argparse, os, re, signal, subprocess, sys, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "bench")]
import faults, lab, report, traffic  # noqa: E402

SECONDS = int(os.environ.get("SOAK_SECONDS", "1200"))
EACH = 10              # seconds from one fault to the next
WARM_UP = len(faults.ALL) * EACH
SETTLE = 25            # without faults and users, before a sample counts: sessions that drain, and memory that is given back
READY_WITHIN = 60

# What may differ at the end from the sample after the warm-up.
TOLERANCE = {"memory": 4096, "descriptors": 4, "threads": 2, "tasks": 12}


class Soak:
    def __init__(self):
        self.sshd, self.jump = lab.Sshd("MaxStartups 100:30:200"), lab.Sshd()
        self.wire_port, self.echo_port = lab.free_port(), lab.free_port()
        self.echo_path = os.path.join(lab.TMP, "echo.sock")
        self.listen = {name: lab.free_port() for name in ("local", "remote", "dynamic", "jump", "sessions", "metrics", "extra")}
        self.unix = os.path.join(lab.TMP, "in.sock")
        self.target_gone = 0.0
        self.start_wire()
        self.start_echo()
        self.config = os.path.join(lab.TMP, "soak.toml")
        self.control = os.path.join(lab.TMP, "soak.sock")
        self.log = os.path.join(lab.TMP, "soak.log")
        self.write_config()
        self.daemon = lab.spawn([lab.TUNNELD, "--config", self.config], stdout=subprocess.DEVNULL, stderr=open(self.log, "w"))
        self.samples, self.told = [], []

    def start_wire(self):
        self.wire = lab.spawn([sys.executable, os.path.join(HERE, "wire.py"), str(self.wire_port), str(self.sshd.port)], stderr=subprocess.DEVNULL)
        lab.wait_until("the wire listens", lambda: lab.listens(self.wire_port))

    def start_echo(self):
        self.echo = lab.spawn([sys.executable, os.path.join(HERE, "echo.py"), str(self.echo_port), self.echo_path], stderr=subprocess.DEVNULL)
        lab.wait_until("the target listens", lambda: lab.listens(self.echo_port))

    def write_config(self, extra=False):
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        listen, echo = self.listen, f"127.0.0.1:{self.echo_port}"
        known = os.path.join(lab.TMP, "known")
        with open(known, "w") as file:
            file.write(open(self.jump.known).read() + open(self.sshd.known).read().replace(f":{self.sshd.port}", f":{self.wire_port}"))
        jump = f'proxy_jump = [{{ host = "127.0.0.1", port = {self.jump.port}, user = "{user}", identity_file = "{self.jump.key}", ' \
               f'identity_agent = "none", user_known_hosts_file = "{known}" }}]'
        tunnels = {
            "local": f'local_forward = ["127.0.0.1:{listen["local"]}:{echo}"]',
            "remote": f'remote_forward = ["127.0.0.1:{listen["remote"]}:{echo}"]\non_remote_port_busy = "takeover"',
            "dynamic": f'dynamic_forward = ["127.0.0.1:{listen["dynamic"]}"]',
            "unix": f'local_forward = ["{self.unix}:{self.echo_path}"]',
            "jump": f'local_forward = ["127.0.0.1:{listen["jump"]}:{echo}"]\n{jump}',
            "sessions": f'sessions = 3\nlocal_forward = ["127.0.0.1:{listen["sessions"]}:{echo}"]',
        }
        if extra:
            tunnels["extra"] = f'local_forward = ["127.0.0.1:{listen["extra"]}:{echo}"]'
        with open(self.config, "w") as file:
            file.write(f'control_socket = "{self.control}"\n[metrics]\nlisten = "127.0.0.1:{listen["metrics"]}"\n'
                       f'[defaults]\nhost = "127.0.0.1"\nport = {self.wire_port}\nuser = "{user}"\nidentity_file = "{self.sshd.key}"\n'
                       f'identity_agent = "none"\nuser_known_hosts_file = "{known}"\nserver_alive_interval = 2\nserver_alive_count_max = 2\n')
            for name, lines in tunnels.items():
                file.write(f'[[tunnel]]\nname = "{name}"\n{lines}\n')

    def users(self):
        """The users of each tunnel."""
        soon = lambda: time.monotonic() < self.target_gone  # noqa: E731
        ways = {name: traffic.tcp(self.listen[name]) for name in ("local", "remote", "jump", "sessions")}
        ways["unix"] = traffic.unix(self.unix)
        ways["dynamic"] = traffic.socks(self.listen["dynamic"], self.echo_port)
        always = lambda: True  # noqa: E731
        return {name: traffic.Users(way, always if name in ("remote", "unix") else soon) for name, way in ways.items()}

    def ask(self, *words):
        return subprocess.run([lab.TUNNELD, *words, "--control-socket", self.control], capture_output=True, text=True)

    def unready(self):
        """The names of the tunnels that are not ready."""
        status = lab.Tunneld.status(self) or {"tunnels": [{"name": "no answer", "ready": False}]}
        return [tunnel["name"] for tunnel in status["tunnels"] if not tunnel["ready"]]

    @property
    def socket(self):
        return self.control

    def wait_ready(self, when):
        started = time.monotonic()
        while left := self.unready():
            if time.monotonic() - started > READY_WITHIN:
                sys.exit(f"{when}: not ready within {READY_WITHIN} s: {', '.join(left)}\n{self.ask('status').stdout}\n{open(self.log).read()[-4000:]}")
            time.sleep(0.2)
        return time.monotonic() - started

    def sample(self, began):
        """What the daemon has: KiB, numbers. No `tasks` where its metrics do not tell them."""
        pid = self.daemon.pid
        if self.daemon.poll() is not None:
            sys.exit(f"the daemon ended with {self.daemon.returncode}\n{open(self.log).read()[-4000:]}")
        threads = next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("Threads"))
        with urllib.request.urlopen(f"http://127.0.0.1:{self.listen['metrics']}/metrics", timeout=30) as answer:
            tasks = re.search(rb"^tunneld_tasks (\d+)", answer.read(), re.M)
        children = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True).stdout.split()
        sample = {"at": time.monotonic() - began, "memory": lab.anonymous_kib(pid), "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
                  "threads": threads, "tasks": int(tasks[1]) if tasks else None, "children": len(children)}
        self.samples.append(sample)
        return sample

    def phase(self, began, until):
        """Users at work and a fault each ten seconds until then; then quiet, and a sample. Gives the users."""
        users, turn = self.users(), len(self.told)
        while time.monotonic() < until:
            name, fault = faults.ALL[turn % len(faults.ALL)]
            turn, due = turn + 1, time.monotonic() + EACH
            fault(self)
            self.told.append(name)
            time.sleep(max(0, due - 2 - time.monotonic()))
            self.sample(began)
            time.sleep(max(0, due - time.monotonic()))
        ready = self.wait_ready("after the last fault")
        for some in users.values():
            some.stop()
        time.sleep(SETTLE)
        self.wait_ready("without users")
        return users, ready, self.sample(began)


def failures(phases, before, after):
    """What does not hold."""
    for users in phases:
        for name, some in users.items():
            yield from (f"{name}: {what}" for what in some.lost)
            if any(thread.is_alive() for thread in some.threads):
                yield f"{name}: a user hangs"
            if not some.whole:
                yield f"{name}: no connection came through whole"
    for what, tolerance in TOLERANCE.items():
        if before[what] is not None and after[what] - before[what] > tolerance:
            yield f"{what}: {before[what]} after the warm-up and {after[what]} at the end"
    if after["children"] > before["children"]:
        yield f"{after['children']} processes are left"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--markdown")
    arguments = arguments.parse_args()
    soak = Soak()
    lab.wait_until("the daemon answers", lambda: soak.ask("status").returncode == 0)
    soak.wait_ready("at the start")
    began = time.monotonic()
    warm, _, before = soak.phase(began, began + min(WARM_UP, SECONDS / 3))
    print(f"after the warm-up: {before}", flush=True)
    users, ready, after = soak.phase(began, began + SECONDS - 2 * SETTLE)
    log_bytes = os.path.getsize(soak.log)
    seconds = time.monotonic() - began
    soak.daemon.send_signal(signal.SIGTERM)
    ended = soak.daemon.wait(30)
    wrong = list(failures([warm, users], before, after))
    if ended:
        wrong.append(f"it ended with {ended} when it was stopped")
    text = report.markdown(soak, [warm, users], before, after, ready, seconds, log_bytes, wrong)
    print(text)
    if arguments.markdown and not wrong:
        with open(arguments.markdown, "w") as file:
            file.write(text)
    if wrong:
        keep = os.environ.get("KEEP_LOG")
        if keep:
            os.replace(soak.log, keep)
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
