"""What happens to the tunnels, each over before the next begins (ten seconds later)."""
import os, random, signal, socket, subprocess, time

import lab

SILENT = 7     # longer than a dead session is noticed in (server_alive_interval 2, count 2)
AWAY = 3


def sessions(soak):
    """Processes that serve a login: of sshd's children, and theirs."""
    def below(pid):
        children = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True).stdout.split()
        return [int(child) for child in children] + [one for child in children for one in below(child)]
    return below(soak.sshd.process.pid)


def session_killed(soak):
    living = sessions(soak)
    for pid in random.sample(living, min(2, len(living))):
        kill(pid, signal.SIGKILL)


def server_stopped(soak):
    stopped = sessions(soak)
    for pid in stopped:
        kill(pid, signal.SIGSTOP)
    time.sleep(SILENT)
    for pid in stopped:
        kill(pid, signal.SIGCONT)


def server_restarted(soak):
    for pid in [soak.sshd.process.pid, *sessions(soak)]:
        kill(pid, signal.SIGKILL)
    soak.sshd.process.wait()
    time.sleep(AWAY)
    soak.sshd.process = lab.spawn(soak.sshd.process.args)
    lab.wait_until("sshd listens", lambda: lab.listens(soak.sshd.port))


def target_gone(soak):
    # Until all that was under way has ended.
    soak.target_gone = time.monotonic() + AWAY + 5
    soak.echo.kill()
    soak.echo.wait()
    time.sleep(AWAY)
    soak.start_echo()


def reloaded(soak):
    """A tunnel comes, and goes."""
    for extra in (True, False):
        soak.write_config(extra)
        answer = soak.ask("reload")
        if answer.returncode:
            raise SystemExit(f"the reload fails: {answer.stdout}{answer.stderr}")
        time.sleep(2)


def port_taken(soak):
    """Another program has the listen port of a tunnel that starts."""
    soak.ask("stop", "local")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(300):
            try:
                other.bind(("127.0.0.1", soak.listen["local"]))
                other.listen()
                break
            except OSError:
                time.sleep(0.02)
        # It would wait for the tunnel.
        starting = lab.spawn([lab.TUNNELD, "start", "local", "--control-socket", soak.control], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(AWAY)
    starting.wait(40)


def network_silent(soak):
    kill(soak.wire.pid, signal.SIGSTOP)
    time.sleep(SILENT)
    kill(soak.wire.pid, signal.SIGCONT)


def network_cut(soak):
    soak.wire.kill()
    soak.wire.wait()
    time.sleep(AWAY)
    soak.start_wire()


def restarted(soak):
    # It would wait for the tunnel.
    lab.spawn([lab.TUNNELD, "restart", random.choice(["local", "remote", "dynamic", "unix", "jump", "sessions"]), "--control-socket", soak.control],
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


ALL = [
    ("two processes of sshd's sessions killed", session_killed),
    (f"all sessions of sshd stopped for {SILENT} s", server_stopped),
    (f"sshd killed with its sessions, and back after {AWAY} s", server_restarted),
    (f"the targets killed, and back after {AWAY} s", target_gone),
    ("a reload that adds a tunnel, one that removes it", reloaded),
    (f"a tunnel started while another program has its port for {AWAY} s", port_taken),
    (f"the network silent for {SILENT} s", network_silent),
    (f"the network cut, with resets, for {AWAY} s", network_cut),
    ("a tunnel restarted by order", restarted),
]
