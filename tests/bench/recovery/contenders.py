"""Who keeps the tunnel: autossh, ssh under a restart loop, tunneld. All have the same -L and -R."""
import json, os, subprocess, time
from datetime import datetime

from hosts import SERVER

LOCAL, REMOTE, SERVER_ECHO, CLIENT_ECHO = 7100, 7200, 7000, 7001


class OpenSsh:
    """An `ssh` that is started again. It has noticed when the process ends."""

    def __init__(self, interval, count, autossh):
        self.options = ["-o", f"ServerAliveInterval={interval}", "-o", f"ServerAliveCountMax={count}", "-o", "ExitOnForwardFailure=yes"]
        self.autossh = autossh

    def start(self, hosts):
        arguments = ["-F", "none", "-N", "-i", hosts.path("user_key"), "-o", f"UserKnownHostsFile={hosts.path('known_hosts')}",
                     "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", *self.options,
                     "-L", f"127.0.0.1:{LOCAL}:127.0.0.1:{SERVER_ECHO}", "-R", f"127.0.0.1:{REMOTE}:127.0.0.1:{CLIENT_ECHO}", f"root@{SERVER}"]
        if self.autossh:
            command = ["autossh", "-M", "0", *arguments]
        else:
            command = ["sh", "-c", 'while :; do ssh "$@"; sleep 1; done', "loop", *arguments]
        environment = {**os.environ, "AUTOSSH_GATETIME": "0"}
        log = open(hosts.path("client.log"), "w")
        self.parent = hosts.spawn("client", *command, env=environment, stdout=log, stderr=log)
        self.gone = None

    def ready(self):
        self.child = self.children()

    def children(self):
        try:
            return open(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read().split()
        except OSError:
            return []

    def look(self):
        if self.gone is None and self.children() != self.child:
            self.gone = time.monotonic()

    def noticed(self, hosts, since):
        return self.gone


class Tunneld:
    """tunneld with its defaults, and more lines. It has noticed when its log first speaks of the tunnel."""

    def __init__(self, lines=""):
        self.lines = lines

    def start(self, hosts):
        with open(hosts.path("tunneld.toml"), "w") as file:
            file.write(f'control_socket = "{hosts.path("control.sock")}"\n[log]\nformat = "json"\n[[tunnel]]\nname = "t"\nhost = "{SERVER}"\n'
                       f'user = "root"\nidentity_file = "{hosts.path("user_key")}"\nidentity_agent = "none"\n'
                       f'user_known_hosts_file = "{hosts.path("known_hosts")}"\nlocal_forward = ["127.0.0.1:{LOCAL}:127.0.0.1:{SERVER_ECHO}"]\n'
                       f'remote_forward = ["127.0.0.1:{REMOTE}:127.0.0.1:{CLIENT_ECHO}"]\n{self.lines}\n')
        log = open(hosts.path("client.log"), "w")
        hosts.spawn("client", tunneld(), "--config", hosts.path("tunneld.toml"), stdout=log, stderr=log)

    def ready(self):
        pass

    def look(self):
        pass

    def noticed(self, hosts, since):
        wall = time.time() - time.monotonic()
        for line in open(hosts.path("client.log")):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            at = datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp() - wall
            # A single connection that is refused says nothing about the session.
            if event.get("tunnel") == "t" and "connect" not in event and at >= since:
                return at
        return None


def tunneld():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    return os.environ.get("TUNNELD_BIN", os.path.join(root, "target/release/tunneld"))


CONTENDERS = {
    "autossh 30x3": lambda: OpenSsh(30, 3, True),
    "autossh 5x2": lambda: OpenSsh(5, 2, True),
    "ssh in a loop 15x3": lambda: OpenSsh(15, 3, False),
    "tunneld": lambda: Tunneld(),
    "tunneld takeover": lambda: Tunneld('on_remote_port_busy = "takeover"'),
}


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def versions():
    """By contender."""
    ssh = first_line("ssh", "-V")
    ours = "tunneld"
    if os.path.exists(tunneld()):
        commit = first_line("git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty")
        ours = f"{first_line(tunneld(), '--version')} ({commit})"
    known = {"tunneld": ours, "autossh": f"{first_line('autossh', '-V')}, {ssh}", "ssh": ssh}
    return {name: known[name.split()[0]] for name in CONTENDERS}
